//! What a cloud's refusal means for people: what was refused, and where the mend is.
//!
//! Clouds answer wrong, expired and missing credentials in as many ways as there are clouds, some of them as errors like
//! any other. What cannot be told apart by its kind is known by the words that its maker documents.

use std::fmt;

use object_store::Error;

use crate::store::cause::{cause, of_the_system};
use crate::store::location::{Cloud, CloudLocation};

/// A refusal that only people can mend.
#[derive(Debug)]
struct Denial {
    location: CloudLocation,
    why: Why,
    /// What the cloud calls it.
    code: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    NoCredentials,
    Expired,
    Wrong,
    Forbidden,
    NoBucket,
    Clock,
}

/// Words by which a reason is known, the most telling first.
const WORDS: [(&str, Why); 19] = [
    ("NoSuchBucket", Why::NoBucket),
    ("ContainerNotFound", Why::NoBucket),
    ("The specified bucket does not exist", Why::NoBucket),
    ("RequestTimeTooSkewed", Why::Clock),
    ("ExpiredToken", Why::Expired),
    ("TokenRefreshRequired", Why::Expired),
    ("RequestExpired", Why::Expired),
    ("invalid_grant", Why::Expired),
    ("not valid in the specified time frame", Why::Expired),
    ("InvalidAccessKeyId", Why::Wrong),
    ("XAdminUserNotFound", Why::Wrong),
    ("SignatureDoesNotMatch", Why::Wrong),
    ("InvalidToken", Why::Wrong),
    ("AuthenticationFailed", Why::Wrong),
    ("Server failed to authenticate the request", Why::Wrong),
    ("169.254.169.254", Why::NoCredentials),
    ("169.254.170.2", Why::NoCredentials),
    ("metadata.google.internal", Why::NoCredentials),
    ("metadata/identity", Why::NoCredentials),
];

/// The error with its mend, where only people can mend it; any other is given back as it is.
pub(super) fn explained(location: &CloudLocation, error: Error) -> Error {
    let text = error.to_string();
    let known = WORDS.iter().find(|(word, _)| text.contains(word)).map(|(_, why)| *why);
    let (why, path) = match (&error, known) {
        (Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. }, _) => return error,
        (Error::NotFound { .. }, None) => return error,
        (Error::Unauthenticated { path, .. }, known) => (known.unwrap_or(Why::Wrong), path.clone()),
        (Error::PermissionDenied { path, .. }, known) => (known.unwrap_or(Why::Forbidden), path.clone()),
        (_, Some(why)) => (why, String::new()),
        (_, None) => return reached(location.cloud, error),
    };
    let source = Box::new(Denial { location: location.clone(), why, code: code(&text).to_owned() });
    match why {
        Why::Forbidden | Why::NoBucket => Error::PermissionDenied { path, source },
        Why::NoCredentials | Why::Expired | Why::Wrong | Why::Clock => Error::Unauthenticated { path, source },
    }
}

/// The error; where nothing answered at all, with what may name the wrong server.
fn reached(cloud: Cloud, error: Error) -> Error {
    let server = match cloud {
        Cloud::S3 => "AWS_ENDPOINT_URL (without it Amazon's own, in AWS_REGION)",
        Cloud::Gcs => "the key file (without it Google's own)",
        Cloud::Azure => "AZURE_STORAGE_ENDPOINT (without it Azure's own)",
    };
    let is_silent = error.to_string().contains("error sending request");
    let Error::Generic { store, source } = error else { return error };
    if !is_silent {
        return Error::Generic { store, source };
    }
    let error = Error::Generic { store, source };
    let because = of_the_system(&error).map(|because| format!(": {because}")).unwrap_or_default();
    let said = cause(&error);
    let text = format!("{said}{because}; see whether that server can be reached from here: it is named by {server}");
    Error::Generic { store, source: text.into() }
}

