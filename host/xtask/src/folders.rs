//! Where things lie in a checkout.

use std::env;
use std::path::{Path, PathBuf};

/// The folders every command works with.
#[derive(Debug, Clone)]
pub struct Folders {
    /// The checkout's top folder.
    pub root: PathBuf,
    /// Cargo's target folder: `CARGO_TARGET_DIR`, else `target` in the checkout.
    pub target: PathBuf,
}

impl Folders {
    /// The checkout this tool was built from.
    #[must_use]
    pub fn here() -> Self {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = own
            .ancestors()
            .nth(2)
            .map_or_else(|| own.to_path_buf(), Path::to_path_buf);
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(chosen) if !chosen.is_empty() => root.join(chosen),
            _ => root.join("target"),
        };
        Self { root, target }
    }

    /// Where built plugins land: `<name>.wasm` each.
    #[must_use]
    pub fn plugins(&self) -> PathBuf {
        self.target.join("plugins")
    }

    /// Where built test guests land: `<name>.wasm` each.
    #[must_use]
    pub fn guests(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// Cargo's target folder for WebAssembly, apart from the host's so that neither waits for the other's lock.
    #[must_use]
    pub fn wasm(&self) -> PathBuf {
        self.target.join("wasm")
    }

    /// The gateway as `cargo build` leaves it.
    #[must_use]
    pub fn gateway_binary(&self) -> PathBuf {
        self.target
            .join("debug")
            .join(format!("optikon{}", env::consts::EXE_SUFFIX))
    }
}
