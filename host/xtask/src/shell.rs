//! Running other programs, with errors that say what to install.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The cargo that runs this tool, or the one on the path, as if it were typed.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    // Cargo tells a program which package it is of. Build scripts that look at these would run anew, and everything that
    // depends on theirs, whenever this tool and a person's own cargo take turns.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_of_package) {
            command.env_remove(name);
        }
    }
    command
}

fn is_of_package(name: &str) -> bool {
    [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// The command as a person would type it.
#[must_use]
pub fn describe(command: &Command) -> String {
    let mut words = vec![base_name(command.get_program())];
    words.extend(
        command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

fn base_name(program: &OsStr) -> String {
    Path::new(program)
        .file_name()
        .unwrap_or(program)
        .to_string_lossy()
        .into_owned()
}

/// Runs to the end, output straight to the terminal.
///
/// # Errors
/// When the program cannot be started or ends with a failure.
pub fn run(command: &mut Command) -> Result<()> {
    let text = describe(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("`{text}` failed: {status}");
    }
    Ok(())
}

/// Runs to the end and returns what it printed on stdout, without the last line break.
///
/// # Errors
/// When the program cannot be started, fails (its stderr is in the error), or prints something other than UTF-8.
pub fn output(command: &mut Command) -> Result<String> {
    let text = describe(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| cannot_start(command))?;
    if !output.status.success() {
        bail!(
            "`{text}` failed: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let printed =
        String::from_utf8(output.stdout).with_context(|| format!("read what `{text}` printed"))?;
    Ok(printed.trim_end().to_owned())
}

/// Runs to the end, passes each line of stdout on, and shows it to `look` as well. Returns whether it succeeded.
///
/// # Errors
/// When the program cannot be started or its output cannot be read.
pub fn watch(command: &mut Command, mut look: impl FnMut(&str)) -> Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| cannot_start(command))?;
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            io::stdout().write_all(&line)?;
            look(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }
    Ok(child.wait()?.success())
}

fn cannot_start(command: &Command) -> String {
    let program = base_name(command.get_program());
    let hint = match program.as_str() {
        "cargo" | "rustc" => "; install Rust with rustup",
        "go" => "; install Go 1.26 or newer",
        "python3" | "pip" | "pip3" => "; install python3 with pip, or Go 1.26 or newer",
        "apt-get" => "; this is not a Debian system",
        _ => "",
    };
    format!("cannot start `{program}`{hint}")
}

/// The first program of this name on the path.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Whether this process may install packages of the system.
#[must_use]
pub fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}
