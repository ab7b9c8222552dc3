use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;
use weir_protocol::job_spec::{FileFormat, StartPosition};

use super::super::contract::{self, Case};
use super::*;

/// A folder, and a source over it.
struct Folder {
    folder: TempDir,
    spec: FileSourceSpec,
}

impl Folder {
    fn new(format: FileFormat, follow: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = vec![format!("{}/", folder.path().display())];
        Self { folder, spec: FileSourceSpec { paths, format, follow, start: StartPosition::Beginning } }
    }

    fn name(&self, file: &str) -> String {
        format!("{}/{file}", self.folder.path().display())
    }

    fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = PathBuf::from(self.name(file));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn append(&self, file: &str, content: &str) {
        OpenOptions::new().append(true).open(self.name(file)).unwrap().write_all(content.as_bytes()).unwrap();
    }

    fn open(&self, positions: &Positions) -> Files {
        Files::open(&self.spec, 0, 1, positions, Clock::starting_at(0)).unwrap()
    }

    async fn started(&self) -> Files {
        self.open(&start(&self.spec).await.unwrap())
    }
}

/// Values until the source is idle or ends, and the reasons of what it gave up on.
async fn drain(source: &mut Files) -> (Vec<String>, Vec<RejectedRecord>) {
    let (mut values, mut rejected) = (Vec::new(), Vec::new());
    while let Polled::Batch { batch, rejects } = source.next().await.unwrap() {
        values.extend(batch.values.iter().map(|value| String::from_utf8_lossy(value.unwrap()).into_owned()));
        rejected.extend(rejects);
    }
    (values, rejected)
}

#[tokio::test]
async fn passes_the_contract_of_sources() {
    for follow in [false, true] {
        let folder = Folder::new(FileFormat::Ndjson, follow);
        for file in 0..5 {
            let line = |number: i32| if number % 97 == 0 { "not JSON\n".to_owned() } else { format!("{number}\r\n\n") };
            folder.write(&format!("d{}/f{file}", file % 2), (file * 700..file * 1_400).map(line).collect::<String>());
        }
        folder.write("empty", "");
        folder.write(
            "wide",
            format!("\"{}\"\n", "x".repeat(chunk::LINE_BYTES_MAX - 2)).repeat(3) + &"y".repeat(3 << 20) + "\n1\n",
        );
        for parallelism in [1, 3] {
            let open = |subtask, parallelism, positions: &Positions| -> Box<dyn Source> {
                Box::new(Files::open(&folder.spec, subtask, parallelism, positions, Clock::starting_at(0)).unwrap())
            };
            let start = start(&folder.spec).await.unwrap();
            let seen = contract::check(&Case { start, parallelism, open: &open }).await;
            let rejected = seen.keys().filter(|record| record.starts_with("rejected")).count();
            assert_eq!(rejected, 1 + (0..5).flat_map(|file| file * 700..file * 1_400).filter(|n| n % 97 == 0).count());
        }
    }
}

#[tokio::test]
async fn lines_are_what_lies_between_line_ends() {
    let folder = Folder::new(FileFormat::Lines, false);
    folder.write("a", "one\r\ntwo\n\nthree\rx\n last");
    assert_eq!(drain(&mut folder.started().await).await.0, ["one", "two", "", "three\rx", " last"]);
}

#[tokio::test]
async fn a_followed_file_is_read_to_its_last_line_feed() {
    let folder = Folder::new(FileFormat::Lines, true);
    folder.write("a", "one\ntw");
    let mut source = folder.started().await;
    assert_eq!(drain(&mut source).await.0, ["one"]);
    assert!(source.next().now_or_never().is_none(), "it waits");
    folder.append("a", "o\n");
    assert_eq!(drain(&mut source).await.0, ["two"]);
    folder.write("sub/b", "new\n");
    assert_eq!(drain(&mut source).await.0, ["new"]);
}

#[tokio::test]
async fn a_folder_that_is_missing_is_waited_for() {
    let mut folder = Folder::new(FileFormat::Lines, true);
    folder.spec.paths = vec![folder.name("later"), folder.name("*/x*.log")];
    let mut source = folder.started().await;
    assert_eq!(source.next().await.unwrap(), Polled::Idle);
    folder.write("later/x1.log", "in both places once\n");
    assert_eq!(drain(&mut source).await.0, ["in both places once"]);
}

