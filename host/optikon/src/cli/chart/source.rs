//! A chart on this machine: an archive, or a folder with its `.helmignore`.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use helm_chart::{File, ignore};
use helm_engine::ChartSource;

/// A folder with more is no chart.
const MAX_FILES: usize = 10_000;

/// Reads a chart; dependencies that are missing are not fetched.
pub(super) fn read(chart: &str) -> Result<ChartSource> {
    let path = Path::new(chart);
    if !path.is_dir() {
        let bytes = fs::read(path).with_context(|| format!("cannot read the chart {chart}"))?;
        return Ok(ChartSource::Archive(chart.to_owned(), bytes));
    }
    let rules = match fs::read_to_string(path.join(ignore::FILE_NAME)) {
        Ok(text) => ignore::Rules::parse(&text).map_err(|e| anyhow::anyhow!("{e}"))?,
        Err(_) => ignore::Rules::default(),
    };
    let mut files = Vec::new();
    folder(path, path, &rules, &mut files)?;
    Ok(ChartSource::Folder(files))
}

fn folder(root: &Path, path: &Path, rules: &ignore::Rules, files: &mut Vec<File>) -> Result<()> {
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
        let is_folder = fs::metadata(&path).with_context(what)?.is_dir();
        if rules.ignores(&name, is_folder) {
            continue;
        }
        if is_folder {
            folder(root, &path, rules, files)?;
        } else {
            files.push(File::new(name, fs::read(&path).with_context(what)?));
        }
        if files.len() > MAX_FILES {
            bail!("{} has more than {MAX_FILES} files", root.display());
        }
    }
    Ok(())
}
