//! Which chart: a folder, an archive, an address, or a name in a repository of the gateway.

use std::{fs, io::Read, path::Path};

use anyhow::{Context, Result, anyhow, bail};
use flate2::{Compression, GzBuilder};
use helm_chart::{ArchiveLimits, Chart, File, ignore};
use helm_engine::ChartSource;
use serde_json::{Value, json};

use crate::cli::{client::Client, output::text_at};

/// An archive or a folder with more is no chart: what Helm lets one unpack to.
const MAX_BYTES: u64 = 100 << 20;
/// A folder with more is no chart.
const MAX_FILES: usize = 10_000;
/// What the gateway takes; more is not even sent.
const MAX_ARCHIVE: usize = 32 << 20;

/// Reads a chart; dependencies that are missing are not fetched.
pub(super) fn read(chart: &str) -> Result<ChartSource> {
    let path = Path::new(chart);
    if !path.exists() {
        // Helm's words for a path; what is none it would look for in repositories.
        let is_path = path.is_absolute() || chart.starts_with('.');
        let hint = "; charts are not fetched here: give an archive or a folder";
        bail!(
            "path {chart:?} not found{}",
            if is_path { "" } else { hint }
        );
    }
    if !path.is_dir() {
        let file =
            fs::File::open(path).with_context(|| format!("cannot read the chart {chart}"))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .with_context(|| format!("cannot read the chart {chart}"))?;
        if bytes.len() as u64 > MAX_BYTES {
            bail!("{chart} has more than {} MiB", MAX_BYTES >> 20);
        }
        return Ok(ChartSource::Archive(chart.to_owned(), bytes));
    }
    let rules = match fs::read_to_string(path.join(ignore::FILE_NAME)) {
        Ok(text) => ignore::Rules::parse(&text).map_err(|e| anyhow!("{e}"))?,
        Err(_) => ignore::Rules::default(),
    };
    let mut files = Vec::new();
    let mut left = MAX_BYTES;
    folder(path, path, &rules, &mut left, &mut files)?;
    Ok(ChartSource::Folder(files))
}

fn folder(
    root: &Path,
    path: &Path,
    rules: &ignore::Rules,
    left: &mut u64,
    files: &mut Vec<File>,
) -> Result<()> {
    let what = || format!("cannot read {}", path.display());
    let mut entries: Vec<_> = fs::read_dir(path)
        .with_context(what)?
        .collect::<Result<_, _>>()
        .with_context(what)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        let what = || format!("cannot read {}", path.display());
        let metadata = fs::metadata(&path).with_context(what)?;
        let is_folder = metadata.is_dir();
        if rules.ignores(&name, is_folder) {
            continue;
        }
        if is_folder {
            folder(root, &path, rules, left, files)?;
        } else if !metadata.is_file() {
            // A pipe or a device would never end.
            bail!("cannot load irregular file {}", path.display());
        } else {
            *left = left.checked_sub(metadata.len()).with_context(|| {
                format!("{} has more than {} MiB", root.display(), MAX_BYTES >> 20)
            })?;
            files.push(File::new(name, fs::read(&path).with_context(what)?));
        }
        if files.len() > MAX_FILES {
            bail!("{} has more than {MAX_FILES} files", root.display());
        }
    }
    Ok(())
}

/// Keeps a folder or an archive of this machine at the gateway; its record there. With `verify` the signature beside it
/// goes along, and is checked by the gateway.
pub(in crate::cli) async fn keep(client: &Client, chart: &str, verify: bool) -> Result<Value> {
    let name = chart.to_owned();
    let read = move || {
        anyhow::Ok((
            archive(&name)?,
            verify.then(|| signature(&name)).transpose()?,
        ))
    };
    let (bytes, signature) = tokio::task::spawn_blocking(read).await??;
    let Some(signature) = signature else {
        return client.upload("/archives", bytes, "application/gzip").await;
    };
    let parts = [("chart", bytes), ("prov", signature)];
    client.upload_parts("/archives", &parts).await
}

