//! What every store that Weir takes must do.

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures::future::join_all;
use weir_engine::clock::{Clock, Entropy};
use weir_engine::store::{ChainName, Creation, DataKind, ObjectName, Prefix, Store};
use weir_protocol::Fault;
use weir_protocol::chain::Owner;
use weir_protocol::id::{EntryNumber, JobId, Nonce, SubtaskId};
use weir_tests::servers::{BUCKET, Server};

use super::open;

/// Creates of one name at one moment.
const RIVALS: u8 = 16;
/// Names that they race for.
const RACES: u64 = 12;

fn entry(job: u128, number: u64) -> ObjectName {
    ObjectName::entry(&ChainName::Run(JobId(job)), EntryNumber(number))
}

fn data(job: u128) -> ObjectName {
    let owner = Owner { number: EntryNumber(0), nonce: Nonce(1) };
    let subtask = SubtaskId { uid: "count".parse().unwrap(), index: 0 };
    ObjectName::data(JobId(job), owner, &subtask, 1, DataKind::State)
}

async fn keeps_the_contract(store: &Store) -> Result<()> {
    store.probe(&Entropy::system()).await?;
    store.try_out(JobId(1)).await?;
    ensure!(store.folders(&Prefix::jobs()).await?.is_empty(), "the probes left something behind");
    one_of_many_creates_wins(store).await?;
    chains_are_listed(store).await?;
    what_is_deleted_is_gone(store).await?;
    large_objects_come_back_whole(store).await
}

async fn one_of_many_creates_wins(store: &Store) -> Result<()> {
    for number in 0..RACES {
        let name = entry(1, number);
        let creates = (0..RIVALS).map(|rival| store.put_if_absent(&name, Bytes::from(vec![rival])));
        let creations = join_all(creates).await;
        let won = |(rival, creation): (u8, &Creation)| (*creation == Creation::Created).then_some(rival);
        let winners: Vec<u8> = (0..RIVALS).zip(&creations).filter_map(won).collect();
        ensure!(winners.len() == 1, "{winners:?} won {name}: {creations:?}");
        ensure!(store.get(&name).await? == Some(Bytes::from(winners)), "{name} does not hold what its winner wrote");
    }
    Ok(())
}

async fn chains_are_listed(store: &Store) -> Result<()> {
    let chain = ChainName::Run(JobId(1));
    let numbers = |from: u64| (from..RACES).map(EntryNumber).collect::<Vec<_>>();
    for from in [0, 1, 7, RACES - 1, RACES] {
        ensure!(store.entries(&chain, EntryNumber(from)).await? == numbers(from), "from {from}");
    }
    store.put(&entry(2, 0), Bytes::from_static(b"two")).await?;
    ensure!(store.folders(&Prefix::jobs()).await? == [JobId(1), JobId(2)].map(|job| job.to_string()), "folders");
    Ok(())
}

async fn what_is_deleted_is_gone(store: &Store) -> Result<()> {
    let name = entry(2, 0);
    store.delete(&name).await?;
    ensure!(store.get(&name).await?.is_none(), "what was deleted is there");
    store.delete(&name).await?;
    ensure!(store.entries(&ChainName::Run(JobId(2)), EntryNumber(0)).await?.is_empty(), "what was deleted is listed");
    Ok(())
}

async fn large_objects_come_back_whole(store: &Store) -> Result<()> {
    let bytes: Bytes = (0..(20 << 20) + 3_u32).map(|at| at.wrapping_mul(0x9e37_79b1).to_le_bytes()[3]).collect();
    for _ in 0..2 {
        store.put(&data(3), bytes.clone()).await?;
        ensure!(store.get(&data(3)).await?.is_some_and(|found| found == bytes), "a large object came back otherwise");
    }
    let found = store.list(&Prefix::data(JobId(3))).await?;
    ensure!(found.iter().map(|found| found.bytes).eq([bytes.len() as u64]), "{found:?}");
    Ok(())
}

#[tokio::test]
async fn folders_keep_the_contract_of_stores() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = Clock::system();
    let location = folder.path().to_string_lossy().into_owned();
    for location in [location.clone() + "/a", format!("FILE://{location}/b")] {
        keeps_the_contract(&Store::new(weir_engine::store::open(&location, &clock)?, clock)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn memory_keeps_the_contract_of_stores() -> Result<()> {
    let clock = Clock::system();
    keeps_the_contract(&Store::new(weir_engine::store::open("memory://", &clock)?, clock)).await
}

#[tokio::test]
async fn s3_keeps_the_contract_of_stores() -> Result<()> {
    let server = Server::s3().await?;
    keeps_the_contract(&open(&format!("S3://{BUCKET}/one/of/two"), &server)?).await?;
    keeps_the_contract(&open(&format!("s3a://{BUCKET}/one/of/too"), &server)?).await?;
    keeps_the_contract(&open(&format!("s3://{BUCKET}/other"), &server)?).await
}

#[tokio::test]
async fn azure_keeps_the_contract_of_stores() -> Result<()> {
    let server = Server::azure().await?;
    keeps_the_contract(&open(&format!("az://{BUCKET}/one"), &server)?).await?;
    keeps_the_contract(&open(&format!("ABFSS://{BUCKET}/other"), &server)?).await
}

/// Its client creates through Google's XML interface, with a condition; a server that does not know it overwrites.
#[tokio::test]
async fn a_gcs_server_that_ignores_the_condition_is_refused_by_name() -> Result<()> {
    let server = Server::gcs().await?;
    let location = format!("gs://{BUCKET}/weir");
    let store = open(&location, &server)?;
    let error = store.probe(&Entropy::system()).await.unwrap_err();
    ensure!(error.fault() == Fault::Request, "{error}");
    let text = error.to_string();
    ensure!(text.contains(&location) && text.contains("create-if-absent"), "{text}");
    // What its JSON interface and plain writes do serve.
    store.put(&entry(1, 0), Bytes::from_static(b"x")).await?;
    ensure!(store.get(&entry(1, 0)).await?.is_some_and(|found| found == "x"), "what was written cannot be read");
    ensure!(store.entries(&ChainName::Run(JobId(1)), EntryNumber(0)).await? == [EntryNumber(0)], "it is not listed");
    Ok(())
}
