//! What a job's `paths` name, and the files that are there.
//!
//! A path is a file, a folder (with all below it), or a pattern, in which `*` stands for any characters of one name and
//! a name `**` for any number of folders. Links to files are followed, links to folders are not. A file's name, under
//! which its position is recorded, is its path as the job writes it.

use std::fs::{self, FileType};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use weir_protocol::Fault;

use crate::source::SourceError;

/// One of a job's paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// As the job writes it.
    text: String,
    /// The part without wildcards.
    root: PathBuf,
    /// What follows, one name after the other; empty: the root itself, a file or a folder.
    pattern: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**`
    AnyFolders,
    /// A name, perhaps with `*` in it.
    Name(String),
}

impl Place {
    pub(super) fn parse(text: &str) -> Result<Self, SourceError> {
        let path = local_path(text)?;
        let mut root = PathBuf::from(if path.starts_with('/') { "/" } else { "" });
        let mut pattern = Vec::new();
        for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
            match name {
                "**" => pattern.push(Segment::AnyFolders),
                name if !pattern.is_empty() || name.contains('*') => pattern.push(Segment::Name(name.to_owned())),
                name => root.push(name),
            }
        }
        if path.is_empty() {
            return Err(request("a path is empty; use `.` for the working folder".to_owned()));
        }
        Ok(Self { text: text.to_owned(), root, pattern })
    }

    /// Checks, when a job is accepted, that there is something to read, or that it may come.
    pub(super) fn check(&self, follow: bool) -> Result<(), SourceError> {
        match fs::metadata(self.directory()) {
            Ok(found) if found.is_dir() => {
                fs::read_dir(self.directory()).map_err(|error| request(self.unreadable(&error)))?;
                let is_empty_pattern = !self.pattern.is_empty() && !follow && self.files().is_ok_and(|f| f.is_empty());
                if is_empty_pattern {
                    return Err(request(format!("no file matches `{}`", self.text)));
                }
                Ok(())
            }
            Ok(_) if self.pattern.is_empty() => {
                fs::File::open(&self.root).map(|_file| ()).map_err(|error| request(self.unreadable(&error)))
            }
            Ok(_) => Err(request(format!("`{}` is a file, so nothing matches `{}`", self.root.display(), self.text))),
            Err(error) if error.kind() == ErrorKind::NotFound && follow && self.may_appear() => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(request(self.missing(follow))),
            Err(error) => Err(request(self.unreadable(&error))),
        }
    }

    /// The files that are there now, by name. What does not exist has none.
    pub(super) fn files(&self) -> Result<Vec<String>, SourceError> {
        let mut files = Vec::new();
        let walked = match fs::metadata(self.directory()) {
            Ok(found) if found.is_dir() && self.pattern.is_empty() => {
                walk(&self.root, &[Segment::AnyFolders], &mut files)
            }
            Ok(found) if found.is_dir() => walk(&self.root, &self.pattern, &mut files),
            Ok(_) => add(&self.root, &mut files),
            Err(error) => Err(error),
        };
        match walked {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(SourceError { fault: Fault::Unavailable, message: self.unreadable(&error) })
            }
            _ => Ok(files),
        }
    }

    /// A folder, or something that looks like one, can be waited for; a file that is missing is a slip.
    fn may_appear(&self) -> bool {
        let looks_like_file = self.root.file_name().is_some_and(|name| name.as_encoded_bytes().contains(&b'.'));
        !self.pattern.is_empty() || self.text.ends_with('/') || !looks_like_file
    }

    fn directory(&self) -> &Path {
        if self.root.as_os_str().is_empty() { Path::new(".") } else { &self.root }
    }

    fn missing(&self, follow: bool) -> String {
        let mend = if follow {
            "create it first, or end the path with `/` if it is a folder to wait for"
        } else {
            "check the path (it counts from the folder in which the server was started)"
        };
        format!("`{}` does not exist: {mend}", self.text)
    }

    fn unreadable(&self, error: &io::Error) -> String {
        format!("cannot read `{}`: {error}", self.text)
    }
}

/// The path on this machine that a text means.
fn local_path(text: &str) -> Result<&str, SourceError> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(text) };
    match (scheme, rest.starts_with('/')) {
        ("file", true) => Ok(rest),
        ("file", false) => Err(request(format!("`{text}` names another machine; write file:///, then the whole path"))),
        _ => Err(request(format!("`{text}`: {scheme}:// cannot be read yet, only local paths and file:// URLs"))),
    }
}

fn walk(folder: &Path, pattern: &[Segment], files: &mut Vec<String>) -> io::Result<()> {
    let Some((segment, rest)) = pattern.split_first() else { return Ok(()) };
    if *segment == Segment::AnyFolders && !rest.is_empty() {
        walk(folder, rest, files)?;
    }
    let listed = fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?;
    for entry in listed {
        let entry = entry?;
        let name = entry.file_name();
        let path = folder.join(&name);
        let is_match = match segment {
            Segment::AnyFolders => true,
            Segment::Name(wanted) => matches(wanted.as_bytes(), name.as_encoded_bytes()),
        };
        let walked = match Kind::of(entry.file_type()?, &path) {
            Kind::File if is_match && rest.is_empty() => add(&path, files),
            Kind::Folder if is_match && *segment == Segment::AnyFolders => walk(&path, pattern, files),
            Kind::Folder if is_match => walk(&path, rest, files),
            Kind::File | Kind::Folder | Kind::Other => Ok(()),
        };
        // What vanishes while it is looked at is not there.
        walked.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    }
    Ok(())
}

fn add(path: &Path, files: &mut Vec<String>) -> io::Result<()> {
    let not_text = || io::Error::new(ErrorKind::InvalidData, format!("the name {} is not UTF-8", path.display()));
    files.push(path.to_str().ok_or_else(not_text)?.to_owned());
    Ok(())
}

enum Kind {
    File,
    Folder,
    Other,
}

impl Kind {
    fn of(kind: FileType, path: &Path) -> Self {
        if kind.is_dir() {
            Self::Folder
        } else if kind.is_file() || kind.is_symlink() && fs::metadata(path).is_ok_and(|found| found.is_file()) {
            Self::File
        } else {
            Self::Other
        }
    }
}

/// Whether a name matches one in which each `*` stands for any number of bytes.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let Some(star) = pattern.iter().position(|&byte| byte == b'*') else { return pattern == name };
    let (start, rest) = (&pattern[..star], &pattern[star + 1..]);
    let Some(name) = name.strip_prefix(start) else { return false };
    (0..=name.len()).any(|skipped| matches(rest, &name[skipped..]))
}

pub(super) fn request(message: String) -> SourceError {
    SourceError { fault: Fault::Request, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a.txt", "b.md", ".hidden", "d/a.txt", "d/e/a.txt", "d/e/f/c.md", "x-1-y"] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let root = format!("{}/", folder.path().display());
        let mut files = Place::parse(&format!("{root}{pattern}")).unwrap().files().unwrap();
        files.sort();
        let files: Vec<&str> = files.iter().map(|file| file.strip_prefix(&root).unwrap()).collect();
        assert_eq!(files, expected, "{pattern}");
    }

    #[test]
    fn patterns_match_names_and_folders() {
        check("a.txt", &["a.txt"]);
        check("*", &[".hidden", "a.txt", "b.md", "x-1-y"]);
        check("*.txt", &["a.txt"]);
        check("x*1*y", &["x-1-y"]);
        check("d", &["d/a.txt", "d/e/a.txt", "d/e/f/c.md"]);
        check("d/*", &["d/a.txt"]);
        check("**/a.txt", &["a.txt", "d/a.txt", "d/e/a.txt"]);
        check("d/**/*.md", &["d/e/f/c.md"]);
        check("*/e/*", &["d/e/a.txt"]);
        check("**", &[".hidden", "a.txt", "b.md", "d/a.txt", "d/e/a.txt", "d/e/f/c.md", "x-1-y"]);
        check("nothing/*", &[]);
        check("./d//a.txt", &["d/a.txt"]);
    }

    #[test]
    fn what_is_missing_is_an_error_unless_it_may_come() {
        let folder = tempfile::tempdir().unwrap();
        let check = |path: &str, follow| {
            let place = Place::parse(&format!("{}/{path}", folder.path().display())).unwrap();
            place.check(follow).map_err(|error| error.message)
        };
        for path in ["in", "in/", "in/*.txt", "in.d/"] {
            assert!(check(path, false).unwrap_err().contains("does not exist"), "{path}");
            assert_eq!(check(path, true), Ok(()), "{path}");
        }
        assert!(check("in.txt", true).unwrap_err().contains("does not exist"));
        assert!(check("*.txt", false).unwrap_err().contains("no file matches"));
        assert_eq!(check("*.txt", true), Ok(()));
        assert_eq!(check("", false), Ok(()));
    }

    #[test]
    fn only_local_urls_can_be_read() {
        assert_eq!(Place::parse("file:///a/b*").unwrap().root, Path::new("/a"));
        for refused in ["s3://bucket/a", "file://host/a", ""] {
            let error = Place::parse(refused).unwrap_err();
            assert_eq!(error.fault, Fault::Request);
            assert!(error.message.contains(refused), "{error}");
        }
    }
}