/// What `helm package --sign` wrote beside an archive.
fn signature(chart: &str) -> Result<Vec<u8>> {
    if Path::new(chart).is_dir() {
        bail!("{chart} is a folder; only an archive can be signed (helm package --sign)");
    }
    let beside = format!("{chart}.prov");
    fs::read(&beside).with_context(|| format!("there is no signature to verify: read {beside}"))
}

/// A folder or an archive of this machine as the bytes of an archive.
fn archive(chart: &str) -> Result<Vec<u8>> {
    let bytes = match read(chart)? {
        ChartSource::Archive(_, bytes) => bytes,
        ChartSource::Folder(files) => {
            pack(files).with_context(|| format!("cannot pack the chart {chart}"))?
        }
    };
    if bytes.len() > MAX_ARCHIVE {
        bail!(
            "the chart {chart} is {} bytes packed, the gateway takes {MAX_ARCHIVE}",
            bytes.len()
        );
    }
    Ok(bytes)
}

/// As `helm package` packs, but the same files always give the same bytes, so that an unchanged
/// folder is an unchanged archive.
fn pack(files: Vec<File>) -> Result<Vec<u8>> {
    let chart = Chart::from_files(files.clone(), &ArchiveLimits::default());
    let name = chart.map_err(|e| anyhow!("{e}"))?.name().to_owned();
    let gz = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::default());
    let mut tar = tar::Builder::new(gz);
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.data.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        tar.append_data(
            &mut header,
            format!("{name}/{}", file.name),
            file.data.as_ref(),
        )?;
    }
    Ok(tar.into_inner()?.finish()?)
}

/// The member `chart` of a request. What lies on this machine is uploaded first.
pub(super) async fn resolve(
    client: &Client,
    chart: &str,
    version: Option<&str>,
    verify: bool,
) -> Result<Value> {
    if verify && !fs::exists(chart).unwrap_or(false) {
        bail!(
            "--verify is for an archive of this machine; what the gateway fetches it verifies itself, when it has a keyring"
        );
    }
    let with_version = |mut source: Value| {
        if let (Some(version), Some(map)) = (version, source.as_object_mut()) {
            map.insert("version".into(), version.into());
        }
        source
    };
    if chart.starts_with("oci://") {
        return Ok(with_version(json!({ "oci": chart })));
    }
    if chart.starts_with("https://") || chart.starts_with("http://") {
        refuse_version(chart, version)?;
        return Ok(json!({ "url": chart }));
    }
    if chart.starts_with("sha256:") {
        refuse_version(chart, version)?;
        return Ok(json!({ "digest": chart }));
    }
    if fs::exists(chart).unwrap_or(false) {
        refuse_version(chart, version)?;
        let kept = keep(client, chart, verify).await?;
        return Ok(json!({ "digest": text_at(&kept, "/digest") }));
    }
    match chart.split_once('/') {
        Some((repository, name))
            if ![repository, name]
                .iter()
                .any(|p| p.is_empty() || p.contains(['/', '\\']))
                && !chart.starts_with('.') =>
        {
            Ok(with_version(
                json!({ "repository": repository, "name": name }),
            ))
        }
        _ => bail!(
            "there is no file or folder {chart}; a chart is a folder, a .tgz, REPOSITORY/NAME (optikon repo list), an https:// or oci:// address, or the digest of an archive"
        ),
    }
}

fn refuse_version(chart: &str, version: Option<&str>) -> Result<()> {
    if version.is_some() {
        bail!("--version chooses in a repository or registry, {chart} has only the one it is");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_folder_loads_again_and_its_bytes_do_not_depend_on_the_time() {
        let files = vec![
            File::new("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
            File::new("templates/x.yaml", "a: 1\n"),
            File::new(format!("files/{}", "long".repeat(40)), "x"),
        ];
        let packed = pack(files.clone()).unwrap();
        assert_eq!(packed, pack(files).unwrap());
        let chart = Chart::from_archive(&packed, &ArchiveLimits::default()).unwrap();
        assert_eq!(chart.name(), "web");
        assert!(pack(vec![File::new("values.yaml", "")]).is_err());
    }
}
