//! A real node: the `weir` binary as a process of its own, on a data folder that outlives it.
//!
//! Starts it, talks to it over REST, kills it for real. Dropping a node kills it. Does not own the data folder.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use weir_engine::clock::Clock;

/// A running `weir serve`.
#[derive(Debug)]
pub struct Node {
    process: Child,
    /// Where it listens, as `http://ADDRESS`.
    pub url: String,
    log: PathBuf,
    client: reqwest::Client,
    clock: Clock,
}

/// How a node is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The binary that cargo built: `weir`, or `weir-killable`.
    pub program: &'static str,
    /// The working folder.
    pub folder: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// The object store, a path or a URL, where it is not in the data folder.
    pub store: Option<PathBuf>,
    /// What the node writes goes behind what is there.
    pub log: PathBuf,
    /// Environment variables beside those of this process.
    pub environment: Vec<(&'static str, OsString)>,
}

/// How long a node may take to answer its first request.
const START_MAX: Duration = Duration::from_secs(60);

/// How long a request may take.
const REQUEST_MAX: Duration = Duration::from_secs(60);

/// Lines of a log that are shown.
const LOG_LINES: usize = 40;

/// Ports that Linux gives to nobody by itself, unless it is set up otherwise.
const PORTS: std::ops::Range<u32> = 15_000..32_000;

/// The binary `weir` that cargo built beside this process's own.
///
/// # Errors
/// When it is not there.
pub fn binary() -> Result<PathBuf> {
    built("weir")
}

/// A binary that cargo built beside this process's own, which is a test or a binary itself.
///
/// # Errors
/// When it is not there.
pub fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut found = own.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    found
        .find(|binary| binary.is_file())
        .with_context(|| format!("`{name}` is missing; build it with `cargo build --workspace --bins`"))
}

/// An address that is free, and that nobody is likely to take meanwhile.
pub(crate) fn free_address() -> Result<SocketAddr> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    for _ in PORTS {
        let offset = std::process::id().wrapping_mul(97).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + offset % (PORTS.end - PORTS.start)).context("ports have 16 bits")?;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok(listener.local_addr()?);
        }
    }
    bail!("no port is free")
}

impl Launch {
    /// `weir` on a data folder, which is its working folder too and holds its log, `node.log`.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self {
            program: "weir",
            folder: data.to_owned(),
            data: data.to_owned(),
            store: None,
            log: data.join("node.log"),
            environment: Vec::new(),
        }
    }
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
        let mut node = Self::spawn(&Launch { folder: folder.to_owned(), ..Launch::new(data) })?;
        node.answers().await?;
        Ok(node)
    }

    /// Starts a node, and waits for nothing.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn spawn(launch: &Launch) -> Result<Self> {
        std::fs::create_dir_all(&launch.data)?;
        let address = free_address()?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&launch.log)?;
        let mut command = Command::new(built(launch.program)?);
        command.args(["serve", "--listen", &address.to_string(), "--data"]).arg(&launch.data);
        if let Some(store) = &launch.store {
            command.arg("--store").arg(store);
        }
        // A node logs as much as it does by itself, wherever the tests run.
        command.env_remove("WEIR_LOG");
        command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(&launch.folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn()?;
        let client = reqwest::Client::builder().no_proxy().timeout(REQUEST_MAX).build()?;
        let (url, log) = (format!("http://{address}"), launch.log.clone());
        Ok(Self { process, url, log, client, clock: Clock::system() })
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// When it ends, or does not answer in time; with the end of its log.
    pub async fn answers(&mut self) -> Result<()> {
        let start = self.clock.elapsed();
        while self.client.get(format!("{}/api/v1/health", self.url)).send().await.is_err() {
            if let Some(status) = self.ended()? {
                bail!("the node ended with {status}:\n{}", self.log());
            }
            if self.clock.elapsed() - start > START_MAX {
                bail!("the node does not answer:\n{}", self.log());
            }
            self.clock.sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// How it ended; `None`: it runs.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// The end of what the node has logged, over all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        log_end(&self.log)
    }

    /// Sends SIGKILL and waits until the process is gone; how it ended, of that or before.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn kill(mut self) -> Result<ExitStatus> {
        self.process.kill()?;
        Ok(self.process.wait()?)
    }

    /// Holds every thread of the process where it is, as a machine that is paused would be.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Whether the process is paused, by whomever.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn is_paused(&self) -> Result<bool> {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let state = status.rsplit_once(')').context("a status holds the process's name in brackets")?.1.trim_start();
        Ok(state.starts_with('T'))
    }

    /// The memory that the process has.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process has memory")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes << 10)
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.process.id().cast_signed()).context("process 0 is no child")?;
        Ok(kill_process(pid, signal)?)
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

    /// What a metric without labels, a whole number, stands at.
    ///
    /// # Errors
    /// When there is none.
    pub async fn metric(&self, name: &str) -> Result<u64> {
        let page = self.client.get(format!("{}/metrics", self.url)).send().await?.error_for_status()?.text().await?;
        let sample = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(sample.with_context(|| format!("no metric `{name}`:\n{page}"))?.parse()?)
    }

    /// What `GET` answers at a path.
    ///
    /// # Errors
    /// When the node answers with an error.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.answer(self.client.get(format!("{}{path}", self.url))).await
    }

    /// Asks for a job's end.
    ///
    /// # Errors
    /// When the node refuses it.
    pub async fn cancel(&self, job: &str) -> Result<Value> {
        self.answer(self.client.post(format!("{}/api/v1/jobs/{job}/cancel", self.url))).await
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

    /// Waits until a job's status is as wanted, and gives it.
    ///
    /// # Errors
    /// When it is not so in time.
    pub async fn until(&self, job: &str, within: Duration, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let start = self.clock.elapsed();
        loop {
            let status = self.get(&format!("/api/v1/jobs/{job}")).await?;
            if is_so(&status) {
                return Ok(status);
            }
            ensure!(self.clock.elapsed() - start < within, "it never came: {status}\n{}", self.log());
            self.clock.sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until this life of the node has completed so many checkpoints of a job, and gives its status.
    ///
    /// # Errors
    /// When they are not there in time.
    pub async fn completes(&self, job: &str, checkpoints: u64, within: Duration) -> Result<Value> {
        self.until(job, within, |status| status["checkpoints"]["completed"].as_u64() >= Some(checkpoints)).await
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

/// The end of a node's log.
#[must_use]
pub fn log_end(log: &Path) -> String {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
