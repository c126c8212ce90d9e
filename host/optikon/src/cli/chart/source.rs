//! A chart on this machine: an archive, or a folder with its `.helmignore`.

use std::{fs, io::Read, path::Path};

use anyhow::{Context, Result, bail};
use helm_chart::{File, ignore};
use helm_engine::ChartSource;

/// An archive or a folder with more is no chart: what Helm lets one unpack to.
const MAX_BYTES: u64 = 100 << 20;
/// A folder with more is no chart.
const MAX_FILES: usize = 10_000;

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
        Ok(text) => ignore::Rules::parse(&text).map_err(|e| anyhow::anyhow!("{e}"))?,
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