/// Why a store cannot even be set up, and the mend.
pub(super) fn of_settings(cloud: Cloud, error: &Error) -> String {
    format!("{}; {}", cause(error), variables(cloud))
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { location, why, code } = self;
        let named = if code.is_empty() { String::new() } else { format!(" ({code})") };
        let variables = variables(location.cloud);
        match why {
            Why::NoCredentials => write!(
                f,
                "there are no credentials for `{location}`: none in the environment, and this machine's cloud gives \
                 none; {variables}, and start the node again"
            ),
            Why::Expired => {
                write!(f, "the credentials for `{location}` have expired{named}; {variables}, and start the node again")
            }
            Why::Wrong => {
                write!(f, "`{location}` does not accept the credentials{named}; {variables}, and start the node again")
            }
            Why::Forbidden => write!(
                f,
                "`{location}` does not allow this to who the credentials belong to{named}; grant them to read, write, \
                 list and delete objects there"
            ),
            Why::NoBucket => write!(f, "the bucket of `{location}` does not exist{named}; create it, or name another"),
            Why::Clock => {
                write!(f, "`{location}` finds this machine's clock wrong{named}; set it, for requests bear the time")
            }
        }
    }
}

impl std::error::Error for Denial {}

fn variables(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::S3 => {
            "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary ones, AWS_SESSION_TOKEN, beside \
             AWS_REGION and, for a server other than Amazon's, AWS_ENDPOINT_URL"
        }
        Cloud::Gcs => "set GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT to the path of a key file",
        Cloud::Azure => {
            "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_CLIENT_ID, \
             AZURE_CLIENT_SECRET and AZURE_TENANT_ID"
        }
    }
}

/// What stands between `<Code>` and its end.
fn code(text: &str) -> &str {
    let after = text.split_once("<Code>").map_or("", |(_, after)| after);
    let code = after.split_once("</Code>").map_or("", |(code, _)| code);
    if code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) { code } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location() -> CloudLocation {
        CloudLocation { cloud: Cloud::S3, bucket: "b".to_owned(), prefix: "p".into() }
    }

    fn told(error: Error) -> String {
        explained(&location(), error).to_string()
    }

    fn generic(text: &str) -> Error {
        Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn expired_credentials_are_told_from_wrong_ones_and_from_none() {
        let expired = told(generic("400 Bad Request: <Error><Code>ExpiredToken</Code></Error>"));
        assert!(expired.contains("have expired (ExpiredToken)") && expired.contains("AWS_SESSION_TOKEN"), "{expired}");
        let source = "<Code>SignatureDoesNotMatch</Code>".into();
        let wrong = told(Error::PermissionDenied { path: "x".to_owned(), source });
        assert!(wrong.contains("`s3://b/p` does not accept the credentials (SignatureDoesNotMatch)"), "{wrong}");
        let none = told(generic("Error performing PUT http://169.254.169.254/latest/api/token in 3s"));
        assert!(none.contains("there are no credentials"), "{none}");
        let source = "<Code>AccessDenied</Code>".into();
        let forbidden = told(Error::PermissionDenied { path: "x".to_owned(), source });
        assert!(forbidden.contains("grant them"), "{forbidden}");
    }

    #[test]
    fn a_bucket_that_is_missing_is_no_missing_object() {
        let missing = |text: &str| Error::NotFound { path: "x".to_owned(), source: text.to_owned().into() };
        assert!(told(missing("<Code>NoSuchBucket</Code>")).contains("does not exist (NoSuchBucket); create it"));
        assert!(matches!(explained(&location(), missing("<Code>NoSuchKey</Code>")), Error::NotFound { .. }));
    }

    #[test]
    fn a_server_that_does_not_answer_is_told_with_the_variable_that_names_it() {
        let silent = "Error performing PUT http://127.0.0.1:9/b/x in 1ms - HTTP error: error sending request";
        let error = explained(&location(), Error::Generic { store: "S3", source: silent.into() });
        assert!(matches!(error, Error::Generic { .. }), "it may answer later: {error:?}");
        let text = error.to_string();
        assert!(text.contains("http://127.0.0.1:9: HTTP error") && text.contains("AWS_ENDPOINT_URL"), "{text}");
    }

    #[test]
    fn what_may_pass_is_not_explained_away() {
        assert!(matches!(explained(&location(), generic("503 SlowDown")), Error::Generic { .. }));
    }
}
