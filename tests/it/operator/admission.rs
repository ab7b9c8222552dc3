//! What is refused at upload, and what the refusal says.

use weir_operator::component::{AdmissionError, Loader};
use weir_tests::guests;

fn refusal(path: &str) -> AdmissionError {
    guests::load(path).expect_err("the component is refused")
}

#[track_caller]
fn says(refusal: &AdmissionError, parts: &[&str]) {
    let text = refusal.to_string();
    parts.iter().for_each(|part| assert!(text.contains(part), "the refusal says `{part}`: {text}"));
}

fn refusal_of(bytes: &[u8]) -> AdmissionError {
    Loader::new(None).expect("components run here").load(bytes).expect_err("the bytes are refused")
}

#[test]
fn bytes_that_are_no_component_are_refused() {
    says(&refusal_of(b"#!/bin/sh"), &["not a WebAssembly component", "does not begin with"]);
    says(&refusal_of(b""), &["the file is empty"]);
    let mut cut = guests::bytes(guests::CONTRACT);
    cut.truncate(cut.len() / 2);
    assert!(matches!(refusal_of(&cut), AdmissionError::NotAComponent { .. }));
}

#[test]
fn a_core_module_is_refused_with_the_mend() {
    let refusal = refusal_of(b"\0asm\x01\0\0\0");
    assert_eq!(refusal, AdmissionError::CoreModule);
    says(&refusal, &["wasm32-wasip2", "wasm-tools component new"]);
}

#[test]
fn another_version_and_another_world_are_told_apart() {
    says(&refusal(guests::OTHER_VERSION), &["weir:operator/operators@0.2.0", "another version", "0.1.0"]);
    says(&refusal(guests::OTHER_WORLD), &["does not export weir:operator/operators@0.1.0", "`acme:thing/run@1.0.0`"]);
}

#[test]
fn an_import_beyond_the_world_is_refused_by_name() {
    let refusal = refusal(guests::SOCKETS);
    assert!(matches!(refusal, AdmissionError::ForeignImport { .. }), "{refusal}");
    says(&refusal, &["`wasi:sockets/", "operators have no network"]);
}

#[test]
fn an_import_that_the_contract_lacks_is_refused_by_name() {
    let refusal = refusal(guests::MISSING_IMPORT);
    assert!(matches!(refusal, AdmissionError::MisfittingImport { .. }), "{refusal}");
    says(&refusal, &["weir:operator/telemetry@0.1.0", "shout"]);
}

#[test]
fn exports_must_be_there_and_fit() {
    assert_eq!(
        refusal(guests::MISSING_EXPORT),
        AdmissionError::MissingExport { interface: "operators", name: "describe".into() }
    );
    says(&refusal(guests::MISFIT_EXPORT), &["the export `describe` has another type"]);
}

#[test]
fn describe_must_return_and_do_nothing_else() {
    says(&refusal(guests::DESCRIBE_TRAPS), &["`describe` failed", "nothing to say"]);
    says(&refusal(guests::DESCRIBE_IMPORTS), &["`describe` failed", "telemetry.log is legal only from `open` on"]);
    says(&refusal(guests::DESCRIBE_LOOPS), &["`describe` failed", "ms of CPU time"]);
}

#[test]
fn a_description_must_make_sense() {
    says(&refusal(guests::DESCRIBE_NONSENSE), &["two operators with the name `same`"]);
}

#[test]
fn examples_and_bench_guests_are_admitted() {
    for path in [guests::KEYED_COUNT, guests::WORD_COUNT, guests::WORD_COUNT_RAW] {
        let component = guests::load(path).expect("the component is admitted");
        assert!(component.operators().len() > 0, "{path}");
        assert!(component.factory("no-such-operator").is_none());
    }
}
