//! The operators on their own: no host, no wasm, `cargo test`.

use weir_sdk::harness::Harness;

use super::{Count, Split};

#[test]
fn line_becomes_words_and_each_is_its_own_key() {
    let words = Harness::<Split>::new().send("to be  or\tnot").take();
    let words: Vec<_> = words.iter().map(|word| (word.key_text(), word.value_text())).collect();
    assert_eq!(words, ["to", "be", "or", "not"].map(|word| (word.to_owned(), word.to_owned())));
}

#[test]
fn every_record_gives_the_count_so_far_of_its_key() {
    let mut count = Harness::<Count>::new();
    count.send_batch([("to", ""), ("be", ""), ("to", "")]).send(("to", ""));
    assert_eq!(count.take_values(), ["to\t1", "be\t1", "to\t2", "to\t3"]);
    assert_eq!(count.value(|count| &count.count, "to"), Some(3));
}

#[test]
fn count_survives_the_loss_of_the_instance() {
    let mut count = Harness::<Count>::new();
    count.send(("word", "")).replace_instance().send(("word", ""));
    assert_eq!(count.take_values(), ["word\t1", "word\t2"]);
}

#[test]
fn line_that_is_no_text_becomes_a_dead_letter_and_the_others_go_on() {
    use weir_sdk::harness::Incoming;
    let mut split = Harness::<Split>::new();
    split.send_batch([Incoming::value("one"), Incoming::value(vec![0xff]), Incoming::value("two")]);
    assert_eq!(split.take_values(), ["one", "two"]);
    assert_eq!(split.reasons().len(), 1);
    assert!(split.reasons()[0].starts_with("the value is not UTF-8"));
}
