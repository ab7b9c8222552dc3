//! The job that benches measure: a generator, an exchange by key, one operator that reads the keys it is given, and a
//! sink that keeps nothing.

use std::sync::Arc;

use futures::future::{BoxFuture, ready};
use weir_engine::job::{Operators, OperatorsError};
use weir_operator::operator::Factory;
use weir_protocol::job_graph::StateSpec;
use weir_protocol::job_spec::{
    CheckpointSpec, ErrorSpec, GeneratorSpec, InputSpec, JobSpec, KeyDistribution, KeySpec, LimitSpec, OperatorSpec,
    OutputRef, PartitionSpec, RestartSpec, SinkConnector, SinkSpec, SourceConnector, SourceSpec,
};
use weir_protocol::key_group::MaxParallelism;

/// Whatever a job names, it gets this.
#[derive(Debug)]
pub struct OneOperator(pub Arc<dyn Factory>);

impl Operators for OneOperator {
    fn factory<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Arc<dyn Factory>, OperatorsError>> {
        Box::pin(ready(Ok(Arc::clone(&self.0))))
    }
}

/// What a measured job differs in.
#[derive(Debug)]
pub struct KeyedJob<'a> {
    /// Its operator.
    pub factory: &'a dyn Factory,
    /// What that is configured with.
    pub config: serde_json::Value,
    /// How many keys there are, and in which order they come.
    pub keys: u64,
    /// The same.
    pub distribution: KeyDistribution,
    /// The length of each record's value.
    pub value_bytes: u32,
    /// Of all its parts.
    pub parallelism: u32,
    /// Between two checkpoints.
    pub checkpoint_ms: u64,
    /// Where the operator's state is.
    pub state: StateSpec,
}

impl KeyedJob<'_> {
    /// The whole job; its operator's component is called after the operator.
    ///
    /// # Panics
    /// Never: all names are names.
    #[must_use]
    pub fn spec(self) -> JobSpec {
        let uid = |text: &str| text.parse().expect("a name");
        let output = |from: &str| OutputRef { uid: uid(from), port: None };
        let generator = GeneratorSpec {
            rate: None,
            count: None,
            keys: self.keys,
            distribution: self.distribution,
            value_bytes: self.value_bytes,
        };
        let input = InputSpec {
            input: "records".to_owned(),
            from: output("numbers"),
            partition: PartitionSpec::Hash(KeySpec::Carried),
        };
        let name = &self.factory.description().name;
        let operator = OperatorSpec {
            uid: uid("keyed"),
            component: name.clone(),
            operator: name.clone(),
            parallelism: None,
            inputs: vec![input],
            config: self.config,
        };
        let source =
            SourceSpec { uid: uid("numbers"), parallelism: None, connector: SourceConnector::Generator(generator) };
        let sink = SinkSpec {
            uid: uid("nowhere"),
            parallelism: None,
            from: vec![output("keyed")],
            connector: SinkConnector::Blackhole,
        };
        JobSpec {
            name: "bench".parse().expect("a name"),
            max_parallelism: MaxParallelism::DEFAULT,
            parallelism: self.parallelism,
            checkpoint: Some(CheckpointSpec::every_ms(self.checkpoint_ms)),
            state: self.state,
            restart: RestartSpec::default(),
            errors: ErrorSpec::default(),
            limits: LimitSpec::default(),
            sources: vec![source],
            operators: vec![operator],
            sinks: vec![sink],
        }
    }
}
