//! Timers and time in memory; the interface `timers` of the contract.

use super::{Call, Pending, with};
use crate::timers::TimeDomain;

pub(crate) fn register_many(domain: TimeDomain, keys: &[u32], at: &[i64], tag: u32) {
    for timer in timers(domain, keys, at, tag) {
        with(|scene| scene.world.timers.insert(timer));
    }
}

pub(crate) fn cancel_many(domain: TimeDomain, keys: &[u32], at: &[i64], tag: u32) {
    for timer in timers(domain, keys, at, tag) {
        with(|scene| scene.world.timers.remove(&timer));
    }
}

pub(crate) fn watermark() -> i64 {
    with(|scene| scene.world.watermark)
}

pub(crate) fn processing_time() -> i64 {
    with(|scene| scene.world.processing_time)
}

fn timers(domain: TimeDomain, keys: &[u32], at: &[i64], tag: u32) -> Vec<Pending> {
    assert_eq!(keys.len(), at.len(), "trap: as many times as keys");
    with(|scene| {
        scene.expect_call(&[Call::Process, Call::Timers], "a timer");
        let event_time = domain == TimeDomain::EventTime;
        let pending = keys.iter().zip(at);
        pending.map(|(&key, &at)| Pending { event_time, at, key: scene.key(key).to_vec(), tag }).collect()
    })
}
