//! What the tests run: the gateway, its plugins and the guests, built when nobody names them.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Result, anyhow, bail};
use optikon_xtask::commands::run::build_gateway;
use optikon_xtask::folders::Folders;
use optikon_xtask::plugins;

/// The gateway's program, built when it is not.
///
/// # Errors
/// When it does not build.
pub fn program() -> Result<PathBuf> {
    Ok(built()?.program.clone())
}

#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) program: PathBuf,
    pub(crate) plugins: PathBuf,
}

/// The binary and the plugins: what `OPTIKON_BIN` and `OPTIKON_PLUGINS` name, else built now, once per test process.
pub(crate) fn built() -> Result<&'static Built> {
    static BUILT: OnceLock<Result<Built, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("{error}"))
}

/// A path that somebody named, so that nothing is built.
fn given(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}

fn build() -> Result<Built> {
    let folders = Folders::here();
    // Processes of one test run take turns.
    fs::create_dir_all(&folders.target)?;
    let lock = File::create(folders.target.join("tests-build.lock"))?;
    lock.lock()?;
    let program = if let Some(path) = given("OPTIKON_BIN") {
        path
    } else {
        build_gateway(&folders)?;
        folders.gateway_binary()
    };
    let plugins = if let Some(path) = given("OPTIKON_PLUGINS") {
        path
    } else {
        plugins::build_all(&folders)?;
        folders.plugins()
    };
    if !program.is_file() {
        bail!("there is no gateway at {}", program.display());
    }
    Ok(Built { program, plugins })
}

/// A shipped plugin's component: of the folder `OPTIKON_PLUGINS`, else built now.
///
/// # Errors
/// When there is none of that name, or it does not build.
pub fn plugin(name: &str) -> Result<PathBuf> {
    let Some(folder) = given("OPTIKON_PLUGINS") else {
        return plugins::build_shipped(&Folders::here(), name);
    };
    let file = folder.join(format!("{name}.wasm"));
    if !file.is_file() {
        bail!("there is no plugin {name} in {}", folder.display());
    }
    Ok(file)
}

/// A test guest's component: of the folder `OPTIKON_GUESTS`, else built now, once per test process.
///
/// # Errors
/// When there is none of that name.
pub fn guest(name: &str) -> Result<PathBuf> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER
        .get_or_init(|| {
            if let Some(path) = given("OPTIKON_GUESTS") {
                return Ok(path);
            }
            let folders = Folders::here();
            plugins::build_guests(&folders)
                .map(|_| folders.guests())
                .map_err(|error| format!("{error:#}"))
        })
        .as_ref()
        .map_err(|error| anyhow!("{error}"))?;
    let file = folder.join(format!("{name}.wasm"));
    if !file.is_file() {
        bail!("there is no guest {name} in {}", folder.display());
    }
    Ok(file)
}
