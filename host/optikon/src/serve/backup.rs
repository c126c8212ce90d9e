//! `optikon store backup` of a gateway that runs: a socket in the data folder, because whoever may enter that folder may
//! have a copy of what is in it. No request names a path; the copy goes back over the socket.
//!
//! The answer is `+`, the length as 8 bytes (big endian), and the copy; or `-` and why there is none.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use optikon_store::Store;
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

/// The socket's name.
const SOCKET: &str = "backup.sock";
/// The copy on its way; it is removed when it was sent.
const COPY: &str = "backup.copy";
/// A reader that takes no bytes for so long gets no more.
const STALLED: Duration = Duration::from_secs(30);
/// An answer that is no copy is a line.
const MAX_REFUSAL: u64 = 4096;

/// Answers, one after the other, until dropped.
pub(crate) async fn answer(folder: PathBuf, store: Arc<Store>) {
    let socket = folder.join(SOCKET);
    let listener = match bind(&socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, socket = %socket.display(), "no backups while the gateway runs");
            return;
        }
    };
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        if let Err(error) = serve(&mut stream, &folder, &store).await {
            tracing::warn!(%error, "a backup was not taken");
        }
    }
}

/// What a killed gateway left is in the way; the store's lock says that no other one runs here.
fn bind(socket: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn serve(stream: &mut UnixStream, folder: &Path, store: &Store) -> io::Result<()> {
    let copy = folder.join(COPY);
    remove(&copy).await?;
    if let Err(error) = store.backup(&copy).await {
        stream.write_all(format!("-{error}").as_bytes()).await?;
        return Ok(());
    }
    let sent = send(stream, &copy).await;
    remove(&copy).await?;
    sent
}

async fn remove(copy: &Path) -> io::Result<()> {
    match tokio::fs::remove_file(copy).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn send(stream: &mut UnixStream, copy: &Path) -> io::Result<()> {
    let mut file = File::open(copy).await?;
    let mut left = file.metadata().await?.len();
    stream.write_all(b"+").await?;
    stream.write_all(&left.to_be_bytes()).await?;
    let mut piece = vec![0; 256 * 1024];
    while left > 0 {
        let count = file.read(&mut piece).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let piece = piece.get(..count).unwrap_or_default();
        tokio::time::timeout(STALLED, stream.write_all(piece)).await??;
        left = left.saturating_sub(count as u64);
    }
    Ok(())
}

/// Has the gateway that runs on this folder copy its store into a new file, 0600, whole or not at all. `None` when none
/// runs there.
///
/// # Errors
/// When the file is there already, cannot be written, or the gateway says no.
pub(crate) async fn take(folder: &Path, to: &Path) -> anyhow::Result<Option<()>> {
    use anyhow::{Context, bail};

    let Ok(mut stream) = UnixStream::connect(folder.join(SOCKET)).await else {
        return Ok(None);
    };
    if tokio::fs::try_exists(to).await? {
        bail!("backup \"{}\" already exists", to.display());
    }
    let partial = to.with_added_extension("partial");
    let failed = || format!("cannot write {}", partial.display());
    match stream.read_u8().await.context("the gateway ended")? {
        b'+' => {}
        b'-' => {
            let mut why = String::new();
            stream.take(MAX_REFUSAL).read_to_string(&mut why).await?;
            bail!("the gateway made no copy: {why}");
        }
        _ => bail!("{} is not a gateway's", folder.join(SOCKET).display()),
    }
    let length = stream.read_u64().await?;
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .await
        .with_context(failed)?;
    let copied = tokio::io::copy(&mut stream.take(length), &mut file).await;
    let is_whole = match copied {
        Ok(count) => count == length,
        Err(error) => {
            tokio::fs::remove_file(&partial).await?;
            return Err(error).with_context(failed);
        }
    };
    if !is_whole {
        tokio::fs::remove_file(&partial).await?;
        bail!("the gateway ended before the copy was whole");
    }
    file.sync_all().await.with_context(failed)?;
    tokio::fs::rename(&partial, to).await.with_context(failed)?;
    Ok(Some(()))
}
