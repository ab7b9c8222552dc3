//! What is said of state: in `[state]`, and as Flink's files say it.

use weir_protocol::job_graph::{CheckpointStorage, StateBackend, StateSpec};

use super::components;
use crate::job_file;

const REST: &str = r#"
[[source]]
uid = "numbers"
type = "generator"
[[sink]]
uid = "nowhere"
type = "blackhole"
from = "numbers"
"#;

/// The state's settings and the warnings of a job that says this, or why it is refused.
fn read(said: &str) -> Result<(StateSpec, Vec<String>), String> {
    let draft = job_file::from_toml(&format!("name = \"j\"\n{said}\n{REST}")).map_err(|error| error.to_string())?;
    let spec = draft.resolve(&components()).map_err(|error| error.to_string())?;
    Ok((spec.state, draft.warnings().to_vec()))
}

fn state(said: &str) -> StateSpec {
    read(said).unwrap_or_else(|error| panic!("{said}: {error}")).0
}

#[test]
fn each_legacy_name_of_a_backend_is_accepted_and_mapped() {
    use CheckpointStorage::{JobManager, Store};
    use StateBackend::{HashMap, RocksDb};
    for (name, backend, storage) in [
        ("hashmap", HashMap, Store),
        ("HashMapStateBackend", HashMap, Store),
        ("filesystem", HashMap, Store),
        ("FsStateBackend", HashMap, Store),
        ("jobmanager", HashMap, JobManager),
        ("MemoryStateBackend", HashMap, JobManager),
        ("rocksdb", RocksDb, Store),
        ("RocksDBStateBackend", RocksDb, Store),
        ("EmbeddedRocksDBStateBackend", RocksDb, Store),
    ] {
        for said in [
            format!("state.backend = {name:?}"),
            format!("[state]\nbackend = {name:?}"),
            format!("\"state.backend\" = {name:?}"),
            format!("\"state.backend.type\" = {name:?}"),
            format!("[state.backend]\ntype = {name:?}"),
        ] {
            assert_eq!(state(&said), StateSpec { backend, storage, ..StateSpec::default() }, "{said}");
        }
    }
}

#[test]
fn any_other_backend_is_refused_with_those_there_are() {
    for name in ["forst", "org.apache.flink.contrib.streaming.state.RocksDBStateBackendFactory", "com.example.Mine"] {
        let error = read(&format!("state.backend = {name:?}")).unwrap_err();
        let shown = &name[..name.len().min(60)];
        for known in ["line 2", "`state.backend`", shown, "\"hashmap\"", "\"rocksdb\"", "\"MemoryStateBackend\""] {
            assert!(error.contains(known), "{known} is not in: {error}");
        }
    }
}

#[test]
fn flinks_keys_for_checkpoint_storage_are_mapped() {
    for said in [
        "state.storage = \"jobmanager\"",
        "state.checkpoint-storage = \"jobmanager\"",
        "\"execution.checkpointing.storage\" = \"JobManagerCheckpointStorage\"",
    ] {
        assert_eq!(state(said).storage, CheckpointStorage::JobManager, "{said}");
    }
    let said = "\"state.backend\" = \"MemoryStateBackend\"\n\"state.checkpoint-storage\" = \"filesystem\"";
    assert_eq!(state(said).storage, CheckpointStorage::Store, "what is said of the storage itself counts more");
}

#[test]
fn flinks_keys_for_rocksdb_are_mapped() {
    let said = r#"
"state.backend" = "rocksdb"
"state.backend.incremental" = "false"
"state.backend.rocksdb.localdir" = "/tmp/rocksdb"
"state.backend.rocksdb.memory.fixed-per-slot" = "64mb"
"#;
    let spec = StateSpec {
        backend: StateBackend::RocksDb,
        incremental: false,
        local_dir: Some("/tmp/rocksdb".to_owned()),
        memory_bytes: Some(64 << 20),
        ..StateSpec::default()
    };
    assert_eq!(read(said).unwrap(), (spec, Vec::new()));
    for said in ["state.incremental = false", "execution.checkpointing.incremental = false"] {
        assert!(!state(said).incremental, "{said}");
    }
}

#[test]
fn the_changelogs_keys_are_accepted_and_said_to_change_nothing() {
    for said in [
        "[state.backend.changelog]\nenabled = true\nstorage = \"filesystem\"",
        "\"state.backend.changelog.periodic-materialize.interval\" = \"10min\"",
        "\"state.changelog.enabled\" = true",
    ] {
        let (spec, warnings) = read(said).unwrap();
        assert_eq!(spec, StateSpec::default(), "{said}");
        assert!(warnings.len() == 1 && warnings[0].contains("state is a log"), "{warnings:?}");
    }
}

