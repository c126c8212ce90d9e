//! Compiled copies of components, so that a start does not compile.
//!
//! Native code cannot be checked, only trusted: what is loaded must have been written by this host. So the folder is the
//! host's own, closed to others; a file's key is the digest of the component and of everything that shapes compiled code;
//! and its content is hashed again before use. Whatever does not fit is compiled anew.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    hash::{Hash, Hasher},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use optikon_core::words::hex;
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

const DIGEST_BYTES: usize = 32;
/// A tenth of what a thread that serves gets, where both want a core.
#[cfg(target_os = "linux")]
const COMPILE_NICENESS: i32 = 10;

/// A folder of compiled code.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    folder: PathBuf,
}

/// A hasher that is stable across builds of this program.
struct Stable(Sha256);

impl Hasher for Stable {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl Cache {
    /// Makes the folder where it is missing, and refuses one that others can write.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let metadata = fs::symlink_metadata(folder)?;
        let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if !metadata.is_dir() || !is_ours || metadata.mode() & 0o022 != 0 {
            let shown = folder.display();
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "{shown} must be a folder that only this user can write: compiled code is loaded from it"
                ),
            ));
        }
        Ok(Self {
            folder: folder.to_path_buf(),
        })
    }

    fn file(&self, engine: &Engine, digest: &str) -> PathBuf {
        let mut key = Stable(Sha256::new());
        digest.hash(&mut key);
        engine.precompile_compatibility_hash().hash(&mut key);
        self.folder
            .join(format!("{}.cwasm", hex(&key.0.finalize())))
    }

    /// The compiled copy, if there is one that is whole and ours.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.file(engine, digest);
        let mut bytes = Vec::new();
        let mut file = fs::File::open(&path).ok()?;
        let metadata = file.metadata().ok()?;
        if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "compiled code that others may have written is not used");
            return None;
        }
        file.read_to_end(&mut bytes).ok()?;
        let (stored, code) = bytes.split_at_checked(DIGEST_BYTES)?;
        if Sha256::digest(code).as_slice() != stored {
            tracing::warn!(path = %path.display(), "compiled code is damaged; compiling again");
            return None;
        }
        #[allow(
            unsafe_code,
            reason = "compiled code cannot be verified, only trusted; see the module"
        )]
        // SAFETY: `code` is what this host's `store` wrote: the folder and the file belong to this user and nobody else can
        // write them, the bytes were read once and are the ones just hashed, and the name is made of the component's digest
        // and the engine's compatibility hash, which wasmtime checks again.
        let component = unsafe { Component::deserialize(engine, code) };
        component
            .map_err(|error| tracing::warn!(path = %path.display(), %error, "compiled code is not usable; compiling again"))
            .ok()
    }

    /// Keeps a compiled copy, whole or not at all.
    pub(crate) fn store(
        &self,
        engine: &Engine,
        digest: &str,
        component: &Component,
    ) -> io::Result<()> {
        let code = component.serialize().map_err(io::Error::other)?;
        let path = self.file(engine, digest);
        let half = path.with_extension(format!("{}.half", std::process::id()));
        let written = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&half)?;
            file.write_all(&Sha256::digest(&code))?;
            file.write_all(&code)?;
            fs::rename(&half, &path)
        })();
        if written.is_err()
            && let Err(error) = fs::remove_file(&half)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %half.display(), %error, "a half-written file stays behind");
        }
        written
    }
}

/// The compiled component, from the cache where it has it. Blocks, [`aside`] where others are served: compiling takes a quarter
/// of a second and more on every thread of the pool it is called in.
pub(crate) fn compile(
    engine: &Engine,
    cache: Option<&Cache>,
    digest: &str,
    bytes: &[u8],
) -> wasmtime::Result<Component> {
    if let Some(found) = cache.and_then(|cache| cache.load(engine, digest)) {
        return Ok(found);
    }
    let component = Component::new(engine, bytes)?;
    if let Some(cache) = cache
        && let Err(error) = cache.store(engine, digest, &component)
    {
        tracing::warn!(folder = %cache.folder.display(), %error, "cannot keep compiled code; the next start compiles again");
    }
    Ok(component)
}

/// Threads to load and compile on: megabytes are hashed and read, and compiling takes every core for a while. Whoever is
/// served meanwhile goes first.
pub(crate) fn aside() -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new()
        .thread_name(|_| "optikon-compile".to_owned())
        .start_handler(|_| step_back())
        .build()
}

/// The calling thread's, which is what Linux means by this call. Elsewhere it would be the whole process.
#[cfg(target_os = "linux")]
fn step_back() {
    if let Err(error) = rustix::process::setpriority_process(None, COMPILE_NICENESS) {
        tracing::debug!(%error, "compiling takes as much of the processor as serving");
    }
}

#[cfg(not(target_os = "linux"))]
fn step_back() {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn one_file(folder: &Path) -> PathBuf {
        let mut entries = fs::read_dir(folder).unwrap();
        entries.next().unwrap().unwrap().path()
    }

    #[test]
    fn only_whole_code_of_our_own_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("compiled");
        let cache = Cache::open(&folder).unwrap();
        let engine = Engine::default();
        let bytes = wat::parse_str("(component)").unwrap();
        assert!(cache.load(&engine, "d").is_none());
        compile(&engine, Some(&cache), "d", &bytes).unwrap();
        assert!(cache.load(&engine, "d").is_some());
        assert!(cache.load(&engine, "another").is_none());

        let path = one_file(&folder);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(
            cache.load(&engine, "d").is_none(),
            "others could have looked or written"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

        let mut code = fs::read(&path).unwrap();
        let last = code.len() - 1;
        code[last] ^= 1;
        fs::write(&path, code).unwrap();
        assert!(cache.load(&engine, "d").is_none(), "one bit flipped");
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(folder.path()).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_compiles_steps_back_and_nothing_else_does() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let own = niceness();
        let pool = aside().unwrap();
        assert_eq!(
            pool.broadcast(|_| niceness()),
            vec![COMPILE_NICENESS; pool.current_num_threads()]
        );
        assert_eq!(niceness(), own);
    }
}
