//! Real servers that speak the protocols of clouds: installed once, started for a test, stopped with the value.
//!
//! `tests/servers/install.sh` installs them below `WEIR_CACHE`; what it needs and does not find, it names, and the test
//! fails with that. What a server keeps goes with the value as well.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use weir_engine::clock::Clock;
use weir_engine::spawn::TaskGroup;

use crate::gcs_front;
use crate::node::{free_address, log_end};

/// How long a server may take to listen.
const START_MAX: Duration = Duration::from_secs(120);

/// The bucket, or container, that each server has.
pub const BUCKET: &str = "weir";

/// The key of Azurite's account: every Azurite has it.
const AZURITE_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Child,
    address: String,
    variables: Vec<(&'static str, String)>,
    folder: TempDir,
    /// What stands before it.
    front: Option<TaskGroup<()>>,
}

impl Server {
    /// S3, as versitygw speaks it over a folder.
    ///
    /// # Errors
    /// What is missing, or what the server says.
    pub async fn s3() -> Result<Self> {
        let program = installed("versitygw")?;
        let folder = tempfile::tempdir()?;
        std::fs::create_dir_all(folder.path().join("data").join(BUCKET))?;
        let address = free_address()?.to_string();
        let mut command = Command::new(program);
        command.args(["--port", &address, "--region", "us-east-1", "--quiet", "posix", "--sidecar"]);
        std::fs::create_dir_all(folder.path().join("metadata"))?;
        command.arg(folder.path().join("metadata")).arg(folder.path().join("data"));
        command.envs([("ROOT_ACCESS_KEY", "weir-test"), ("ROOT_SECRET_KEY", "weir-test-secret")]);
        let variables = vec![
            ("AWS_ENDPOINT_URL", format!("http://{address}")),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "weir-test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "weir-test-secret".to_owned()),
        ];
        Self::start(command, address, variables, folder).await
    }

    /// Azure's blobs, as Azurite speaks them.
    ///
    /// # Errors
    /// What is missing, or what the server says.
    pub async fn azure() -> Result<Self> {
        let program = installed("azurite")?;
        let folder = tempfile::tempdir()?;
        let address = free_address()?;
        let mut command = Command::new("node");
        command.arg(program).args(["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]);
        command.args(["--blobHost", "127.0.0.1", "--blobPort", &address.port().to_string()]);
        let endpoint = format!("http://{address}/devstoreaccount1");
        let variables = vec![
            ("AZURE_STORAGE_ENDPOINT", endpoint.clone()),
            ("AZURE_STORAGE_ACCOUNT_NAME", "devstoreaccount1".to_owned()),
            ("AZURE_STORAGE_ACCOUNT_KEY", AZURITE_KEY.to_owned()),
        ];
        let server = Self::start(command, address.to_string(), variables, folder).await?;
        let script = servers().join("azure-container.js");
        let created = Command::new("node").arg(script).args([&endpoint, BUCKET]).output()?;
        ensure!(created.status.success(), "no container: {}", String::from_utf8_lossy(&created.stderr));
        Ok(server)
    }

    /// Google's storage, as fake-gcs-server speaks it: its XML interface, which Weir's client writes through, does not
    /// know conditions. Needs the runtime that asks for it.
    ///
    /// # Errors
    /// What is missing, or what the server says.
    pub async fn gcs() -> Result<Self> {
        let program = installed("fake-gcs-server")?;
        let folder = tempfile::tempdir()?;
        let address = free_address()?;
        let url = format!("http://{address}");
        let mut command = Command::new(program);
        command.args(["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1"]);
        command.args(["-port", &address.port().to_string(), "-public-host", &address.to_string()]);
        command.args(["-external-url", &url]);
        let (front, serving) = gcs_front::before(url.clone()).await?;
        let key = serde_json::json!({
            "gcs_base_url": format!("http://{front}"), "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": "",
        });
        let variables = vec![("GOOGLE_SERVICE_ACCOUNT_KEY", key.to_string())];
        let mut server = Self::start(command, address.to_string(), variables, folder).await?;
        server.front = Some(serving);
        let client = reqwest::Client::builder().no_proxy().build()?;
        let bucket = serde_json::json!({ "name": BUCKET });
        client.post(format!("{url}/storage/v1/b?project=weir")).json(&bucket).send().await?.error_for_status()?;
        Ok(server)
    }

    async fn start(
        mut command: Command,
        address: String,
        variables: Vec<(&'static str, String)>,
        folder: TempDir,
    ) -> Result<Self> {
        let log = std::fs::File::create(folder.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir(folder.path());
        let process = command.spawn().with_context(|| format!("{command:?}"))?;
        let mut server = Self { process, address, variables, folder, front: None };
        server.listens().await?;
        Ok(server)
    }

    async fn listens(&mut self) -> Result<()> {
        let clock = Clock::system();
        let start = clock.elapsed();
        while std::net::TcpStream::connect(&self.address).is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("the server ended with {status}:\n{}", self.log());
            }
            if clock.elapsed() - start > START_MAX {
                bail!("the server does not listen:\n{}", self.log());
            }
            clock.sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn log(&self) -> String {
        log_end(&self.folder.path().join("log"))
    }

    /// The variables by which its clients find it, and are let in.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// The same for a process.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        self.variables.iter().map(|(name, value)| (*name, value.into())).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already needs no second time, and a test that failed has said why.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn servers() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("servers")
}

/// Where a server's program is; installs it if need be.
fn installed(name: &str) -> Result<String> {
    let output = Command::new(servers().join("install.sh")).arg(name).stderr(Stdio::piped()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}
