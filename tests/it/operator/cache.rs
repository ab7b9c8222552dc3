//! Compiled code on disk.

use std::path::PathBuf;

use weir_operator::component::Loader;
use weir_tests::guests;

fn only_file(folder: &tempfile::TempDir) -> PathBuf {
    let files: Vec<_> = std::fs::read_dir(folder).expect("the folder is there").collect();
    assert_eq!(files.len(), 1, "one file a component: {files:?}");
    files.into_iter().flatten().map(|file| file.path()).next().expect("there is one")
}

#[test]
fn compiled_code_is_kept_and_a_corrupt_file_is_compiled_anew() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let load = || {
        let loader = Loader::new(Some(folder.path().to_owned())).expect("the folder can be used");
        loader.load(&guests::bytes(guests::WORD_COUNT_RAW)).expect("the component is admitted")
    };
    let first = load();
    let path = only_file(&folder);
    let whole = std::fs::read(&path).expect("compiled code was kept");
    let written = || std::fs::metadata(&path).and_then(|file| file.modified()).expect("the file is there");
    let written_first = written();
    assert_eq!(load().hash(), first.hash());
    assert_eq!(written(), written_first, "whole code is used as it is");
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    for corrupt in [Vec::new(), whole[..whole.len() / 2].to_vec(), flipped(0), flipped(whole.len() - 1)] {
        std::fs::write(&path, corrupt).expect("the file can be written");
        assert!(load().operators().eq(first.operators()));
        assert_eq!(std::fs::read(&path).expect("it is there").len(), whole.len(), "it was compiled anew");
    }
}

#[test]
fn refused_components_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let loader = Loader::new(Some(folder.path().to_owned())).expect("the folder can be used");
    loader.load(&guests::bytes(guests::OTHER_WORLD)).expect_err("it is refused");
    assert_eq!(std::fs::read_dir(&folder).expect("the folder is there").count(), 0);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let refused = Loader::new(Some(file.path().join("below"))).expect_err("a file is no folder");
    assert!(refused.to_string().contains(&*file.path().to_string_lossy()), "{refused}");
}
