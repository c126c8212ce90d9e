//! The gateway as a process: the built binary, a data folder of its own, a port it chooses itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::built::built;
use crate::client::Client;
use crate::process::Process;
use crate::scratch;

pub use crate::built::{guest, plugin, program};

/// The first start compiles every plugin, which takes minutes in a debug build on a loaded machine.
const START: Duration = Duration::from_secs(300);
/// Twice what the gateway promises for its end.
const STOP: Duration = Duration::from_secs(60);

/// What a gateway is started with.
#[derive(Debug)]
pub struct Builder {
    data: Option<PathBuf>,
    plugins: Option<PathBuf>,
    listen: String,
    config: Option<String>,
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
    started_by: Option<Vec<OsString>>,
    is_dev: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            data: None,
            plugins: None,
            listen: "127.0.0.1:0".to_owned(),
            config: None,
            arguments: Vec::new(),
            variables: BTreeMap::new(),
            started_by: None,
            is_dev: true,
        }
    }
}

impl Builder {
    /// A data folder that outlives this gateway. Without one, it has its own.
    #[must_use]
    pub fn data_folder(mut self, folder: &Path) -> Self {
        self.data = Some(folder.to_path_buf());
        self
    }

    /// Other plugins than the shipped ones.
    #[must_use]
    pub fn plugins_folder(mut self, folder: &Path) -> Self {
        self.plugins = Some(folder.to_path_buf());
        self
    }

    /// Another address than 127.0.0.1 with a port of the system's choice.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// The text of the configuration file.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.to_owned());
        self
    }

    /// One more argument of `serve`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Another program that becomes the gateway in the end; it gets the gateway's arguments after its own.
    #[must_use]
    pub fn started_by(mut self, command: &Command) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        self.started_by = Some(words.map(ToOwned::to_owned).collect());
        self
    }

    /// Without `--dev`: members on loopback addresses are refused then.
    #[must_use]
    pub fn without_dev(mut self) -> Self {
        self.is_dev = false;
        self
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it does not build or ends; the error shows the end of its log.
    pub async fn start(self) -> Result<Gateway> {
        let built = built()?;
        let scratch = scratch::folder()?;
        let place = Place {
            command: self
                .started_by
                .unwrap_or_else(|| vec![built.program.clone().into_os_string()]),
            program: built.program.clone(),
            plugins: self.plugins.unwrap_or_else(|| built.plugins.clone()),
            data: self.data.unwrap_or_else(|| scratch.path().join("data")),
            log: scratch.path().join("gateway.log"),
            config: scratch.path().join("config.toml"),
            listen: self.listen,
            has_config: self.config.is_some(),
            arguments: self.arguments,
            variables: self.variables,
            is_dev: self.is_dev,
        };
        if let Some(text) = self.config {
            fs::write(&place.config, text).context("write the configuration")?;
        }
        let running = place.start().await?;
        Ok(Gateway {
            running: Some(running),
            place,
            _scratch: scratch,
        })
    }
}

/// All that a restart needs.
#[derive(Debug)]
struct Place {
    /// The program, or what becomes it.
    command: Vec<OsString>,
    program: PathBuf,
    plugins: PathBuf,
    data: PathBuf,
    log: PathBuf,
    config: PathBuf,
    listen: String,
    has_config: bool,
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
    is_dev: bool,
}

#[derive(Debug)]
struct Running {
    process: Process,
    client: Client,
    token: String,
}

impl Place {
    async fn start(&self) -> Result<Running> {
        let (program, words) = self.command.split_first().context("no program")?;
        let mut command = Command::new(program);
        command
            .args(words)
            .args(["serve", "--listen", &self.listen, "--data-dir"])
            .arg(&self.data)
            .arg("--plugins-dir")
            .arg(&self.plugins);
        if self.has_config {
            command.arg("--config").arg(&self.config);
        }
        if self.is_dev {
            command.arg("--dev");
        }
        // What steers the tests is no configuration of the gateway.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OPTIKON_") {
                command.env_remove(name);
            }
        }
        command.args(&self.arguments).envs(&self.variables);
        let (process, stdout) = Process::start_piped("optikon serve", command, &self.log)?;
        let base = listening(stdout)
            .await
            .with_context(|| format!("the gateway does not listen: {}", process.tail()))?;
        let seen_by_it = seen_by(process.id(), &self.data);
        let token = read_token(&seen_by_it.join("admin.token"))?;
        // `--tls` leaves its authority there.
        let ca = fs::read_to_string(seen_by_it.join("tls").join("ca.crt")).ok();
        Ok(Running {
            client: Client::new(&base, ca.as_deref(), Some(&token))?,
            process,
            token,
        })
    }

    fn token_file(&self) -> PathBuf {
        self.data.join("admin.token")
    }
}

