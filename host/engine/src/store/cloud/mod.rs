//! Opens the object stores of clouds, and of servers that speak their protocols.
//!
//! Receives a location and the environment's variables; guarantees that every request has a time-out and is tried again
//! a bounded number of times, and that a refusal of credentials says what was refused and where credentials are taken
//! from. Nothing is asked of the store yet: the start probe does that.

mod denial;
mod named;

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, Result, RetryConfig};

use super::StoreError;
use super::environment::Environment;
use super::location::{Cloud, CloudLocation, refused};
use named::Named;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one request may take, its body included. Large objects are written in parts, each a request of its own, and
/// a read that was cut off goes on where it stopped.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a request is sent again that the server did not answer, or answered with an error of its own. Whoever
/// called does so as well, and knows what may be repeated.
const RETRIES: usize = 3;
/// No request is sent again later than this.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Opens a part of a bucket.
pub(super) fn open(location: &CloudLocation, environment: &Environment) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let opened = match location.cloud {
        Cloud::S3 => s3(location, environment),
        Cloud::Gcs => gcs(location, environment),
        Cloud::Azure => azure(location, environment),
    };
    let bucket = opened.map_err(|error| refused(&location.to_string(), denial::of_settings(location.cloud, &error)))?;
    Ok(Arc::new(Named::new(PrefixStore::new(bucket, location.prefix.clone()), location.clone())))
}

fn s3(location: &CloudLocation, environment: &Environment) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::new().with_client_options(client()).with_retry(retry());
    for (key, value) in environment.beginning_with("AWS_") {
        if let Ok(key) = key.parse() {
            builder = builder.with_config(key, value);
        }
    }
    let endpoints = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    if endpoints.iter().find_map(|name| environment.get(name)).is_some_and(is_plain_http) {
        builder = builder.with_allow_http(true);
    }
    Ok(Arc::new(builder.with_bucket_name(&location.bucket).build()?))
}

fn gcs(location: &CloudLocation, environment: &Environment) -> Result<Arc<dyn ObjectStore>> {
    // Without encryption only where a key file or a variable names a server so.
    let client = client().with_allow_http(true);
    let mut builder = GoogleCloudStorageBuilder::new().with_client_options(client).with_retry(retry());
    for (key, value) in environment.beginning_with("GOOGLE_") {
        if let Ok(key) = key.parse() {
            builder = builder.with_config(key, value);
        }
    }
    Ok(Arc::new(builder.with_bucket_name(&location.bucket).build()?))
}

fn azure(location: &CloudLocation, environment: &Environment) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::new().with_client_options(client()).with_retry(retry());
    // These two are what Azure's own command line calls them.
    if let Some(account) = environment.get("AZURE_STORAGE_ACCOUNT") {
        builder = builder.with_account(account);
    }
    if let Some(key) = environment.get("AZURE_STORAGE_KEY") {
        builder = builder.with_access_key(key);
    }
    for (key, value) in environment.beginning_with("AZURE_") {
        if let Ok(key) = key.parse() {
            builder = builder.with_config(key, value);
        }
    }
    let endpoints = ["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"];
    if endpoints.iter().find_map(|name| environment.get(name)).is_some_and(is_plain_http) {
        builder = builder.with_allow_http(true);
    }
    builder = match location.bucket.contains('@') {
        true => builder.with_url(format!("abfss://{}/", location.bucket)),
        false => builder.with_container_name(&location.bucket),
    };
    Ok(Arc::new(builder.build()?))
}

/// Who writes `http://` means it.
fn is_plain_http(endpoint: &str) -> bool {
    endpoint.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("http://"))
}

fn client() -> ClientOptions {
    ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(REQUEST_TIMEOUT)
}

fn retry() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 2.0 };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT }
}
