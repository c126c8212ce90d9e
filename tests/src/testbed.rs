//! The test bed of this process: folder, keys, etcd, and where the binaries are.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

use anyhow::{Result, anyhow};
use optikon_xtask::folders::Folders;
use optikon_xtask::testbed::{
    Binaries, CLUSTERREGISTRY, HELM, HELM3, KUBERNETES, Module, TILLER, find,
};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::cluster::Builder;
use crate::etcd::Etcd;
use crate::keys::Keys;
use crate::scratch;

static CURRENT: Mutex<Weak<Inner>> = Mutex::const_new(Weak::new());

/// A handle on the test bed. All handles of a process share one etcd; it ends with the last handle and cluster.
#[derive(Debug, Clone)]
pub struct Testbed {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    // Dropped in this order: the process before its folder.
    etcd: Etcd,
    keys: Keys,
    binaries: &'static Binaries,
    folder: TempDir,
}

impl Testbed {
    /// The test bed of this process, started when it is not running. Builds the servers when they are nowhere, which
    /// takes minutes, once per machine.
    ///
    /// # Errors
    /// When the servers cannot be built, or etcd does not start.
    pub async fn start() -> Result<Self> {
        let mut current = CURRENT.lock().await;
        if let Some(inner) = current.upgrade() {
            return Ok(Self { inner });
        }
        static FOUND: OnceLock<Result<Binaries, String>> = OnceLock::new();
        let binaries = found(&FOUND, &KUBERNETES)?;
        let folder = scratch::folder()?;
        let keys = Keys::make(&folder.path().join("keys"))?;
        let etcd = Etcd::start(binaries.path("etcd")?, folder.path()).await?;
        let inner = Arc::new(Inner {
            etcd,
            keys,
            binaries,
            folder,
        });
        *current = Arc::downgrade(&inner);
        Ok(Self { inner })
    }

    /// A cluster to be started; its name is for people and logs, and need not be unique.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Builder {
        Builder::new(self.clone(), name)
    }

    /// The keys that all clusters share.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// The Helm 4 client, built when it is nowhere.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn helm() -> Result<PathBuf> {
        static FOUND: OnceLock<Result<Binaries, String>> = OnceLock::new();
        Ok(found(&FOUND, &HELM)?.path("helm")?.to_path_buf())
    }

    /// The Helm 3 client, built when it is nowhere.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn helm3() -> Result<PathBuf> {
        static FOUND: OnceLock<Result<Binaries, String>> = OnceLock::new();
        Ok(found(&FOUND, &HELM3)?.path("helm3")?.to_path_buf())
    }

    /// Tiller and the Helm 2 client, built when they are nowhere.
    ///
    /// # Errors
    /// When they cannot be built.
    pub fn tiller() -> Result<(PathBuf, PathBuf)> {
        static FOUND: OnceLock<Result<Binaries, String>> = OnceLock::new();
        let binaries = found(&FOUND, &TILLER)?;
        Ok((
            binaries.path("tiller")?.to_path_buf(),
            binaries.path("helm2")?.to_path_buf(),
        ))
    }

    /// The API server of cluster-registry v0.0.3, built when it is nowhere.
    ///
    /// # Errors
    /// When it cannot be built.
    pub(crate) fn clusterregistry() -> Result<PathBuf> {
        static FOUND: OnceLock<Result<Binaries, String>> = OnceLock::new();
        let binaries = found(&FOUND, &CLUSTERREGISTRY)?;
        Ok(binaries.path("clusterregistry")?.to_path_buf())
    }

    /// A server's program.
    ///
    /// # Errors
    /// When the test bed has none of that name.
    pub fn program(&self, name: &str) -> Result<&Path> {
        self.inner.binaries.path(name)
    }

    /// The folder of the built programs, for a `PATH`.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.inner.binaries.bin()
    }

    pub(crate) fn stages(&self) -> PathBuf {
        self.inner.binaries.extra("stages")
    }

    pub(crate) fn etcd_url(&self) -> &str {
        &self.inner.etcd.url
    }

    pub(crate) fn folder(&self) -> &Path {
        self.inner.folder.path()
    }
}

fn found(
    place: &'static OnceLock<Result<Binaries, String>>,
    module: &'static Module,
) -> Result<&'static Binaries> {
    place
        .get_or_init(|| find(&Folders::here(), module).map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("{error}"))
}
