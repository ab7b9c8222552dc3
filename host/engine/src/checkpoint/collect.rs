//! What nothing names any more goes.
//!
//! Performs what [`garbage`] allows after an entry that stands: first the objects that only dropped entries name, then
//! those entries; and now and then what earlier owners uploaded and no entry ever named. Works in the background, one
//! collection at a time, and gives up at the first error: what was not deleted is found again by the next collection,
//! and what an owner that died left behind by the next owner. After a job's end there is no next owner: what the last
//! one did not get to delete stays until the job itself is deleted. Does not own which entries are dropped.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt;
use weir_protocol::chain::{Confirmed, Owner};
use weir_protocol::garbage::{self, Deletion, Listed};
use weir_protocol::id::{EntryNumber, JobId};
use weir_protocol::time::Timestamp;

use super::chain::RunOwner;
use super::inspect::Holds;
use crate::clock::Clock;
use crate::spawn::{Runtime, TaskGroup};
use crate::step::{Place, Step};
use crate::store::{ChainName, Found, ObjectName, Prefix, Store, StoreError};

/// How old an object must be that no entry names before it counts as left behind.
pub const ORPHAN_GRACE: Duration = Duration::from_secs(60 * 60);

/// The collector of one attempt at a job. Dropping it stops it where it stands.
#[derive(Debug)]
pub struct Collector {
    store: Store,
    clock: Clock,
    job: JobId,
    runtime: Runtime,
    holds: Holds,
    running: Option<TaskGroup<Collected>>,
    listed: Vec<Listed>,
    list_again_at: Timestamp,
}

/// Deletes what was copied for a job that never began: whoever copied it died, or gave up.
pub async fn sweep(store: &Store, job: JobId, now: Timestamp) {
    let swept = async {
        let found = store.list(&Prefix::data(job)).await?;
        if found.iter().all(|object| object.modified_at.saturating_add_unsigned(grace_ms()) < now) {
            for object in &found {
                delete(store, job, &object.name).await?;
            }
        }
        Ok::<_, StoreError>(())
    };
    if let Err(error) = swept.await {
        tracing::warn!(%job, %error, "what a job that never began left behind stays until the next start");
    }
}

/// What a collection has done.
#[derive(Debug, Default)]
struct Collected {
    /// Entries that are deleted, with all that only they named.
    entries: Vec<EntryNumber>,
    /// What earlier owners made, where it was listed.
    listed: Option<Vec<Listed>>,
}

impl Collector {
    /// Idle; collections run on `runtime`.
    #[must_use]
    pub fn new(store: Store, clock: Clock, job: JobId, runtime: Runtime) -> Self {
        let (holds, listed, list_again_at) = (Holds::default(), Vec::new(), Timestamp::MIN);
        Self { store, clock, job, runtime, holds, running: None, listed, list_again_at }
    }

    /// The same, but nothing is deleted while someone looks at it.
    #[must_use]
    pub fn heeding(mut self, holds: Holds) -> Self {
        self.holds = holds;
        self
    }

    /// Begins to delete what may go now that the owner's newest entry stands; does nothing while an earlier collection
    /// is still on its way, or while someone looks at what may go. Does not wait. False: someone looks.
    pub fn collect(&mut self, owner: &mut RunOwner, confirmed: Confirmed) -> bool {
        if self.holds.has(self.job, self.clock.now()) {
            return false;
        }
        self.begin(owner, confirmed);
        true
    }

    fn begin(&mut self, owner: &mut RunOwner, confirmed: Confirmed) {
        if let Some(running) = &mut self.running {
            let Some(ended) = running.next().now_or_never() else { return };
            self.take(owner, ended.and_then(Result::ok));
        }
        let deletion = garbage::dropped(owner.ownership(), confirmed);
        let orphans = self.orphans(owner, confirmed);
        let list = self.clock.now() >= self.list_again_at;
        if deletion == Deletion::default() && orphans.is_empty() && !list {
            return;
        }
        let (store, job, who) = (self.store.clone(), self.job, owner.owner());
        let mut task = TaskGroup::new(self.runtime.clone());
        task.spawn("collect garbage", async move {
            let mut done = Collected::default();
            let collected = perform(&store, job, (deletion, orphans), list.then_some(who), &mut done).await;
            if let Err(error) = collected {
                tracing::warn!(%job, %error, "garbage stays until the next collection");
            }
            done
        });
        self.running = Some(task);
    }

    /// Waits for a collection that is on its way.
    pub async fn finish(&mut self, owner: &mut RunOwner) {
        if let Some(running) = &mut self.running {
            let ended = running.next().await;
            self.take(owner, ended.and_then(Result::ok));
        }
    }

    fn take(&mut self, owner: &mut RunOwner, ended: Option<(String, Collected)>) {
        self.running = None;
        let Some((_, Collected { entries, listed })) = ended else { return };
        for entry in entries {
            owner.ownership_mut().deleted(entry);
        }
        if let Some(listed) = listed {
            self.listed = listed;
            self.list_again_at = self.clock.now().saturating_add_unsigned(grace_ms());
        }
    }

    /// Those of the last listing that are old enough by now and that nothing names. What this attempt made itself is
    /// never listed: its subtasks may yet contribute it.
    fn orphans(&mut self, owner: &RunOwner, confirmed: Confirmed) -> Vec<String> {
        let (held, now) = (BTreeSet::new(), self.clock.now());
        let orphans = garbage::orphans(owner.ownership(), confirmed, &self.listed, &held, now, grace_ms());
        self.listed.retain(|listed| !orphans.contains(&listed.name));
        orphans
    }
}

async fn perform(
    store: &Store,
    job: JobId,
    (deletion, orphans): (Deletion, Vec<String>),
    list_earlier_than: Option<Owner>,
    done: &mut Collected,
) -> Result<(), StoreError> {
    for object in deletion.objects.iter().chain(&orphans) {
        // A manifest that names anything else was refused when it was read.
        if let Some(name) = ObjectName::of_manifest(job, object) {
            delete(store, job, &name).await?;
        }
    }
    for entry in deletion.entries {
        delete(store, job, &ObjectName::entry(&ChainName::Run(job), entry)).await?;
        done.entries.push(entry);
    }
    if let Some(owner) = list_earlier_than {
        let found = store.list(&Prefix::data(job)).await?;
        let earlier = found.into_iter().filter_map(listed).filter(|listed| listed.made_by < owner.number);
        done.listed = Some(earlier.collect());
    }
    Ok(())
}

async fn delete(store: &Store, job: JobId, name: &ObjectName) -> Result<(), StoreError> {
    Step::Deletion.before(Place::of_job(job));
    store.delete(name).await?;
    Step::Deletion.after(Place::of_job(job));
    Ok(())
}

fn listed(found: Found) -> Option<Listed> {
    let made_by = found.name.owner()?.number;
    Some(Listed { name: found.name.to_string(), made_by, modified: found.modified_at })
}

fn grace_ms() -> u64 {
    u64::try_from(ORPHAN_GRACE.as_millis()).expect("the grace time is an hour")
}
