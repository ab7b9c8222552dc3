//! What Flink itself does on the machine at hand, for benches to stand beside.
//!
//! Receives the file that `make flink` writes: JMH's, comma-separated. Does not own how Flink is measured
//! (`tests/flink`).

use std::collections::BTreeMap;

use weir_protocol::job_graph::StateBackend;

/// Operations a second, by the names of Flink's benchmarks and of its backends.
#[derive(Debug)]
pub struct FlinkFigures(BTreeMap<(String, String), f64>);

impl FlinkFigures {
    /// The figures of the file that the variable `FLINK` names; `None`: it names none.
    ///
    /// # Panics
    /// If there is no such file, or it is not JMH's.
    #[must_use]
    pub fn read() -> Option<Self> {
        let file = std::env::var("FLINK").ok().filter(|file| !file.is_empty())?;
        Some(Self::of_text(&std::fs::read_to_string(file).expect("FLINK names a file that can be read")))
    }

    fn of_text(text: &str) -> Self {
        let figure = |line: &str| {
            let fields: Vec<_> = line.split(',').map(|field| field.trim_matches('"').to_owned()).collect();
            let (benchmark, backend) = (fields.first()?, fields.last()?);
            let name = benchmark.rsplit('.').next()?.to_owned();
            Some(((name, backend.clone()), fields.get(4)?.parse().ok()?))
        };
        let lines = text.lines().skip(1).map(|line| figure(line).expect("JMH's lines have a score and a parameter"));
        Self(lines.collect())
    }

    /// Operations a second of an access, such as `map-put-all`.
    ///
    /// # Panics
    /// If it was not measured.
    #[must_use]
    pub fn of(&self, access: &str, backend: StateBackend) -> f64 {
        let mut words = access.split('-');
        let first = words.next().unwrap_or_default().to_owned();
        let name = words.fold(first, |name, word| format!("{name}{}{}", word[..1].to_uppercase(), &word[1..]));
        let backend = match backend {
            StateBackend::HashMap => "HEAP",
            StateBackend::RocksDb => "ROCKSDB",
        };
        *self.0.get(&(name, backend.to_owned())).expect("all accesses are measured on both backends")
    }
}

#[cfg(test)]
mod tests {
    use weir_protocol::job_graph::StateBackend;

    use super::FlinkFigures;

    #[test]
    fn a_figure_is_found_by_the_name_of_the_access_and_the_backend() {
        let text = "\"Benchmark\",\"Mode\",\"Threads\",\"Samples\",\"Score\",\"Score Error (99.9%)\",\"Unit\",\"Param: backend\"\n\
                    \"weir.StateAccess.mapPutAll\",\"thrpt\",1,5,892472.4,77925.1,\"ops/s\",HEAP\n\
                    \"weir.StateAccess.mapPutAll\",\"thrpt\",1,5,179644.0,83820.0,\"ops/s\",ROCKSDB\n";
        let figures = FlinkFigures::of_text(text);
        assert_eq!(figures.of("map-put-all", StateBackend::HashMap), 892_472.4);
        assert_eq!(figures.of("map-put-all", StateBackend::RocksDb), 179_644.0);
    }
}