#[test]
fn checkpoints_in_memory_are_warned_of() {
    let (_, warnings) = read("state.backend = \"jobmanager\"").unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("5 MiB") && warnings[0].contains("lost when the node exits"), "{warnings:?}");
    assert_eq!(read("state.backend = \"rocksdb\"").unwrap().1, Vec::<String>::new());
}

#[test]
fn what_is_set_elsewhere_is_refused_with_the_place() {
    for (key, place) in [
        ("state.checkpoints.dir", "weir serve --store"),
        ("state.backend.fs.checkpointdir", "weir serve --store"),
        ("state.savepoints.dir", "weir serve --savepoint-dir"),
        ("state.backend.rocksdb.block.cache-size", "weir serve --rocksdb-cache"),
        ("state.backend.rocksdb.memory.fixed-per-tm", "weir serve --rocksdb-cache"),
        ("state.backend.rocksdb.writebuffer.size", "weir serve --rocksdb-write-buffer"),
        ("state.backend.rocksdb.writebuffer.count", "weir serve --rocksdb-write-buffer"),
        ("state.backend.rocksdb.thread.num", "weir serve --rocksdb-threads"),
        ("state.backend.rocksdb.checkpoint.transfer.thread.num", "four at once"),
        ("state.backend.rocksdb.options-factory", "no code but operators"),
        ("state.backend.rocksdb.compaction.level.max-size-level-base", "`memory` in [state]"),
        ("state.backend.rocksdb.metrics.block-cache-usage", "/metrics"),
        ("state.checkpoints.num-retained", "`retained` in [checkpoint]"),
        ("execution.checkpointing.interval", "`interval` in [checkpoint]"),
    ] {
        let error = read(&format!("{key:?} = \"s3://my-bucket/checkpoints\"")).unwrap_err();
        assert!(error.starts_with(&format!("line 2: `{key}` is not read: ")), "{error}");
        assert!(error.contains(place) && error.ends_with("; leave the key out"), "{error}");
    }
}

#[test]
fn flinks_keys_that_stand_in_the_table_of_state_are_told_what_they_are_called_there() {
    for (said, mend) in [
        ("\"state.backend.type\" = \"rocksdb\"", "what Flink calls `state.backend.type` is `backend` in [state]"),
        ("type = \"rocksdb\"", "what Flink calls `state.backend.type` is `backend` in [state]"),
        ("rocksdb.localdir = \"/tmp\"", "what Flink calls `state.backend.rocksdb.localdir` is `local-dir` in [state]"),
        (
            "state.backend.rocksdb.memory.fixed-per-slot = \"64mb\"",
            "what Flink calls `state.backend.rocksdb.memory.fixed-per-slot` is `memory` in [state]",
        ),
        (
            "execution.checkpointing.interval = \"1s\"",
            "`execution.checkpointing.interval` is not read: it is `interval` in [checkpoint]",
        ),
        ("interval = \"1s\"", "`execution.checkpointing.interval` is not read: it is `interval` in [checkpoint]"),
        (
            "\"state.checkpoints.dir\" = \"s3://b\"",
            "`state.checkpoints.dir` is not read: a job's checkpoints lie in the object store of its node, which is \
             started with `weir serve --store URL`",
        ),
    ] {
        let error = read(&format!("[state]\n{said}")).unwrap_err();
        assert!(
            error.starts_with("line 3: [state] has no key `")
                && !error.contains("state.state")
                && error.ends_with(mend),
            "{said}: {error}"
        );
    }
    for said in ["[state]\nttl = \"1h\"", "\"table.exec.state.ttl\" = \"1h\""] {
        let error = read(said).unwrap_err();
        assert!(error.contains("#[describe(ttl = \"1h\")]"), "{said}: {error}");
    }
}

#[test]
fn hardly_any_memory_is_refused_where_all_state_is_in_it_and_warned_of_where_the_rest_goes_to_disk() {
    let error = read("[state]\nmemory = 1000").unwrap_err();
    for words in ["line 3: `state.memory` is 1000B", "\"1MiB\" or more", "\"rocksdb\"", "[limits]"] {
        assert!(error.contains(words), "{words} is not in: {error}");
    }
    let (spec, warnings) = read("[state]\nmemory = 1000\nbackend = \"rocksdb\"").unwrap();
    assert_eq!((spec.memory_bytes, warnings.len()), (Some(1000), 1));
    assert!(warnings[0].contains("slowly") && warnings[0].contains("\"1MiB\""), "{warnings:?}");
    for said in ["[state]\nmemory = \"1m\"", "[state]\nmemory = \"1m\"\nbackend = \"rocksdb\""] {
        assert_eq!(read(said).unwrap().1, Vec::<String>::new(), "{said}");
    }
}

