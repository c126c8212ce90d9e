//! Child processes that cannot outlive their owner.
//!
//! Each is killed when its [`Process`] is dropped, and by the kernel when this process ends in whatever way: the
//! parent-death signal follows the *thread* that forked, so one thread that lives as long as the process forks all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use crate::wait::{Hopeless, wait_for};

/// How many bytes of a log an error shows.
const TAIL_BYTES: usize = 4000;

/// Raises this process's soft limit of file descriptors to `wanted`, or to the hard limit; returns what it is then.
///
/// # Errors
/// When the system refuses.
pub fn raise_descriptors(wanted: u64) -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let now = limit.maximum.map_or(wanted, |most| most.min(wanted));
    if limit.current.is_none_or(|current| current >= now) {
        return Ok(limit.current.unwrap_or(wanted));
    }
    let raised = Rlimit {
        current: Some(now),
        ..limit
    };
    setrlimit(Resource::Nofile, raised).context("raise the limit of file descriptors")?;
    Ok(now)
}

type Order = (Command, Sender<io::Result<Child>>);

static FORKER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();

/// A running program whose output goes to a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program with no stdin, and stdout and stderr appended to the file `log`.
    ///
    /// # Errors
    /// When the file or the program cannot be opened.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {}", log.display()))?;
        let err = out.try_clone().context("open the log twice")?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        Ok(Self {
            name: name.to_owned(),
            child: spawn(command).with_context(|| format!("start {name}"))?,
            log: log.to_path_buf(),
        })
    }

    /// Starts a program with no stdin, stderr appended to the file `log`, and stdout for the caller, who must read it.
    ///
    /// # Errors
    /// When the file or the program cannot be opened.
    pub fn start_piped(
        name: &str,
        mut command: Command,
        log: &Path,
    ) -> Result<(Self, ChildStdout)> {
        let err = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(err);
        let mut child = spawn(command).with_context(|| format!("start {name}"))?;
        let stdout = child.stdout.take();
        let process = Self {
            name: name.to_owned(),
            child,
            log: log.to_path_buf(),
        };
        Ok((process, stdout.context("a child without stdout")?))
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it printed.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Fails, with the end of the log, when it has ended.
    ///
    /// # Errors
    /// When it has ended.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let text = format!("{} ended ({status}): {}", self.name, self.tail());
            return Err(Hopeless(text).into());
        }
        Ok(())
    }

    /// The end of the log.
    #[must_use]
    pub fn tail(&self) -> String {
        let log = self.log();
        let mut start = log.len().saturating_sub(TAIL_BYTES);
        while !log.is_char_boundary(start) {
            start += 1;
        }
        log.get(start..).unwrap_or_default().to_owned()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let number = i32::try_from(self.child.id()).context("a process number beyond i32")?;
        let pid = Pid::from_raw(number).context("a process without number")?;
        kill_process(pid, signal).with_context(|| format!("signal {}", self.name))
    }

    /// Kills it at once and waits for its end.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    /// Asks it to end (SIGTERM) and waits up to `deadline`.
    ///
    /// # Errors
    /// When it has not ended by then.
    pub async fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.ended(deadline).await
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it has not ended by then.
    pub async fn ended(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        let child = Mutex::new(&mut self.child);
        wait_for(&what, deadline, || async {
            let mut child = child.lock().map_err(|_| anyhow!("a poisoned lock"))?;
            Ok(child.try_wait()?)
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a command so that it dies with this process.
///
/// # Errors
/// When the program cannot be started.
pub fn spawn(command: Command) -> Result<Child> {
    let (reply, answer) = channel();
    let forker = FORKER.get_or_init(|| Mutex::new(start_forker()));
    forker
        .lock()
        .map_err(|_| anyhow!("a poisoned lock"))?
        .send((command, reply))
        .map_err(|_| anyhow!("the thread that starts processes is gone"))?;
    answer
        .recv()
        .context("the thread that starts processes is gone")?
        .map_err(Into::into)
}

fn start_forker() -> Sender<Order> {
    let (orders, queue) = channel::<Order>();
    thread::spawn(move || {
        while let Ok((mut command, reply)) = queue.recv() {
            die_with_parent(&mut command);
            // An owner that left meanwhile wants no child.
            if let Err(unwanted) = reply.send(command.spawn())
                && let Ok(mut child) = unwanted.0
            {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    });
    orders
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "the parent-death signal can only be set between fork and exec"
)]
fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    // Ctrl-C on the terminal is for us; we end the children in order.
    command.process_group(0);
    // SAFETY: between fork and exec only prctl(2) is called, which is safe after a fork with threads.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            Ok(())
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_started_by_a_thread_that_ended_lives_on() {
        let folder = crate::scratch::folder().unwrap();
        let log = folder.path().join("log");
        let mut process = thread::spawn(move || {
            let mut command = Command::new("sleep");
            command.arg("600");
            Process::start("sleep", command, &log).unwrap()
        })
        .join()
        .unwrap();
        process.check().unwrap();
        let status = process.terminate(Duration::from_secs(30)).await.unwrap();
        assert!(!status.success());
        assert!(process.check().is_err());
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let folder = crate::scratch::folder().unwrap();
        let mut command = Command::new("sleep");
        command.arg("600");
        let process = Process::start("sleep", command, &folder.path().join("log")).unwrap();
        let pid = Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap();
        drop(process);
        assert!(rustix::process::test_kill_process(pid).is_err());
    }
}
