//! How this machine builds for `wasm32-unknown-unknown`: the first route that works, remembered in the target folder.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, str::FromStr};

use anyhow::{Context, Result, bail};

use crate::folders::Folders;
use crate::{say, shell};

/// The target that plugins are built for: no system interface at all.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's cargo and rustc with the sources of the standard library, which Debian ships uncompiled for this target.
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm"];

/// Where a toolchain for the target comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The toolchain in use has the target.
    Installed,
    /// Debian's toolchain, which compiles the standard library on the way.
    Debian,
}

impl Route {
    fn as_str(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Debian => "debian",
        }
    }

    fn works(self) -> bool {
        match self {
            Self::Installed => has_target(),
            Self::Debian => debian_is_ready() && linker().is_ok(),
        }
    }
}

impl FromStr for Route {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.trim() {
            "installed" => Ok(Self::Installed),
            "debian" => Ok(Self::Debian),
            other => bail!("no route \"{other}\" to {TARGET}; there are installed and debian"),
        }
    }
}

/// The route of this checkout: `OPTIKON_WASM_ROUTE`, the one remembered, or the first that can be made to work.
///
/// # Errors
/// When none works; the error says what to install.
pub fn route(folders: &Folders) -> Result<Route> {
    let remembered = folders.target.join("wasm-route");
    if let Some(forced) = env::var_os("OPTIKON_WASM_ROUTE") {
        let forced: Route = forced.to_string_lossy().parse()?;
        if !forced.works() && forced == Route::Debian {
            install_debian()?;
        }
        return Ok(forced);
    }
    if let Ok(text) = fs::read_to_string(&remembered)
        && let Ok(route) = text.parse::<Route>()
        && route.works()
    {
        return Ok(route);
    }
    let chosen = choose()?;
    fs::create_dir_all(&folders.target)
        .with_context(|| format!("make {}", folders.target.display()))?;
    fs::write(&remembered, chosen.as_str())
        .with_context(|| format!("write {}", remembered.display()))?;
    Ok(chosen)
}

fn choose() -> Result<Route> {
    if has_target() {
        say(format_args!("{TARGET}: the toolchain has it"));
        return Ok(Route::Installed);
    }
    if shell::find_program("rustup").is_some() {
        say(format_args!("{TARGET}: rustup target add"));
        let added = shell::run(
            Command::new("rustup")
                .args(["target", "add", TARGET])
                .env("RUSTUP_MAX_RETRIES", "1"),
        );
        match added {
            Ok(()) if has_target() => return Ok(Route::Installed),
            Ok(()) => say("rustup added it for another toolchain than the one in use"),
            Err(error) => say(format_args!("not that way: {error}")),
        }
    }
    if !debian_is_ready() {
        install_debian()?;
    }
    linker()?;
    say(format_args!("{TARGET}: Debian's toolchain"));
    Ok(Route::Debian)
}

fn has_target() -> bool {
    shell::output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))
        .is_ok_and(|folder| Path::new(&folder).is_dir())
}

fn debian_is_ready() -> bool {
    Path::new("/usr/bin/cargo").is_file()
        && Path::new("/usr/bin/rustc").is_file()
        && debian_sources().is_some()
}

/// The standard library's sources, as Debian's rustc looks for them.
fn debian_sources() -> Option<PathBuf> {
    let sysroot =
        shell::output(Command::new("/usr/bin/rustc").args(["--print", "sysroot"])).ok()?;
    let sources = Path::new(&sysroot).join("lib/rustlib/src/rust/library/std/Cargo.toml");
    sources.is_file().then_some(sources)
}

fn install_debian() -> Result<()> {
    let by_hand = format!("apt-get install {}", DEBIAN_PACKAGES.join(" "));
    if shell::find_program("apt-get").is_none() {
        bail!(
            "no toolchain for {TARGET}: run `rustup target add {TARGET}`, or on Debian `{by_hand}`"
        );
    }
    if !shell::is_root() {
        bail!("no toolchain for {TARGET}: run `sudo {by_hand}` and try again");
    }
    say(&by_hand);
    let update = || shell::run(Command::new("apt-get").args(["-q", "update"]));
    let install = || {
        shell::run(
            Command::new("apt-get")
                .args(["-q", "-y", "--no-install-recommends", "install"])
                .args(DEBIAN_PACKAGES)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    if !has_package_lists() {
        update()?;
        return install();
    }
    // Old lists name versions that the archive has dropped since.
    install().or_else(|_| update().and_then(|()| install()))
}

fn has_package_lists() -> bool {
    fs::read_dir("/var/lib/apt/lists").is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    })
}

/// A linker for the target. Debian's toolchain has none of its own, rustup's does; `wasm-ld` of lld serves as well.
fn linker() -> Result<PathBuf> {
    let about = shell::output(Command::new("rustc").arg("-vV"))?;
    let host = about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc -vV names no host")?;
    let sysroot = shell::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let bundled = Path::new(&sysroot)
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-lld");
    if bundled.is_file() {
        return Ok(bundled);
    }
    shell::find_program("wasm-ld")
        .context("no linker for WebAssembly: neither rust-lld nor wasm-ld; install lld")
}

/// A `cargo build` for the target, without the choice of packages and profile.
///
/// # Errors
/// When the route lost its linker.
pub fn cargo_build(route: Route, folders: &Folders) -> Result<Command> {
    let mut command = match route {
        Route::Installed => {
            let mut command = shell::cargo();
            command.arg("build");
            command
        }
        Route::Debian => {
            let mut command = Command::new("/usr/bin/cargo");
            command
                .args(["build", "-Z", "build-std=std,panic_abort"])
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker()?)
                .env("PATH", path_with_usr_bin_first());
            // What the outer cargo set points at the other toolchain.
            for name in [
                "RUSTUP_TOOLCHAIN",
                "RUSTC",
                "RUSTDOC",
                "CARGO",
                "LD_LIBRARY_PATH",
            ] {
                command.env_remove(name);
            }
            command
        }
    };
    command.args(["--target", TARGET]);
    command.env("CARGO_TARGET_DIR", folders.wasm());
    Ok(command)
}

fn path_with_usr_bin_first() -> OsString {
    let mut path = OsString::from("/usr/bin");
    if let Some(rest) = env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}
