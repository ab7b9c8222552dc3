//! Where an object store is, read from what a person wrote.
//!
//! Guarantees that a cloud's location holds no secret: what could be one is refused without being repeated.

use std::fmt;
use std::path::PathBuf;

use object_store::path::Path;

use super::StoreError;

/// Where an object store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// In this process; forgotten with it.
    Memory,
    /// A folder of this machine.
    Folder(PathBuf),
    /// At a cloud, or at a server that speaks its protocol.
    Cloud(CloudLocation),
}

/// A part of a cloud's bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CloudLocation {
    pub(super) cloud: Cloud,
    /// What stands between `//` and the next `/`: a bucket, or `container@account.host`.
    pub(super) bucket: String,
    /// All objects lie below it; may be empty.
    pub(super) prefix: Path,
}

/// Whose protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cloud {
    S3,
    Gcs,
    Azure,
}

/// What can be named, for refusals.
const KNOWN: &str = "a local folder, file:///…, s3://…, gs://…, az://… or memory://";

impl Location {
    /// Reads a path, or a URL whose scheme may be in any case. No text is no place: not the folder where the process runs,
    /// nor the root of its disk.
    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        if text.trim().is_empty() {
            return Err(refused(text, format!("it is empty; name {KNOWN}")));
        }
        let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            return Ok(Self::Folder(text.into()));
        };
        match (scheme.to_ascii_lowercase().as_str(), rest.strip_prefix("//")) {
            ("memory", _) => Ok(Self::Memory),
            ("file", after) => file(text, after.unwrap_or(rest)),
            (scheme, after) => match (Cloud::of_scheme(scheme), after) {
                (Some(cloud), Some(after)) => CloudLocation::parse(cloud, after).map(Self::Cloud),
                (Some(_), None) => Err(refused(text, format!("after `{scheme}:` come two slashes and a bucket"))),
                (None, Some(_)) => Err(refused(text, unsupported(scheme))),
                (None, None) => Ok(Self::Folder(text.into())),
            },
        }
    }
}

/// A single letter or a word with a slash is the begin of a path.
fn is_scheme(text: &str) -> bool {
    text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn file(text: &str, path: &str) -> Result<Location, StoreError> {
    if path.starts_with('/') {
        return Ok(Location::Folder(path.into()));
    }
    Err(refused(text, "this names another machine; write file:///, then the whole path".to_owned()))
}

fn unsupported(scheme: &str) -> String {
    match scheme {
        "hdfs" | "viewfs" | "webhdfs" | "swebhdfs" => format!(
            "{scheme}:// is not supported: Weir's object-store library does not speak HDFS itself, and the add-on \
             to it that does leaves files and folders behind which look like objects and jobs; put an S3 gateway in front of the cluster, such as Apache Ozone's, and name it as s3://…"
        ),
        _ => format!("there is no support for {scheme}://; name {KNOWN}"),
    }
}

impl Cloud {
    /// The schemes are also those that Hadoop's and Azure's tools use.
    fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" | "s3a" | "s3n" => Some(Self::S3),
            "gs" | "gcs" => Some(Self::Gcs),
            "az" | "azure" | "abfs" | "abfss" | "wasb" | "wasbs" => Some(Self::Azure),
            _ => None,
        }
    }

    const fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }
}

impl CloudLocation {
    fn parse(cloud: Cloud, text: &str) -> Result<Self, StoreError> {
        let hidden = format!("{}://…", cloud.scheme());
        if text.contains(['?', '#']) {
            let reason = "settings and credentials do not belong into the URL; they are taken from the environment";
            return Err(refused(&hidden, reason.to_owned()));
        }
        let (bucket, path) = text.split_once('/').unwrap_or((text, ""));
        if bucket.contains('@') && (cloud != Cloud::Azure || bucket.contains(':')) {
            let reason = "credentials do not belong into the URL; they are taken from the environment";
            return Err(refused(&hidden, reason.to_owned()));
        }
        let shown = format!("{}://{text}", cloud.scheme());
        if bucket.is_empty() {
            return Err(refused(&shown, "the bucket is missing".to_owned()));
        }
        let prefix = Path::parse(path.trim_end_matches('/'));
        let prefix = prefix.map_err(|error| refused(&shown, format!("the path cannot be used: {error}")))?;
        Ok(Self { cloud, bucket: bucket.to_owned(), prefix })
    }
}

impl fmt::Display for CloudLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.cloud.scheme(), self.bucket)?;
        if self.prefix.as_ref().is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// A place as it may be shown: of one that is refused, which may hold a secret, the scheme alone.
pub(crate) fn shown(location: &str) -> String {
    match (Location::parse(location), location.split_once("://")) {
        (Err(_), Some((scheme, _))) => format!("{scheme}://…"),
        _ => location.to_owned(),
    }
}

pub(super) fn refused(location: &str, reason: String) -> StoreError {
    StoreError::Refused { location: location.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(text: &str) -> CloudLocation {
        let Location::Cloud(location) = Location::parse(text).unwrap() else { panic!("{text} is at no cloud") };
        location
    }

    #[test]
    fn schemes_are_read_in_any_case() {
        for text in ["s3://b/c/d", "S3://b/c/d/", "s3a://b/c/d", "S3N://b/c/d"] {
            assert_eq!(cloud(text).to_string(), "s3://b/c/d", "{text}");
        }
        assert_eq!(cloud("GS://b").to_string(), "gs://b");
        assert_eq!(cloud("ABFSS://c@a.dfs.core.windows.net/p").to_string(), "az://c@a.dfs.core.windows.net/p");
        for text in ["memory:", "memory://", "MEMORY://trial"] {
            assert_eq!(Location::parse(text).unwrap(), Location::Memory, "{text}");
        }
        for text in ["file:///a/b", "FILE:///a/b", "file:/a/b", "/a/b"] {
            assert_eq!(Location::parse(text).unwrap(), Location::Folder("/a/b".into()), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_a_folder() {
        for text in ["weir-data/store", "a:b", "./s3:/x", "x:y/z"] {
            assert_eq!(Location::parse(text).unwrap(), Location::Folder(text.into()), "{text}");
        }
    }

    #[test]
    fn hdfs_is_refused_with_another_way() {
        for text in ["hdfs://namenode:40010/flink/checkpoints", "HDFS://x/y"] {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(error.contains("S3 gateway") && error.contains(text), "{error}");
        }
    }

    #[test]
    fn no_text_is_no_place() {
        for text in ["", "  "] {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(error.contains("it is empty") && error.contains("s3://"), "{error}");
        }
    }

    #[test]
    fn an_unknown_scheme_is_refused_with_those_there_are() {
        let error = Location::parse("ftp://host/x").unwrap_err().to_string();
        assert!(error.contains("ftp://") && error.contains("s3://") && error.contains("az://"), "{error}");
    }

    #[test]
    fn a_malformed_location_is_refused_with_the_mend() {
        for (text, mend) in [
            ("s3:bucket", "two slashes"),
            ("s3:///path", "bucket is missing"),
            ("s3://b/a//b", "path cannot be used"),
            ("file://host/a", "another machine"),
        ] {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(error.contains(mend), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_in_a_url_are_refused_and_not_repeated() {
        for text in ["s3://key:geheim@bucket/a", "az://c:geheim@a.b/x", "gs://b/x?token=geheim", "az://c/x?sig=geheim"]
        {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(error.contains("environment") && !error.contains("geheim"), "{text}: {error}");
            assert!(!shown(text).contains("geheim"), "{text}");
        }
    }
}
