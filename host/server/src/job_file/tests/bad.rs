//! Files that are wrong, each with the whole message it gets.

use super::components;
use crate::job_file::{self, Draft, Error};

/// A job that is right; each test breaks one thing of it.
const RIGHT: &str = r#"name = "j"
parallelism = 2
max-parallelism = 8
[checkpoint]
interval = "1s"
[errors]
policy = "fail"
[limits]
memory = "1MiB"
[[source]]
uid = "text"
type = "files"
paths = ["a"]
format = "lines"
[[source]]
uid = "numbers"
type = "generator"
value-bytes = 100
[[operator]]
uid = "split"
component = "words"
operator = "split"
inputs = [{ from = "text" }]
[[operator]]
uid = "count"
component = "words"
operator = "count"
inputs = [{ from = "split", key = "value" }]
[[sink]]
uid = "counts"
type = "stdout"
from = ["count", "numbers"]
"#;

fn message(result: Result<Draft, Error>) -> String {
    match result.and_then(|draft| draft.resolve(&components())) {
        Ok(spec) => panic!("it was accepted: {spec:?}"),
        Err(error) => error.to_string(),
    }
}

/// Replaces `right` by `wrong` in [`RIGHT`], and checks the message.
#[track_caller]
fn check(right: &str, wrong: &str, expected: &str) {
    assert_eq!(RIGHT.matches(right).count(), 1, "{right} is in the file once");
    assert_eq!(message(job_file::from_toml(&RIGHT.replace(right, wrong))), expected);
}