fn read_token(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    Ok(text.trim_end().to_owned())
}

/// A folder as a process sees it, which may have mounts of its own; only Linux has these.
fn seen_by(process: u32, folder: &Path) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{process}/root"));
    match folder.strip_prefix("/") {
        Ok(inner) if root.exists() => root.join(inner),
        _ => folder.to_path_buf(),
    }
}

/// Reads the line that says where a server listens; what follows on its stdout is read and dropped, so that no pipe
/// fills.
///
/// # Errors
/// When the server ends, or says something else.
pub async fn listening(stdout: ChildStdout) -> Result<String> {
    let (sender, line) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        // The receiver may have given up; the rest is drained all the same.
        let _ = sender.send(lines.next());
        for _ in lines.map_while(Result::ok) {}
    });
    let line = tokio::time::timeout(START, line)
        .await
        .context("no line on stdout in time")?
        .context("the reader of stdout is gone")?
        .context("it ended")?
        .context("read stdout")?;
    line.strip_prefix("listening on ")
        .map(ToOwned::to_owned)
        .with_context(|| format!("the first line is {line:?}"))
}

/// A running gateway, or one that was stopped and may start again. It ends when it is dropped.
#[derive(Debug)]
pub struct Gateway {
    running: Option<Running>,
    place: Place,
    _scratch: TempDir,
}

impl Gateway {
    /// What to start it with.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts one as it comes, in development mode with the shipped plugins.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    fn running(&self) -> Result<&Running> {
        self.running.as_ref().context("the gateway is stopped")
    }

    /// A client with the administrator's token.
    ///
    /// # Errors
    /// When the gateway is stopped.
    pub fn client(&self) -> Result<&Client> {
        Ok(&self.running()?.client)
    }

    /// The administrator's token.
    ///
    /// # Errors
    /// When the gateway is stopped.
    pub fn token(&self) -> Result<&str> {
        Ok(&self.running()?.token)
    }

    /// The file with that token.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.place.token_file()
    }

    /// The data folder.
    #[must_use]
    pub fn data_folder(&self) -> &Path {
        &self.place.data
    }

    /// The data folder with what is mounted for the gateway alone.
    ///
    /// # Errors
    /// When the gateway is stopped.
    pub fn data_seen_by_it(&self) -> Result<PathBuf> {
        Ok(seen_by(self.process()?, &self.place.data))
    }

    /// The folder that its plugins come from.
    #[must_use]
    pub fn plugins_folder(&self) -> &Path {
        &self.place.plugins
    }

    /// Scheme, host and port.
    ///
    /// # Errors
    /// When the gateway is stopped.
    pub fn url(&self) -> Result<&str> {
        Ok(self.running()?.client.base())
    }

    /// All that it logged, over restarts.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.place.log).unwrap_or_default()).into_owned()
    }

    /// The process's number.
    ///
    /// # Errors
    /// When the gateway is stopped.
    pub fn process(&self) -> Result<u32> {
        Ok(self.running()?.process.id())
    }

    /// A command of its CLI that speaks to it as administrator.
    ///
    /// # Errors
    /// When the gateway is stopped.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(&self.place.program);
        command
            .args(arguments)
            .env("OPTIKON_SERVER", self.url()?)
            .env("OPTIKON_TOKEN_FILE", self.token_file())
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a command of its CLI to the end, whatever its exit code.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run(&self, arguments: &[&str]) -> Result<std::process::Output> {
        let mut command = self.command(arguments)?;
        Ok(tokio::task::spawn_blocking(move || command.output()).await??)
    }

    /// Runs a command of its CLI and returns its stdout.
    ///
    /// # Errors
    /// When it fails; the error shows its stderr.
    pub async fn run_ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments).await?;
        if !output.status.success() {
            bail!(
                "optikon {}: {}: {}",
                arguments.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Kills it at once (SIGKILL).
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut running) = self.running.take() {
            running.process.kill()?;
        }
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits for it.
    ///
    /// # Errors
    /// When it does not end, or is stopped already.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        let mut running = self.running.take().context("the gateway is stopped")?;
        running.process.terminate(STOP).await
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// When it does not end, or is stopped already.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let mut running = self.running.take().context("the gateway is stopped")?;
        running.process.ended(STOP).await
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it is stopped.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.running()?.process.signal(signal)
    }

    /// Starts it again with the same data, after [`Gateway::kill`] or [`Gateway::stop`]. With port 0 it may listen
    /// elsewhere.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.kill()?;
        self.running = Some(self.place.start().await?);
        Ok(())
    }
}
