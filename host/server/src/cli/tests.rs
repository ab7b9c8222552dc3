//! What the command line takes, and what it says.

use std::collections::BTreeMap;

use clap::{CommandFactory, Parser};
use weir_engine::state::LocalDiskOptions;
use weir_protocol::Fault;
use weir_protocol::chain::Undone;
use weir_protocol::evolution::Change;
use weir_protocol::id::{CheckpointId, EntryNumber, JobId};
use weir_protocol::savepoint::Ancestor;
use weir_protocol::upgrade::{Changes, Fate, VertexChange, VertexWord};

use super::args::{Args, Command};
use super::client::Client;
use super::exit::{FAILED, Failure, NO_ANSWER, Outcome, WRONG_USE};
use super::view::{self, Before};
use super::{commands, inspect, process, savepoint, serve, upgrade};
use crate::api::Problem;
use crate::api::shape::{Checkpoint, Checkpoints, Failure as JobFailure, Job, Sink, StandingCheckpoint, Vertex};
use crate::journal::Line;

#[test]
fn the_definition_of_the_arguments_holds_together() {
    Args::command().debug_assert();
}

#[test]
fn every_command_and_argument_has_a_help_text() {
    for command in Args::command().get_subcommands() {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
        }
    }
}

#[test]
fn components_are_given_to_a_local_run_by_name() {
    let args = Args::try_parse_from(["weir", "run", "job.toml", "--local", "--component", "words=a/b.wasm"]).unwrap();
    let Command::Run(run) = args.command else { panic!("{args:?}") };
    assert_eq!(run.component, [("words".to_owned(), "a/b.wasm".into())]);
    let wrong = Args::try_parse_from(["weir", "run", "job.toml", "--local", "--component", "b.wasm"]).unwrap_err();
    assert!(wrong.to_string().contains("write NAME=FILE, for example word-count="), "{wrong}");
    assert!(Args::try_parse_from(["weir", "run", "job.toml", "--component", "a=b"]).is_err(), "only with --local");
}

fn rocksdb(args: &[&str]) -> Result<LocalDiskOptions, String> {
    let args = Args::try_parse_from(["weir", "serve"].iter().chain(args)).map_err(|error| error.to_string())?;
    let Command::Serve(serve) = args.command else { panic!("{args:?}") };
    serve.rocksdb.options().map_err(|failure| failure.to_string())
}

#[test]
fn what_local_rocksdbs_may_use_is_set_by_whoever_starts_the_node() {
    assert_eq!(rocksdb(&[]), Ok(LocalDiskOptions::default()));
    let set =
        ["--rocksdb-cache=1GiB", "--rocksdb-write-buffer", "65536", "--rocksdb-write-rate=20mb", "--rocksdb-threads=4"];
    let wanted = LocalDiskOptions {
        block_cache_bytes: 1 << 30,
        write_buffer_bytes: 64 << 10,
        write_rate: Some(20 << 20),
        background_jobs: 4,
    };
    assert_eq!(rocksdb(&set), Ok(wanted));
}

#[test]
fn what_local_rocksdbs_cannot_use_is_refused_with_the_bound() {
    for (args, words) in [
        (["--rocksdb-cache=1000KiB"].as_slice(), "write 1MiB or more"),
        (
            &["--rocksdb-cache=64MB"],
            "which to some is 64000000 bytes, and 67108864 to Flink; write 64000000, or \"64MiB\"",
        ),
        (&["--rocksdb-cache=much"], "it is no size: it has no number; it takes 1MiB or more"),
        (&["--rocksdb-cache=1.5GiB"], "it is no whole number, so take a smaller unit"),
        (&["--rocksdb-write-rate=99999999TiB"], "it is larger than 2^64 - 1 bytes"),
        (&["--rocksdb-write-buffer=1KiB"], "write 64KiB or more"),
        (&["--rocksdb-write-buffer=65GiB"], "write 64GiB or less"),
        (&["--rocksdb-write-rate=1"], "write 1MiB or more"),
        (&["--rocksdb-threads=0"], "not in 1..=64"),
        (
            &["--rocksdb-cache=48MiB"],
            "--rocksdb-write-buffer is 32MiB, more than half of --rocksdb-cache, which is 48MiB",
        ),
    ] {
        let refusal = rocksdb(args).unwrap_err();
        assert!(refusal.contains(words), "{args:?}: {refusal}");
    }
}

#[test]
fn a_wrong_job_file_is_refused_with_its_name_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.toml");
    std::fs::write(&path, "name = \"j\"\nparalelism = 2\n").unwrap();
    let failure = commands::read_job(&path).err().unwrap();
    let expected = format!(
        "error: {}: line 2: a job has no key `paralelism`; did you mean `parallelism`?\n  mend: mend the job file at \
         that place; docs/job-file.md has every key",
        path.display()
    );
    assert_eq!((failure.to_string(), failure.code), (expected, WRONG_USE));
    let missing = commands::read_job(&folder.path().join("jub.toml")).err().unwrap();
    assert!(missing.to_string().contains("jub.toml: No such file"), "{missing}");
}

