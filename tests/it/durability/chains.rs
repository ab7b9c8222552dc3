//! Chains over stores that fail: at most one writer of each number, and nobody is told what did not happen.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use object_store::memory::InMemory;
use weir_engine::checkpoint::chain::{ChainError, RunOwner, SpecChain, newest, run_entry};
use weir_engine::clock::{Clock, Entropy};
use weir_engine::store::Store;
use weir_protocol::chain::{EntryKind, Next, Wanted};
use weir_protocol::id::{CheckpointId, EntryNumber, JobId};
use weir_protocol::manifest::Manifest;
use weir_tests::faulty_store::{FaultyStore, Outcome};

use super::counting_job::{create, spec};

const JOB: JobId = JobId(7);

fn specs(store: &Store, clock: Clock) -> SpecChain {
    SpecChain::new(store.clone(), clock, JOB)
}

async fn take_over(store: &Store, clock: Clock, entropy: &Entropy) -> Result<RunOwner, ChainError> {
    let newest = newest(store, JOB).await?;
    let start = specs(store, clock).start(entropy, EntryNumber(0), &spec());
    RunOwner::take_over(store.clone(), clock, newest, &start)
}

async fn checkpoint(owner: &mut RunOwner, entropy: &Entropy) -> Result<EntryNumber, ChainError> {
    let entry = &owner.newest().expect("an entry stands").entry;
    let checkpoint = CheckpointId(entry.highest_checkpoint.0 + 1);
    let (manifest, published) = (Manifest { checkpoint, ..entry.manifest.clone() }, entry.published.clone());
    let next = Next { nonce: entropy.nonce(), at: 0, kind: EntryKind::Checkpoint, manifest, published };
    Ok(owner.append(next).await?.number())
}

#[tokio::test]
async fn of_two_owners_that_race_on_a_chain_at_most_one_goes_on() {
    for seed in 0..64 {
        let (inner, clock, entropy) = (Arc::new(InMemory::new()), Clock::system(), Entropy::seeded(seed));
        let sound = Store::new(Arc::clone(&inner) as _, clock);
        create(&specs(&sound, clock), &entropy).await.unwrap();
        let mut owners = Vec::new();
        for owner in 0..2 {
            // No faults, but the two take turns by the seed.
            let store = FaultyStore::seeded(Arc::clone(&inner) as _, 2 * seed + owner, 0);
            owners.push(take_over(&Store::new(Arc::new(store), clock), clock, &entropy).await.unwrap());
        }
        let settled = join_all(owners.iter_mut().map(RunOwner::settle)).await;
        let won = settled.iter().filter(|settled| settled.is_ok()).count();
        assert_eq!(won, 1, "seed {seed}: {settled:?}");
        for (owner, settled) in owners.iter_mut().zip(&settled) {
            let went_on = checkpoint(owner, &entropy).await;
            assert_eq!(went_on.is_ok(), settled.is_ok(), "seed {seed}: {went_on:?}");
        }
    }
}

#[tokio::test]
async fn an_older_owner_that_comes_back_stops_at_its_next_entry() {
    let (clock, entropy) = (Clock::system(), Entropy::seeded(1));
    let store = Store::new(Arc::new(InMemory::new()), clock);
    let mut old = create(&specs(&store, clock), &entropy).await.unwrap();
    let mut new = take_over(&store, clock, &entropy).await.unwrap();
    new.settle().await.unwrap();
    for _ in 0..3 {
        checkpoint(&mut new, &entropy).await.unwrap();
    }
    let lost = checkpoint(&mut old, &entropy).await.unwrap_err();
    assert!(matches!(lost, ChainError::Lost { .. }), "{lost}");
    let lost = checkpoint(&mut old, &entropy).await.unwrap_err();
    assert!(matches!(lost, ChainError::Lost { .. }), "it does not try again: {lost}");
    checkpoint(&mut new, &entropy).await.unwrap();
}

#[tokio::test]
async fn an_owner_that_hears_nothing_finds_out_whether_its_entry_exists() {
    for last in [Outcome::AppliedUnanswered, Outcome::Failed] {
        let (inner, clock, entropy) = (Arc::new(InMemory::new()), Clock::system(), Entropy::seeded(1));
        let sound = Store::new(Arc::clone(&inner) as _, clock);
        create(&specs(&sound, clock), &entropy).await.unwrap();
        // One call is the listing and one the reading of entry 0; the third is the create.
        let store = Store::new(Arc::new(FaultyStore::failing(Arc::clone(&inner) as _, 2..3, last)), clock);
        let mut owner = take_over(&store, clock, &entropy).await.unwrap();
        let number = owner.settle().await.unwrap().number();
        let stored = run_entry(&sound, JOB, number).await.unwrap().unwrap();
        assert_eq!((number, stored.entry.owner), (EntryNumber(1), owner.owner()), "{last:?}");
    }
}

#[tokio::test]
async fn wishes_of_many_nodes_are_all_in_the_chain_each_under_its_own_number() {
    let (inner, clock, entropy) = (Arc::new(InMemory::new()), Clock::system(), Entropy::seeded(1));
    let sound = Store::new(Arc::clone(&inner) as _, clock);
    create(&specs(&sound, clock), &entropy).await.unwrap();
    let nodes = (0..8).map(async |node| {
        let store = Store::new(Arc::new(FaultyStore::seeded(Arc::clone(&inner) as _, node, 50)), clock);
        let mut wanted = spec();
        wanted.parallelism = u32::try_from(node).unwrap() + 2;
        specs(&store, clock).want(&Entropy::seeded(node), &Wanted::Deploy(Box::new(wanted))).await.unwrap()
    });
    let numbers: BTreeSet<_> = join_all(nodes).await.into_iter().collect();
    assert_eq!(numbers, (1..=8).map(EntryNumber).collect());
    let again = specs(&sound, clock).newest().await.unwrap();
    let same = specs(&sound, clock).want(&entropy, &again.entry.wanted).await.unwrap();
    assert_eq!(same, EntryNumber(8), "what is wanted already is not written again");
}