#[test]
fn what_asks_for_what_is_so_anyway_is_accepted() {
    for (key, said, other) in [
        ("state.backend.rocksdb.memory.managed", "true", "false"),
        ("state.backend.rocksdb.predefined-options", "\"DEFAULT\"", "\"FLASH_SSD_OPTIMIZED\""),
        ("execution.checkpointing.mode", "\"exactly_once\"", "\"AT_LEAST_ONCE\""),
        ("execution.checkpointing.unaligned.enabled", "\"false\"", "true"),
    ] {
        assert_eq!(read(&format!("{key:?} = {said}")), Ok((StateSpec::default(), Vec::new())), "{key}");
        assert!(read(&format!("{key:?} = {other}")).unwrap_err().contains("is not read"), "{key}");
    }
}

#[test]
fn timers_may_be_said_to_be_where_the_backend_keeps_them_and_nowhere_else() {
    const FACTORY: &str = "state.backend.rocksdb.timer-service.factory";
    let job = |backend: &str, place: &str| read(&format!("{FACTORY:?} = {place:?}\n\"state.backend\" = {backend:?}"));
    for (backend, places, other) in
        [("hashmap", ["HEAP", "heap"], "ROCKSDB"), ("rocksdb", ["ROCKSDB", "rocksdb"], "heap")]
    {
        for place in places {
            assert_eq!(
                job(backend, place),
                Ok((state(&format!("state.backend = {backend:?}")), Vec::new())),
                "{place}"
            );
        }
        let error = job(backend, other).unwrap_err();
        let mend = format!(
            "leave the key out, or say backend = \"{}\" in [state]",
            if backend == "hashmap" { "rocksdb" } else { "hashmap" }
        );
        assert!(error.starts_with(&format!("line 2: `{FACTORY}` is \"{}\", but ", other.to_uppercase())), "{error}");
        assert!(error.contains(&format!("the backend `{backend}`")) && error.ends_with(&mend), "{error}");
    }
    assert_eq!(read(&format!("{FACTORY:?} = \"HEAP\"")), Ok((StateSpec::default(), Vec::new())));
    let error = job("rocksdb", "FORST").unwrap_err();
    assert!(error.contains("must be one of \"HEAP\", \"ROCKSDB\", not the text \"FORST\""), "{error}");
}

#[test]
fn a_table_that_holds_nothing_is_no_less_a_key() {
    for (said, key) in [
        ("[table]", "table"),
        ("[table.exec]", "table.exec"),
        ("[execution]", "execution"),
        ("[state.bakend]", "state.bakend"),
        ("[state]\nbakend = {}", "state.bakend"),
    ] {
        let error = read(said).unwrap_err();
        assert!(error.contains(&format!("there is no key `{key}`; ")), "{said}: {error}");
    }
    assert!(read("[state.backend]").unwrap_err().contains("`state.backend` must be one of "));
    assert_eq!(read("[state]"), Ok((StateSpec::default(), Vec::new())));
}

#[test]
fn what_is_wrong_is_refused_with_its_line_and_the_mend() {
    for (said, expected) in [
        ("state.bakend = \"hashmap\"", "line 2: there is no key `state.bakend`; did you mean `state.backend`?"),
        ("state = 1", "line 2: `state` must be a table, not 1"),
        ("state.incremental = 1", "line 2: `state.incremental` must be true or false, not 1"),
        ("state.memory = 0", "line 2: `state.memory` must be more than 0"),
        ("state.memory = \"0MB\"", "line 2: `state.memory` must be more than 0"),
        ("state.local-dir = \"\"", "line 2: `state.local-dir` is empty; name a local folder"),
        (
            "state.incremental = true\n\"state.backend.incremental\" = false",
            "line 3: `state.incremental` and `state.backend.incremental` say different things; leave one out",
        ),
        (
            "state.backend = \"rocksdb\"\n\"state.backend\" = \"hashmap\"",
            "line 3: `state.backend` is written in two ways, which say different things; leave one out",
        ),
    ] {
        assert_eq!(read(said).unwrap_err(), expected, "{said}");
    }
}

#[test]
fn keys_of_which_one_begins_like_another_are_to_be_quoted() {
    for said in [
        "state.backend = \"rocksdb\"\nstate.backend.incremental = true",
        "state.backend.incremental = true\nstate.backend = \"rocksdb\"",
        "[state]\nbackend = \"rocksdb\"\n[state.backend]\nincremental = true",
    ] {
        let error = read(said).unwrap_err();
        assert!(error.contains("quote both: \"state.backend\" = \"rocksdb\" and "), "{said}: {error}");
    }
    let said = "\"state.backend\" = \"rocksdb\"\n\"state.backend.incremental\" = true";
    assert_eq!(state(said).backend, StateBackend::RocksDb);
}