#[test]
fn a_node_that_does_not_answer_is_named() {
    // A port that was free a moment ago; nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/");
    let asked = process::current_thread().unwrap().block_on(async { Client::new(&url).unwrap().jobs().await });
    let failure = asked.unwrap_err();
    assert_eq!(failure.code, NO_ANSWER);
    assert!(failure.message.starts_with(&format!("no node answers at http://127.0.0.1:{port}: Connection refused")));
    assert_eq!(failure.mend.as_deref(), Some("start one with `weir serve`, or name another with --server"));
    assert_eq!(Client::new("127.0.0.1:8081").unwrap_err().code, WRONG_USE);
}

#[test]
fn the_exit_code_says_who_must_act() {
    let problem =
        |fault| Problem { title: "t".to_owned(), detail: "d".to_owned(), fault, mend: "m".to_owned(), status: 400 };
    assert_eq!(Failure::from(problem(Fault::Request)).code, WRONG_USE);
    assert_eq!(Failure::from(problem(Fault::Unavailable)).code, FAILED);
    assert_eq!(Failure::from(problem(Fault::Corrupt)).to_string(), "error: t: d\n  mend: m");
    assert_eq!(Outcome::of("FINISHED"), Outcome::Done);
    assert_eq!(Outcome::of("CANCELED"), Outcome::JobFailed);
}

