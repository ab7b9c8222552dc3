//! Credentials that are wrong or missing: what is said, where it happened, and the mend; and never the secret.

use anyhow::{Result, ensure};
use weir_engine::clock::Entropy;
use weir_engine::store::StoreError;
use weir_protocol::Fault;
use weir_tests::servers::{BUCKET, Server};

use super::{open, open_with, with};

/// What the start probe says.
async fn refusal(location: &str, variables: Vec<(&str, &str)>) -> Result<String> {
    let refused = match open_with(location, variables) {
        Ok(store) => store.probe(&Entropy::system()).await,
        Err(error) => Err(error),
    };
    match refused {
        Err(error @ StoreError::Refused { .. }) => {
            ensure!(error.fault() == Fault::Request, "{error}");
            Ok(error.to_string())
        }
        other => anyhow::bail!("{location}: {other:?}"),
    }
}

fn says(text: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(text.contains(word), "`{word}` is not in: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn wrong_credentials_are_refused_with_the_place_and_the_mend() -> Result<()> {
    let s3 = Server::s3().await?;
    let location = format!("s3://{BUCKET}/weir");
    let wrong = refusal(&location, with(&s3, "AWS_SECRET_ACCESS_KEY", "geheim")).await?;
    says(&wrong, &[&location, "does not accept the credentials (SignatureDoesNotMatch)", "AWS_SECRET_ACCESS_KEY"])?;
    let unknown = refusal(&location, with(&s3, "AWS_ACCESS_KEY_ID", "nobody")).await?;
    says(&unknown, &[&location, "does not accept the credentials (", "AWS_ACCESS_KEY_ID"])?;
    let azure = Server::azure().await?;
    let location = format!("az://{BUCKET}/weir");
    let denied = refusal(&location, with(&azure, "AZURE_STORAGE_ACCOUNT_KEY", "Z2VoZWlt")).await?;
    says(&denied, &[&location, "AZURE_STORAGE_ACCOUNT_KEY"])?;
    for text in [wrong, unknown, denied] {
        ensure!(!text.contains("geheim") && !text.contains("Z2VoZWlt"), "a secret is shown: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn missing_credentials_are_refused_with_where_they_are_taken_from() -> Result<()> {
    let half = refusal("s3://b/weir", vec![("AWS_ACCESS_KEY_ID", "x")]).await?;
    says(&half, &["s3://b/weir", "AWS_SECRET_ACCESS_KEY"])?;
    let no_account = refusal("az://c/weir", Vec::new()).await?;
    says(&no_account, &["az://c/weir", "AZURE_STORAGE_ACCOUNT_NAME"])?;
    let no_file = refusal("gs://b/weir", vec![("GOOGLE_SERVICE_ACCOUNT", "/nowhere/key.json")]).await?;
    says(&no_file, &["gs://b/weir", "/nowhere/key.json"])
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_refused_by_name() -> Result<()> {
    let s3 = Server::s3().await?;
    says(&refusal("s3://nowhere/weir", s3.variables()).await?, &["s3://nowhere/weir", "does not exist"])?;
    let azure = Server::azure().await?;
    says(&refusal("az://nowhere/weir", azure.variables()).await?, &["az://nowhere/weir", "does not exist"])
}

#[tokio::test]
async fn a_server_that_has_gone_is_away_and_not_refused() -> Result<()> {
    let server = Server::s3().await?;
    let store = open(&format!("s3://{BUCKET}/weir"), &server)?;
    store.probe(&Entropy::system()).await?;
    drop(server);
    let error = store.probe(&Entropy::system()).await.unwrap_err();
    ensure!(error.fault() == Fault::Unavailable, "{error}");
    Ok(())
}