#[test]
fn the_file_that_the_others_break_is_right() {
    job_file::from_toml(RIGHT).unwrap().resolve(&components()).unwrap();
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    check(
        "uid = \"text\"",
        "uid = hello",
        "line 11: this is no TOML: string values must be quoted, expected literal string",
    );
    check("[errors]", "[checkpoint]", "line 6: this is no TOML: duplicate key");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest() {
    check("parallelism = 2", "paralelism = 2", "line 2: a job has no key `paralelism`; did you mean `parallelism`?");
    check(
        "[[operator]]\nuid = \"split\"",
        "[[operators]]\nuid = \"split\"",
        "line 19: a job has no key `operators`; did you mean `operator`?",
    );
    check(
        "interval = \"1s\"",
        "intervall = \"1s\"",
        "line 5: `checkpoint` has no key `intervall`; did you mean `interval`?",
    );
    check("policy = \"fail\"", "retry = 3", "line 7: `errors` has no key `retry`; known: `policy`, `budget`");
    check(
        "memory = \"1MiB\"",
        "row_cpu_us = 5",
        "line 9: `limits` has no key `row_cpu_us`; did you mean `row-cpu-us`?",
    );
    check(
        "uid = \"text\"",
        "uuid = \"text\"",
        "line 11: a source of type \"files\" has no key `uuid`; did you mean `uid`?",
    );
    check(
        "format = \"lines\"",
        "rate = 5",
        "line 14: a source of type \"files\" has no key `rate`; known: `uid`, `type`, `parallelism`, `paths`, `format`, `follow`, `start`",
    );
    check("type = \"files\"", "typ = \"files\"", "line 12: a source has no key `typ`; did you mean `type`?");
    check(
        "component = \"words\"\noperator = \"split\"",
        "components = \"words\"",
        "line 21: an operator has no key `components`; did you mean `component`?",
    );
    check("key = \"value\"", "keys = \"value\"", "line 28: an input has no key `keys`; did you mean `key`?");
    check(
        "type = \"stdout\"",
        "type = \"stdout\"\npath = \"a\"",
        "line 32: a sink of type \"stdout\" has no key `path`; known: `uid`, `type`, `parallelism`, `from`, `prefix`",
    );
}

#[test]
fn a_wrong_type_is_refused_with_what_was_expected_and_given() {
    check(
        "parallelism = 2",
        "parallelism = \"two\"",
        "line 2: `parallelism` must be a whole number of at least 1, not the text \"two\"",
    );
    check(
        "parallelism = 2",
        "parallelism = 1.5",
        "line 2: `parallelism` must be a whole number of at least 1, not 1.5",
    );
    check("name = \"j\"", "name = 7", "line 1: `name` must be a text, not 7");
    check(
        "interval = \"1s\"",
        "interval = \"1 fortnight\"",
        "line 5: `interval` must be a duration (\"500ms\", \"10s\", \"5min\" or milliseconds), not the text \"1 fortnight\"; \
         the units are ms, s, min, h, d",
    );
    check(
        "interval = \"1s\"",
        "interval = -5",
        "line 5: `interval` must be a duration (\"500ms\", \"10s\", \"5min\" or milliseconds), not -5: it is below 0",
    );
    for given in ["10S", "5MIN"] {
        check(
            "interval = \"1s\"",
            &format!("interval = {given:?}"),
            &format!(
                "line 5: `interval` must be a duration (\"500ms\", \"10s\", \"5min\" or milliseconds), not the text \
                 \"{given}\"; the units are ms, s, min, h, d"
            ),
        );
    }
    check("interval = \"1s\"", "interval = 0", "line 5: `interval` must be longer than 0");
    check(
        "memory = \"1MiB\"",
        "memory = \"1MB/s\"",
        "line 9: `memory` must be a size (\"64KiB\", \"256MiB\", \"1GiB\" or bytes), not the text \"1MB/s\"; the \
         units are B, KiB, MiB, GiB, TiB; Flink's b, k, m, g, t and kb, mb, gb, tb are the same",
    );
    for (given, why) in [
        ("-5", "-5: it is below 0"),
        ("\"-5MiB\"", "the text \"-5MiB\": it is below 0"),
        ("1.5", "1.5: it is no whole number, so take a smaller unit"),
        ("\"1.5GiB\"", "the text \"1.5GiB\": it is no whole number, so take a smaller unit"),
        ("\"1,5 g\"", "the text \"1,5 g\": it is no whole number, so take a smaller unit"),
        ("\"99999999TiB\"", "the text \"99999999TiB\": it is larger than 2^64 - 1 bytes"),
        ("\"99999999999999999999\"", "the text \"99999999999999999999\": it is larger than 2^64 - 1 bytes"),
        ("\"\"", "the text \"\": it has no number"),
    ] {
        let message = "`memory` must be a size (\"64KiB\", \"256MiB\", \"1GiB\" or bytes), not";
        check("memory = \"1MiB\"", &format!("memory = {given}"), &format!("line 9: {message} {why}"));
    }
    check(
        "memory = \"1MiB\"",
        "memory = \"64 MB\"",
        "line 9: `memory` is \"64 MB\", which to some is 64000000 bytes, and 67108864 to Flink; write 64000000, or \
         \"64MiB\"",
    );
    check(
        "policy = \"fail\"",
        "policy = \"dead-leter\"",
        "line 7: `policy` must be \"dead-letter\" or \"fail\" or \"skip\", not the text \"dead-leter\"; did you mean \"dead-letter\"?",
    );
    check(
        "type = \"files\"",
        "type = \"kafka\"",
        "line 12: `type` must be \"files\" or \"generator\", not the text \"kafka\"",
    );
    check("paths = [\"a\"]", "paths = [1]", "line 13: each of `paths` must be a text, not 1");
    check(
        "paths = [\"a\"]",
        "paths = []",
        "line 13: `paths` must name at least one file or folder, and none with an empty text",
    );
    check("format = \"lines\"", "follow = \"yes\"", "line 14: `follow` must be true or false, not the text \"yes\"");
    check("value-bytes = 100", "value-bytes = 5", "line 18: `value-bytes` must be between 64 and 1048576, not 5");
    check(
        "inputs = [{ from = \"text\" }]",
        "inputs = \"text\"",
        "line 23: `inputs` must be a list, not the text \"text\"",
    );
    check(
        "inputs = [{ from = \"text\" }]",
        "inputs = [\"text\"]",
        "line 23: an input must be a table, not the text \"text\"",
    );
    check(
        "key = \"value\"",
        "key = \"user.id\"",
        "line 28: `key` must be \"value\", \"carried\", { field = \"user.id\" } or { constant = \"x\" }, not the text \"user.id\"",
    );
    check("key = \"value\"", "key = {}", "line 28: `key` must hold `field` or `constant`, one of them");
    check(
        "key = \"value\"",
        "key = { field = \"user..id\" }",
        "line 28: `field` must be object keys with dots between them, none empty",
    );
    check(
        "key = \"value\"",
        "key = \"value\", partition = \"forward\"",
        "line 28: an input has `key` or `partition`, not both: by key means to the key's subtask",
    );
}

#[test]
fn what_is_mandatory_is_named_with_an_example() {
    check("name = \"j\"\n", "", "line 1: a job needs `name`; for example name = \"word-count\"");
    check("interval = \"1s\"", "", "line 4: `checkpoint` needs `interval`; for example interval = \"10s\"");
    check("uid = \"text\"\n", "", "line 10: a source of type \"files\" needs `uid`; for example uid = \"text\"");
    check("uid = \"split\"\n", "", "line 19: an operator needs `uid`; for example uid = \"count\"");
    check("uid = \"counts\"\n", "", "line 29: a sink of type \"stdout\" needs `uid`; for example uid = \"counts\"");
    check("type = \"files\"\n", "", "line 10: a source needs `type`; for example type = \"files\"");
    check(
        "inputs = [{ from = \"text\" }]\n",
        "",
        "line 19: an operator needs `inputs`; for example inputs = [{ from = \"text\" }]",
    );
    check("{ from = \"text\" }", "", "line 23: `inputs` must hold at least one, for example { from = \"text\" }");
    check(
        "component = \"words\"\noperator = \"count\"\n",
        "",
        "line 24: an operator needs `component`; for example component = \"word-count\"",
    );
    check(
        "from = [\"count\", \"numbers\"]",
        "",
        "line 29: a sink of type \"stdout\" needs `from`; for example from = \"count\"",
    );
}

#[test]
fn bounds_are_kept() {
    check(
        "\nparallelism = 2",
        "\nparallelism = 0",
        "line 2: `parallelism` must be a whole number of at least 1, not 0",
    );
    check(
        "\nparallelism = 2",
        "\nparallelism = 9",
        "line 2: `parallelism` must be at most `max-parallelism`, 8, not 9",
    );
    check(
        "max-parallelism = 8",
        "max-parallelism = 32769",
        "line 3: `max-parallelism` must be at most 32768, not 32769",
    );
    check("value-bytes = 100", "parallelism = 9", "line 18: `parallelism` must be at most `max-parallelism`, 8, not 9");
    check(
        "parallelism = 2",
        "parallelism = 99999999999",
        "line 2: `parallelism` must be at most 4294967295, not 99999999999",
    );
}

#[test]
fn names_hold_together() {
    check(
        "uid = \"numbers\"",
        "uid = \"text\"",
        "line 16: the uid `text` is taken already (line 11); give each its own, and keep it",
    );
    check(
        "uid = \"counts\"",
        "uid = \"text\"",
        "line 30: the uid `text` is taken already (line 11); give each its own, and keep it",
    );
    check(
        "uid = \"numbers\"",
        "uid = \"my numbers\"",
        "line 16: `uid`: `my numbers` is no name: use 1 to 128 of a-z A-Z 0-9 . _ - and begin with a letter or digit",
    );
    check(
        "from = \"text\"",
        "from = \"txet\"",
        "line 23: `from` names `txet`, but no source and no operator has that uid; did you mean `text`?",
    );
    check(
        "\"count\", \"numbers\"",
        "\"counts\"",
        "line 32: `from` names `counts`, but no source and no operator has that uid; did you mean `count`?",
    );
    check(
        "component = \"words\"\noperator = \"split\"",
        "component = \"wrods\"",
        "line 21: no component is called `wrods`, by name or by hash; upload it first (`weir upload FILE --name \
         wrods`), or give it to `weir run --local` with `--component wrods=FILE`",
    );
    check(
        "operator = \"split\"",
        "",
        "line 19: component `words` holds several operators; say which: operator = \"split\" or \"count\" or \"join\"",
    );
    check(
        "operator = \"split\"",
        "operator = \"splt\"",
        "line 22: component `words` has no operator `splt`; did you mean `split`?",
    );
    check(
        "from = \"text\"",
        "from = \"text\", input = \"line\"",
        "line 23: operator `split` has no input `line`; did you mean `lines`?",
    );
    check(
        "operator = \"count\"",
        "operator = \"join\"",
        "line 28: operator `count` has several inputs; say which: input = \"left\" or \"rules\" or \"rest\"",
    );
}

#[test]
fn a_configuration_is_given_once_and_is_json() {
    check(
        "operator = \"split\"",
        "operator = \"split\"\nconfig = { a = nan }",
        "line 23: NaN is no number that JSON can hold",
    );
    check(
        "operator = \"split\"",
        "operator = \"split\"\nconfig = 1\nconfig-json = \"1\"",
        "line 24: `config` and `config-json` are given; leave one out",
    );
    check(
        "operator = \"split\"",
        "operator = \"split\"\nconfig-json = \"{\"",
        "line 23: `config-json` must be JSON: EOF while parsing an object at line 1 column 1",
    );
}

#[test]
fn places_in_json_are_paths() {
    #[track_caller]
    fn check(json: &str, expected: &str) {
        assert_eq!(message(job_file::from_json(json)), expected);
    }
    check("[]", "the job: a job must be a table, not a list");
    check("{}", "the job: a job needs `name`; for example name = \"word-count\"");
    check(r#"{"nam": "j"}"#, "nam: a job has no key `nam`; did you mean `name`?");
    check(r#"{"name": null}"#, "name: `name` must be a text, not null");
    check(
        r#"{"name": "j", "source": [{"uid": "a", "type": "generator"}, {"uid": "b", "type": "generator", "rat": 1}]}"#,
        "source[1].rat: a source of type \"generator\" has no key `rat`; did you mean `rate`?",
    );
    check(
        r#"{"name": "j", "operator": [{"uid": "a", "component": "words", "inputs": [{"from": "b"}]}]}"#,
        "operator[0].inputs[0].from: `from` names `b`, but no source and no operator has that uid; did you mean `a`?",
    );
    check(
        "{\n\"name\": \"j\",\n\"name\": \"k\"}",
        "line 3: this is no JSON that can be read: the key \"name\" is given twice (column 6)",
    );
    check("{\"name\": \"j\"", "line 1: this is no JSON that can be read: EOF while parsing an object (column 12)");
    check("{\"name\": \"j\"} {}", "line 1: this is no JSON that can be read: trailing characters (column 15)");
}
