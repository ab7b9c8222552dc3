//! A job that goes on with another parallelism: what is kept for no key is dealt out anew, exactly once.

use std::sync::Arc;

use weir_operator::abilities::{Abilities, BroadcastState, NewRecords, OperatorState, ValueState};
use weir_operator::batch::{Batch, BytesColumn, OptionalColumn};
use weir_operator::keyed_state::EntryRange;
use weir_operator::native::{NativeError, NativeFactory, NativeOperator};
use weir_operator::operator::{Factory, OpenContext};
use weir_operator::turn::Origin;
use weir_protocol::chain::Wanted;
use weir_protocol::description::{
    Columns, InputDescription, InputKind, OperatorDescription, StateDescription, StateKind,
};
use weir_protocol::id::JobId;
use weir_protocol::job_spec::{InputSpec, JobSpec, PartitionSpec};

use super::operators::{Count, Faults};
use super::rig::{Rig, check_counts, generator, generator_job, keyed, operator, output, wait_for, wait_until};
use crate::checkpoint::chain::SpecChain;
use crate::clock::Entropy;
use crate::job::JobState;
use crate::store::Store;

const RECORDS: u64 = 20_000;
const RULES: u64 = 300;

/// Counts by key; keeps how many records each of its batches had (a split list), and every rule (a broadcast map). At
/// the end it emits `rows=` their sum, and `rules=` how many there are.
#[derive(Default)]
pub(super) struct Tally {
    count: Count,
    handles: Option<(ValueState, OperatorState, BroadcastState)>,
}

pub(super) fn factory() -> Arc<dyn Factory> {
    let columns = Columns { keys: true, values: true, timestamps: true };
    let input = |name: &str, kind| InputDescription { name: name.to_owned(), kind, columns };
    let state = |name: &str, kind| StateDescription {
        name: name.to_owned(),
        kind,
        codec: "u64".to_owned(),
        version: 1,
        ttl: None,
        properties: Vec::new(),
    };
    let description = OperatorDescription {
        name: "tally".to_owned(),
        doc: String::new(),
        inputs: vec![input("records", InputKind::Keyed), input("rules", InputKind::Broadcast)],
        outputs: vec!["counts".to_owned()],
        states: vec![
            state("count", StateKind::KeyedValue),
            state("rows", StateKind::OperatorSplit),
            state("rules", StateKind::Broadcast),
        ],
        config_schema: String::new(),
        properties: Vec::new(),
    };
    Arc::new(NativeFactory::new(description, Tally::default))
}

impl NativeOperator for Tally {
    fn open(&mut self, context: &OpenContext, abilities: &mut Abilities) -> Result<(), NativeError> {
        self.count.open(context, abilities)?;
        let value = abilities.value_state("count")?;
        self.handles = Some((value, abilities.operator_state("rows")?, abilities.broadcast_state("rules")?));
        Ok(())
    }

    fn process(&mut self, input: u32, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        let (_, rows, rules) = self.handles.expect("it was opened");
        if input == 1 {
            for rule in batch.values.iter().flatten() {
                abilities.put_broadcast(rules, rule, Some(b"on"))?;
            }
            return Ok(());
        }
        let mut list = abilities.get_operator_list(rows)?;
        list.push(&u64::from(batch.rows).to_le_bytes());
        abilities.set_operator_list(rows, list)?;
        self.count.process(0, batch, abilities)
    }

    fn finish(&mut self, abilities: &mut Abilities) -> Result<(), NativeError> {
        let (_, rows, rules) = self.handles.expect("it was opened");
        let rows: BytesColumn = abilities.get_operator_list(rows)?;
        let sum: u64 = rows.iter().map(|rows| u64::from_le_bytes(rows.try_into().expect("8 bytes"))).sum();
        let rules = abilities.scan_broadcast(rules, EntryRange { start: None, end: None, limit: 4_096 })?;
        let lines = [format!("rows={sum}"), format!("rules={}", rules.entries.len())];
        let values: OptionalColumn = lines.iter().map(|line| Some(line.as_bytes())).collect();
        Ok(abilities.emit(0, NewRecords::new(Origin::Unkeyed, values))?)
    }
}

fn job(rig: &Rig, parallelism: u32) -> JobSpec {
    let mut spec = generator_job(rig, "tally", RECORDS, 5);
    let (mut numbers, mut rules) =
        (generator("numbers", Some(RECORDS), Some(10_000), 5), generator("rules", Some(RULES), Some(300), 1));
    (numbers.parallelism, rules.parallelism) = (Some(1), Some(1));
    spec.sources = vec![numbers, rules];
    let to_all = InputSpec { input: "rules".to_owned(), from: output("rules"), partition: PartitionSpec::Broadcast };
    let mut tally = operator("count", "tally", vec![keyed("records", "numbers"), to_all]);
    tally.parallelism = Some(parallelism);
    spec.operators = vec![tally];
    spec
}

async fn want(rig: &Rig, job: JobId, spec: JobSpec) {
    let chain = SpecChain::new(Store::new(rig.store(), rig.clock), rig.clock, job);
    chain.want(&Entropy::seeded(9), &Wanted::Deploy(Box::new(spec))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_goes_on_with_another_parallelism_deals_out_its_state_exactly_once() {
    let rig = Rig::new();
    let mut engine = rig.start(&Faults::default()).await;
    let id = engine.submit(job(&rig, 2)).await.unwrap().id;
    for parallelism in [3, 3, 1, 4] {
        wait_until(&engine, id, |status| status.checkpoints.completed >= 2).await;
        drop(engine);
        want(&rig, id, job(&rig, parallelism)).await;
        engine = rig.start(&Faults::default()).await;
    }
    let status = wait_for(&engine, id, JobState::Finished).await;
    assert!(status.failures.is_empty(), "{:?}", status.failures);
    let (lines, counts): (Vec<_>, Vec<_>) =
        rig.published(id).into_iter().partition(|line| line.starts_with("rows=") || line.starts_with("rules="));
    check_counts(&counts, RECORDS, 5);
    let of = |name: &str| -> Vec<u64> {
        lines.iter().filter_map(|line| line.strip_prefix(name)).map(|number| number.parse().unwrap()).collect()
    };
    assert_eq!(of("rows=").iter().sum::<u64>(), RECORDS, "each element is on one subtask: {lines:?}");
    assert_eq!(of("rules="), [RULES; 4], "every subtask has every rule");
}
