//! A real node: the `weir` binary as a process of its own, on a data folder that outlives it.
//!
//! Starts it, talks to it over REST, kills it for real. Dropping a node kills it. Does not own the data folder.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use weir_engine::clock::Clock;

/// A running `weir serve`.
#[derive(Debug)]
pub struct Node {
    process: Child,
    /// Where it listens, as `http://ADDRESS`.
    pub url: String,
    data: PathBuf,
    client: reqwest::Client,
    clock: Clock,
}

/// How long a node may take to answer its first request.
const START_MAX: Duration = Duration::from_secs(60);

/// The binary that cargo built beside this test.
///
/// # Errors
/// When it is not there.
pub fn binary() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("a test runs two folders below the target folder")?;
    let binary = folder.join("weir");
    if !binary.is_file() {
        bail!("{} is missing; build it with `cargo build --workspace --bins`", binary.display());
    }
    Ok(binary)
}

impl Node {
    /// Starts a node on a data folder, which is its working folder too, and waits until it answers.
    ///
    /// # Errors
    /// When it ends, or does not answer in time; with the end of its log.
    pub async fn start(data: &Path) -> Result<Self> {
        Self::start_in(data, data).await
    }

    /// Starts a node in a working folder, on a data folder, and waits until it answers. Its log is `node.log` in the
    /// data folder.
    ///
    /// # Errors
    /// When it ends, or does not answer in time; with the end of its log.
    pub async fn start_in(folder: &Path, data: &Path) -> Result<Self> {
        std::fs::create_dir_all(data)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(data.join("node.log"))?;
        let process = Command::new(binary()?)
            .args(["serve", "--listen", &address.to_string(), "--data"])
            .arg(data)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let url = format!("http://{address}");
        let mut node =
            Self { process, url, data: data.to_owned(), client: reqwest::Client::new(), clock: Clock::system() };
        node.answers().await?;
        Ok(node)
    }

    async fn answers(&mut self) -> Result<()> {
        let start = self.clock.elapsed();
        while self.client.get(format!("{}/api/v1/health", self.url)).send().await.is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("the node ended with {status}:\n{}", self.log());
            }
            if self.clock.elapsed() - start > START_MAX {
                bail!("the node does not answer:\n{}", self.log());
            }
            self.clock.sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// The end of what the node has logged, over all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.data.join("node.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Sends SIGKILL and waits until the process is gone.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Uploads a component.
    ///
    /// # Errors
    /// When the node refuses it.
    pub async fn upload(&self, name: &str, component: &Path) -> Result<Value> {
        let bytes = std::fs::read(component)?;
        let request = self.client.post(format!("{}/api/v1/components?name={name}", self.url));
        self.answer(request.header("content-type", "application/wasm").body(bytes)).await
    }

    /// Submits a job, written as TOML.
    ///
    /// # Errors
    /// When the node refuses it.
    pub async fn deploy(&self, job: &str) -> Result<Value> {
        let request = self.client.post(format!("{}/api/v1/jobs", self.url));
        self.answer(request.header("content-type", "application/toml").body(job.to_owned())).await
    }

    /// What `GET` answers at a path.
    ///
    /// # Errors
    /// When the node answers with an error.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.answer(self.client.get(format!("{}{path}", self.url))).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{status}: {text}\n{}", self.log());
        }
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }

    /// Waits until a job is in a state (Flink's words, such as `FINISHED`).
    ///
    /// # Errors
    /// When it ends in another state, or is not there in time.
    pub async fn reaches(&self, job: &str, state: &str, within: Duration) -> Result<()> {
        let start = self.clock.elapsed();
        loop {
            let status = self.get(&format!("/api/v1/jobs/{job}")).await?;
            let now = status["state"].as_str().unwrap_or_default().to_owned();
            if now == state {
                return Ok(());
            }
            let ended = ["FINISHED", "CANCELED", "FAILED"].contains(&now.as_str());
            if ended || self.clock.elapsed() - start > within {
                bail!("the job is {now}, not {state}: {status}\n{}", self.log());
            }
            self.clock.sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A node that was killed already needs no second time, and a test that failed has said why.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