#[tokio::test]
async fn the_end_is_where_it_was_when_the_job_was_accepted() {
    let mut folder = Folder::new(FileFormat::Lines, true);
    folder.spec.start = StartPosition::End;
    folder.write("a", "old\nha");
    folder.write("long", "x".repeat(5_000));
    let positions = start(&folder.spec).await.unwrap();
    folder.append("a", "lf\nnew\n");
    folder.write("b", "of a new file\n");
    assert_eq!(drain(&mut folder.open(&positions)).await.0, ["half", "new", "of a new file"]);
}

#[tokio::test]
async fn bounded_input_is_what_was_there_when_the_job_was_accepted() {
    let folder = Folder::new(FileFormat::Lines, false);
    folder.write("a", "a\n");
    let positions = start(&folder.spec).await.unwrap();
    folder.write("b", "b\n");
    assert_eq!(drain(&mut folder.open(&positions)).await.0, ["a"]);
}

#[tokio::test]
async fn a_file_that_was_cut_or_written_over_stops_and_the_others_go_on() {
    let long = "0123456789\n".repeat(2_000);
    for (change, named) in [
        ("0123\n".to_owned(), "has only 5 bytes"),
        (long.replacen('0', "X", 1) + "more\n", "no longer"),
        (format!("{}X\nmore\n", &long[..long.len() - 2]), "no longer"),
    ] {
        let folder = Folder::new(FileFormat::Lines, true);
        folder.write("a", &long);
        folder.write("b", "b\n");
        let mut source = folder.started().await;
        assert_eq!(drain(&mut source).await.0.len(), 2_001);
        folder.write("a", &change);
        folder.append("b", "c\n");
        let (values, rejected) = drain(&mut source).await;
        assert_eq!(values, ["c"]);
        assert_eq!(rejected.len(), 1);
        assert!(rejected[0].reason.contains(&folder.name("a")) && rejected[0].reason.contains(named), "{rejected:?}");
        folder.append("a", "still more\n");
        let mut restored = folder.open(&source.positions());
        assert_eq!(drain(&mut restored).await, (Vec::new(), Vec::new()), "it is named once, and never read again");
    }
}

#[tokio::test]
async fn a_line_that_is_no_json_is_given_up_on_with_its_place() {
    let folder = Folder::new(FileFormat::Ndjson, false);
    folder.write("a", b"{\"a\":1}\n{oops}\n \n\"\xff\"\n[2]");
    let (values, rejected) = drain(&mut folder.started().await).await;
    assert_eq!(values, [r#"{"a":1}"#, "[2]"]);
    let places: Vec<&str> = rejected.iter().map(|reject| reject.origin.as_str()).collect();
    assert_eq!(places, [folder.name("a:8"), folder.name("a:17")]);
    assert_eq!(rejected[0].value.as_deref(), Some(b"{oops}".as_slice()));
    assert!(rejected[0].reason.contains("no JSON") && rejected[1].reason.contains("UTF-8"), "{rejected:?}");
}

#[tokio::test]
async fn a_line_that_is_too_long_is_given_up_on_once_its_end_is_there() {
    let folder = Folder::new(FileFormat::Lines, true);
    folder.write("a", format!("1\n{}", "x".repeat(5 << 20)));
    let mut source = folder.started().await;
    assert_eq!(drain(&mut source).await, (vec!["1".to_owned()], Vec::new()));
    folder.append("a", &("x".repeat(5 << 20) + "\n2\n"));
    let (values, rejected) = drain(&mut source).await;
    assert_eq!(values, ["2"]);
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].origin, folder.name("a:2"));
    assert!(rejected[0].reason.contains("1048576"), "{rejected:?}");
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let folder = Folder::new(FileFormat::Lines, false);
    folder.write("a", "a\n");
    let positions = start(&folder.spec).await.unwrap();
    fs::remove_file(folder.name("a")).unwrap();
    let error = folder.open(&positions).next().await.unwrap_err();
    assert_eq!(error.fault, Fault::Unavailable);
    assert!(error.message.contains(&folder.name("a")), "{error}");
    let missing = FileSourceSpec { paths: vec![folder.name("a")], ..folder.spec.clone() };
    let error = start(&missing).await.unwrap_err();
    assert_eq!(error.fault, Fault::Request);
    assert!(error.message.contains(&folder.name("a")), "{error}");
}

#[tokio::test]
async fn a_position_of_another_kind_is_refused_by_name() {
    let folder = Folder::new(FileFormat::Lines, false);
    let positions = Positions::from([("a".to_owned(), json!({"next": 1}))]);
    let error = Files::open(&folder.spec, 0, 1, &positions, Clock::starting_at(0)).unwrap_err();
    assert_eq!(error.fault, Fault::Corrupt);
    assert!(error.message.contains("`a`"), "{error}");
}
