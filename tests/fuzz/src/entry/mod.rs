//! Entries of both chains, and the manifests in them.
//!
//! Claims: decoding never panics; what was encoded is decoded as it was; whatever is decoded holds together, stands in
//! the one spelling of the frame, and is written and read again as the same; what does not hold together, or was
//! damaged, is refused.

mod made;

use weir_protocol::chain::{EntryHash, RunEntry, SpecEntry};
use weir_protocol::document::{self, DocumentError};
use weir_protocol::id::EntryNumber;
use weir_protocol::key_group::MaxParallelism;
use weir_protocol::recovery::{recover, restore};
use xxhash_rust::xxh3::xxh3_64;

use crate::choices::Choices;
use crate::damage::damage;

pub(crate) use made::value as any_json;

/// Checks the claims for one input.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    match choices.below(5) {
        0 => bytes(choices.rest()),
        1 => bytes(&framed(choices.rest())),
        2 => run_entry(&made::run_entry(&mut choices)),
        3 => spec_entry(&made::spec_entry(&mut choices)),
        _ => damaged(&mut choices, refuses),
    }
}

/// A body in a frame whose checksum is right: what only a writer with a bug could leave behind.
fn framed(body: &[u8]) -> Vec<u8> {
    let head = format!("{{\"format\":1,\"xxh3\":\"{:016x}\",\"body\":", xxh3_64(body));
    [head.as_bytes(), body, b"}\n"].concat()
}

/// Any bytes, read as both kinds of entry under the number that they claim.
fn bytes(bytes: &[u8]) {
    let body = document::decode::<serde_json::Value>(1, bytes);
    let number = body.ok().and_then(|body| body.get("number")?.as_u64()).map_or(EntryNumber(0), EntryNumber);
    if let Ok(stored) = RunEntry::decode(number, bytes) {
        accepted(bytes);
        assert_eq!(stored.hash, EntryHash::of(bytes), "the hash is that of the bytes");
        assert_eq!(stored.entry.check(), Ok(()), "what is decoded holds together");
        assert_eq!(stored.entry.number, number, "it is the entry that was asked for");
        use_run(&stored.entry);
        run_entry(&stored.entry);
    }
    if let Ok(stored) = SpecEntry::decode(number, bytes) {
        accepted(bytes);
        assert_eq!(stored.entry.number, number, "it is the entry that was asked for");
        spec_entry(&stored.entry);
    }
}

/// The frame admits one spelling.
fn accepted(bytes: &[u8]) {
    let head = framed(b"").len() - 2;
    let body = bytes.get(head..bytes.len() - 2).unwrap_or_default();
    assert_eq!(shown(bytes), shown(&framed(body)), "what is decoded stands in the one spelling of the frame");
}

/// What is done with an entry that was read must not panic either.
fn use_run(entry: &RunEntry) {
    let manifest = &entry.manifest;
    assert!(manifest.objects().count() <= manifest.blobs().count());
    let _bytes = manifest.bytes();
    for subtasks in manifest.operators.values() {
        let all = manifest.max_parallelism.range(0, 1);
        assert!(restore(subtasks, all).files.len() <= subtasks.iter().flat_map(|s| s.state_files()).count());
        let one = MaxParallelism::DEFAULT.range(1, 2);
        assert!(restore(subtasks, one).files.iter().all(|file| !file.key_groups.is_empty()));
    }
}

/// What holds together is read as it was written; what does not is refused.
fn run_entry(entry: &RunEntry) {
    let bytes = entry.encode();
    let decoded = RunEntry::decode(entry.number, &bytes);
    match (entry.check(), decoded) {
        (Ok(()), Ok(stored)) => {
            assert_eq!(stored.entry, *entry, "an entry is read as it was written");
            assert_eq!(stored.entry.encode(), bytes, "and written as it was read");
        }
        (Err(_), Err(DocumentError::Unsound(_))) => {}
        (sound, decoded) => unreachable!("checked: {sound:?}, decoded: {decoded:?}"),
    }
    let other = EntryNumber(entry.number.0 ^ 1);
    assert!(RunEntry::decode(other, &bytes).is_err(), "an entry is not read under another number");
}

fn spec_entry(entry: &SpecEntry) {
    let bytes = entry.encode();
    let sound = (entry.number == EntryNumber(0)) == entry.parent.is_none();
    match SpecEntry::decode(entry.number, &bytes) {
        Ok(stored) => {
            assert!(sound, "only entry 0 has no parent");
            assert_eq!(stored.entry, *entry, "an entry is read as it was written");
            assert_eq!(stored.entry.encode(), bytes, "and written as it was read");
            let _decision = recover(&stored.entry, None);
        }
        Err(error) => assert!(!sound, "a sound entry was refused: {error}"),
    }
}

/// Which of the two chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chain {
    Run,
    Spec,
}

fn refuses(chain: Chain, number: EntryNumber, bytes: &[u8]) -> bool {
    match chain {
        Chain::Run => RunEntry::decode(number, bytes).is_err(),
        Chain::Spec => SpecEntry::decode(number, bytes).is_err(),
    }
}

/// What was damaged is refused.
fn damaged(choices: &mut Choices<'_>, refuses: impl Fn(Chain, EntryNumber, &[u8]) -> bool) {
    let chain = *choices.pick(&[Chain::Run, Chain::Spec]);
    let (number, whole) = match chain {
        Chain::Run => {
            let entry = made::run_entry(choices);
            (entry.number, entry.encode())
        }
        Chain::Spec => {
            let entry = made::spec_entry(choices);
            (entry.number, entry.encode())
        }
    };
    let Some(damaged) = damage(&whole, choices) else { return };
    let noticed = refuses(chain, number, &damaged);
    assert!(noticed, "damage was not noticed:\n{}\n{}", shown(&whole), shown(&damaged));
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Chain, damaged, framed};
    use crate::noticed::is_noticed;
    use weir_protocol::chain::SpecEntry;

    /// Reads a body whatever the checksum in its frame is.
    #[test]
    fn decoder_that_trusts_the_checksum_would_be_noticed() {
        let trusting = |chain, number, bytes: &[u8]| {
            let head = framed(b"").len() - 2;
            let body = bytes.get(head..bytes.len().saturating_sub(2)).unwrap_or_default();
            chain == Chain::Run || SpecEntry::decode(number, &framed(body)).is_err()
        };
        assert!(is_noticed(|choices| damaged(choices, trusting)));
    }
}