#[test]
fn a_place_for_savepoints_that_can_be_none_is_refused_at_the_start() {
    for place in ["", "ftp://x", "s3://key:geheim@bucket/x", "s3://", "memory:", "/proc/weir"] {
        let failure = serve::prepare_for_savepoints(place).unwrap_err();
        let said = failure.to_string();
        assert!(failure.code == WRONG_USE && said.contains("--savepoint-dir") && !said.contains("geheim"), "{said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    serve::prepare_for_savepoints(kept.to_str().unwrap()).unwrap();
    assert!(kept.is_dir());
    serve::prepare_for_savepoints("s3://bucket/savepoints").unwrap();
}

#[test]
fn a_savepoint_that_was_wanted_at_a_wrong_place_is_wrong_use_and_one_that_failed_is_not() {
    assert_eq!(savepoint::failed("words", Fault::Request, "d").code, WRONG_USE);
    for fault in [Fault::Unavailable, Fault::Corrupt, Fault::Bug] {
        assert_eq!(savepoint::failed("words", fault, "d").code, FAILED);
    }
}

#[test]
fn what_is_damaged_is_restored_to_where_it_lies() {
    assert!(inspect::restoring("words").contains("`weir checkpoint ls`"));
    let savepoint = inspect::restoring("./savepoint-1");
    assert!(savepoint.contains("copy of the savepoint") && !savepoint.contains("checkpoint ls"), "{savepoint}");
}

#[test]
fn a_folder_that_is_named_as_a_job_would_be_is_pointed_out() {
    let failure = Failure::wrong_use("unknown job", "see `weir list`");
    let mend = |named: &str| inspect::or_folder(named, failure.clone()).mend.unwrap();
    // Tests run in the folder of their crate.
    assert!(mend("src").starts_with("see `weir list`; ") && mend("src").ends_with("write `./src`"), "{}", mend("src"));
    for other in ["no-such-folder", "./src"] {
        assert_eq!(mend(other), "see `weir list`");
    }
}

fn job(state: &str, records: u64) -> Job {
    let vertex = |uid: &str, kind: &str, title: &str, records_in, records_out| Vertex {
        uid: uid.to_owned(),
        kind: kind.to_owned(),
        title: title.to_owned(),
        parallelism: 1,
        records_in,
        records_out,
        bytes_in: 0,
        bytes_out: 0,
        dead_letters: 0,
        retries: 0,
        timers_fired: 0,
        state_expired: 0,
        state_bytes: 0,
        timers: 0,
        states: Vec::new(),
        watermark: None,
    };
    let checkpoint = Checkpoint {
        id: 12,
        state: "COMPLETED".to_owned(),
        triggered_at: 0,
        duration_ms: Some(8),
        bytes: 1234,
        size: 4096,
        failure: None,
    };
    let failure =
        JobFailure { at: 0, subtask: Some("count[0]".to_owned()), fault: Fault::Guest, message: "a trap".to_owned() };
    Job {
        id: "0".repeat(32),
        name: "words".to_owned(),
        state: state.to_owned(),
        ended: state == "FINISHED",
        started_at: 0,
        state_since: 1_500,
        ended_at: None,
        attempts: 1,
        guarantee: "exactly-once".to_owned(),
        dead_letters: 1_500,
        error_policy: "dead-letter".to_owned(),
        failures: vec![failure],
        vertices: vec![
            vertex("text", "source", "files", 0, records),
            vertex("count", "operator", "count", records, 2 * records),
            vertex("out", "sink", "files", 2 * records, 0),
        ],
        checkpoints: Checkpoints {
            completed: 11,
            newest: Some(StandingCheckpoint { id: 12, taken_at: 0, size: 4096 }),
            history: vec![checkpoint],
            ..Checkpoints::default()
        },
        sinks: vec![Sink { uid: "out".to_owned(), published: Some(11), recent: vec!["the 7\u{1b}[31m".to_owned()] }],
        spec_number: 0,
        on_trial: false,
        undone: None,
        began_from: None,
        spec: None,
    }
}

#[test]
fn a_followed_job_shows_rising_counts_and_completed_checkpoints() {
    let before = job("RUNNING", 1_000);
    let now = job("RUNNING", 2_500);
    let shown = view::live(&now, Some(Before { job: &before, seconds: 0.5 }));
    let expected = "\
words  RUNNING  exactly-once
  text   source    files            out 2,500  3,000/s
  count  operator  count  in 2,500  out 5,000  6,000/s
  out    sink      files  in 5,000             6,000/s
newest checkpoint: 12 (8 ms, 4.00 KiB, 1.21 KiB of it written); since this node runs it: 11 completed
1,500 dead letters
last at out, published up to checkpoint 11:
  the 7\\u{1b}[31m";
    assert_eq!(shown, expected);
}

#[test]
fn without_a_terminal_a_job_is_a_line() {
    let expected = "words RESTARTING (count[0]: a trap) | text out 10 | count in 10 out 20 | out in 20 | newest checkpoint: \
                    12 (8 ms, 4.00 KiB, 1.21 KiB of it written); since this node runs it: 11 completed | 1,500 dead letters";
    assert_eq!(view::plain(&job("RESTARTING", 10)), expected);
    let skipping = Job { error_policy: "skip".to_owned(), ..job("RUNNING", 10) };
    assert!(view::plain(&skipping).ends_with("| 1,500 skipped records"), "what is skipped is in no dead letter");
}

#[test]
fn a_description_says_what_failed_and_who_must_act() {
    let expected = "\
words  FAILED  00000000000000000000000000000000  exactly-once
started 1970-01-01T00:00:00.000Z, FAILED since 1970-01-01T00:00:01.500Z
failed 1970-01-01T00:00:00.000Z at count[0] (guest): a trap

records since its tasks were started:
  text   source    files        out 1
  count  operator  count  in 1  out 2
  out    sink      files  in 2

newest checkpoint: 12 (8 ms, 4.00 KiB, 1.21 KiB of it written); since this node runs it: 11 completed
1,500 dead letters";
    assert_eq!(view::describe(&job("FAILED", 1)), expected);
}

#[test]
fn a_description_says_how_much_each_operator_holds() {
    let mut job = job("RUNNING", 1);
    let shown = |job: &Job| view::describe(job).lines().find(|line| line.contains("operator")).unwrap().to_owned();
    (job.vertices[1].state_bytes, job.vertices[1].timers) = (5 << 20, 1_234);
    assert_eq!(shown(&job), "  count  operator  count  in 1  out 2  state 5.00 MiB, timers 1,234");
    (job.vertices[1].state_bytes, job.vertices[1].timers) = (40, 0);
    assert_eq!(shown(&job), "  count  operator  count  in 1  out 2  state 40 B");
}

#[test]
fn whatever_takes_a_checkpoint_takes_newest_and_refuses_what_is_neither() {
    let given = |command: &str| {
        let words = command.split(' ').chain(std::iter::once("newest"));
        Args::try_parse_from(words).map(drop)
    };
    for command in [
        "weir checkpoint verify words",
        "weir state get words count be --checkpoint",
        "weir state ls words count --checkpoint",
        "weir state dump words --checkpoint",
    ] {
        assert!(given(command).is_ok(), "{command}");
    }
    let refused = Args::try_parse_from("weir checkpoint verify words latest".split(' ')).unwrap_err().to_string();
    assert!(refused.contains("give the number of a checkpoint, or `newest`"), "{refused}");
}

#[test]
fn what_an_earlier_process_saved_is_shown_after_a_restart() {
    let mut job = job("RUNNING", 1);
    job.checkpoints =
        Checkpoints { newest: Some(StandingCheckpoint { id: 500, taken_at: 0, size: 4096 }), ..Checkpoints::default() };
    let shown = view::describe(&job);
    assert!(shown.contains("newest checkpoint: 500 (4.00 KiB); since this node runs it: 0 completed\n"), "{shown}");
    let listed = view::list(&[job.clone()], &[]);
    let row = listed.lines().nth(1).unwrap();
    assert!(listed.starts_with("JOB ") && listed.contains("NEWEST CHECKPOINT") && row.contains(" 500 "), "{listed}");
    assert!(shown.contains("\nrecords since its tasks were started:\n"), "{shown}");
    job.attempts = 0;
    assert!(
        view::describe(&job).contains("\nits tasks have not run since this node started:\n"),
        "zeros are no counts"
    );
    job.checkpoints.newest = None;
    assert!(view::describe(&job).contains("no checkpoint yet; since"));
    job.guarantee = "at-least-once".to_owned();
    assert!(view::describe(&job).contains("\nit takes no checkpoints\n"), "there will be none");
}

#[test]
fn a_description_says_what_the_job_began_from() {
    let location = "s3://b/savepoint-1".to_owned();
    let ancestor = Ancestor { location, job: JobId(7), checkpoint: CheckpointId(9) };
    let shown = view::describe(&Job { began_from: Some(ancestor), ..job("RUNNING", 1) });
    assert!(shown.contains(&format!("\nbegan from checkpoint 9 of job {}: s3://b/savepoint-1\n", JobId(7))), "{shown}");
}

#[test]
fn a_description_says_what_checkpoints_wait_for_and_why_the_last_failed() {
    let mut job = job("RUNNING", 1);
    let waits = |id, state: &str, why: &str| Checkpoint {
        id,
        state: state.to_owned(),
        failure: Some(why.to_owned()),
        ..job.checkpoints.history[0].clone()
    };
    let (open, failed) = (waits(14, "IN_PROGRESS", "the disk is full"), waits(13, "FAILED", "it expired"));
    job.checkpoints.history.splice(0..0, [open, failed]);
    let shown = view::describe(&job);
    assert!(shown.contains("; checkpoint 14 waits: the disk is full\ncheckpoint 13 failed: it expired\n"), "{shown}");
}

#[test]
fn an_undone_upgrade_says_what_became_of_the_job() {
    let undone = |state: &str| {
        let undone = Undone { spec: EntryNumber(1), reason: "it trapped".to_owned() };
        let job = Job { spec_number: 2, undone: Some(undone), ended: state == "FAILED", ..job(state, 1) };
        upgrade::outcome(&job, 1).unwrap_err().to_string()
    };
    assert!(undone("RUNNING").ends_with("the job goes on as spec 2"));
    assert!(undone("SUSPENDED").ends_with("as spec 2 the job cannot go on either, and waits: count[0]: a trap"));
    assert!(undone("FAILED").ends_with("as spec 2 the job is FAILED: count[0]: a trap"));
}

#[test]
fn what_an_upgrade_changes_is_a_line_for_each_part_of_the_job() {
    let change = |uid: &str, kind, fate, parallelism_before, parallelism| VertexChange {
        uid: uid.parse().unwrap(),
        kind,
        fate,
        parallelism_before,
        parallelism,
        states: BTreeMap::new(),
    };
    let mut count = change("count", VertexWord::Operator, Fate::Changed, Some(1), Some(4));
    count.states = [("n", Change::Kept), ("total", Change::Migrated { from: 1 })]
        .map(|(name, change)| (name.to_owned(), change))
        .into();
    let vertices = vec![
        change("text", VertexWord::Source, Fate::Added, None, Some(2)),
        count,
        change("out", VertexWord::Sink, Fate::Removed, Some(1), None),
    ];
    let shown = view::changes(&Changes { settings: true, vertices });
    let expected = [
        "  source    text   added    parallelism 2",
        "  operator  count  changed  parallelism 1 -> 4  state: n kept, total migrated from version 1",
        "  sink      out    removed",
        "  the job's settings change",
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn what_strangers_wrote_cannot_command_the_terminal() {
    let line = Line {
        at: 0,
        level: "warn".to_owned(),
        guest: true,
        subtask: Some("count[0]".to_owned()),
        message: "\u{1b}]0;title\u{7}\r".to_owned(),
    };
    let expected = "1970-01-01T00:00:00.000Z WARN  count[0] \\u{1b}]0;title\\u{7}\\r";
    assert_eq!(view::log_line(&line), expected);
}

#[test]
fn following_a_log_shows_each_line_once() {
    assert_eq!(commands::new_lines(&[1, 2, 3], &[2, 3, 4, 5]), [4, 5]);
    assert_eq!(commands::new_lines(&[], &[1]), [1]);
    assert_eq!(commands::new_lines(&[9], &[1, 2]), [1, 2], "what was seen last is forgotten already");
}
