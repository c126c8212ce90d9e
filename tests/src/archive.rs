//! Chart archives made in memory.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use helm_chart::File;
use helm_engine::ChartSource;

use crate::charts;

/// A gzipped tar of these files below the folder `name`.
///
/// # Errors
/// When a path is longer than a tar's plain header takes.
pub fn pack(name: &str, files: &[File]) -> Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    for file in files {
        gzip.write_all(&header(&format!("{name}/{}", file.name), file.data.len())?)?;
        gzip.write_all(&file.data)?;
        let rest = file.data.len().next_multiple_of(512) - file.data.len();
        gzip.write_all(&vec![0; rest])?;
    }
    gzip.write_all(&[0; 1024])?;
    Ok(gzip.finish()?)
}

/// The archive of a chart's folder, of another version where one is given.
///
/// # Errors
/// When it cannot be read.
pub fn of_folder(folder: &Path, version: Option<&str>) -> Result<Vec<u8>> {
    let ChartSource::Folder(mut files) = charts::source(folder)? else {
        bail!("{} is no folder", folder.display());
    };
    for file in files.iter_mut().filter(|f| f.name == "Chart.yaml") {
        let text = String::from_utf8(file.data.to_vec())?;
        let lines = text.lines().map(|line| match version {
            Some(version) if line.starts_with("version:") => format!("version: {version}"),
            _ => line.to_owned(),
        });
        let text = lines.collect::<Vec<_>>().join("\n") + "\n";
        *file = File::new("Chart.yaml".to_owned(), text.into_bytes());
    }
    let name = folder
        .file_name()
        .and_then(|n| n.to_str())
        .context("a chart's folder has a name")?;
    pack(name, &files)
}

fn header(path: &str, size: usize) -> Result<[u8; 512]> {
    let mut head = [0u8; 512];
    if path.len() > 100 {
        bail!("{path} is too long for a plain header");
    }
    head[..path.len()].copy_from_slice(path.as_bytes());
    head[100..107].copy_from_slice(b"0000644");
    head[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    head[156] = b'0';
    head[257..265].copy_from_slice(b"ustar\x0000");
    head[148..156].copy_from_slice(b"        ");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    Ok(head)
}
