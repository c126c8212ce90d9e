//! A command that follows something, watched and interrupted from outside.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use optikon_tests::{Gateway, wait_for};
use rustix::process::{Pid, Signal, kill_process};

use crate::bed::PATIENCE;

/// A command that goes on, and the lines that it has written to stderr so far.
pub(crate) struct Following {
    child: Child,
    lines: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Following {
    pub(crate) fn start(gateway: &Gateway, arguments: &[&str]) -> Self {
        let mut command = gateway.command(arguments).unwrap();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let lines: std::sync::Arc<std::sync::Mutex<Vec<String>>> = std::sync::Arc::default();
        let seen = lines.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                seen.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    pub(crate) async fn wait_for(&self, words: &str) {
        wait_for(&format!("a line with {words:?}"), PATIENCE, || async {
            let lines = self.lines.lock().unwrap();
            Ok(lines.iter().any(|l| l.contains(words)).then_some(()))
        })
        .await
        .unwrap();
    }

    pub(crate) fn interrupt(&self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
    }

    pub(crate) async fn code(mut self) -> (i32, String) {
        let ended = tokio::task::spawn_blocking(move || {
            let status = self.child.wait().unwrap();
            (status.code().unwrap(), self.lines)
        });
        let (code, lines) = ended.await.unwrap();
        let lines = lines.lock().unwrap().join("\n");
        (code, lines)
    }
}
