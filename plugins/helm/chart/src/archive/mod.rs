//! Chart archives (gzip over tar) from bytes only, within bounds.
//!
//! Nothing touches a disk, and nothing is believed: sizes, counts, names and types are checked
//! before an entry's content is kept. Rules that Helm has too give Helm's words; those that it lacks
//! (links, twins, ratio) name the entry.

mod path;
mod tar;

use std::collections::HashMap;
use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use crate::error::{Error, ErrorKind};
use crate::file::File;
use tar::{Entry, Reader};

/// What an archive may cost, archives inside it included.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveLimits {
    /// Bytes of the packed archive.
    pub packed_bytes: usize,
    /// Bytes of all files together.
    pub unpacked_bytes: usize,
    /// Entries, folders included.
    pub entries: usize,
    /// Unpacked bytes for each packed one, once a mebibyte was unpacked.
    pub ratio: usize,
    /// Bytes of an entry's name.
    pub path_bytes: usize,
    /// Charts inside charts.
    pub depth: usize,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self {
            packed_bytes: 32 << 20,
            unpacked_bytes: 100 << 20, // Helm's own
            entries: 10_000,
            ratio: 200, // text packs about 10:1, a run of zeroes 1000:1
            path_bytes: 1_024,
            depth: 32, // public charts nest four deep
        }
    }
}

/// Below this much the ratio says nothing.
const RATIO_FLOOR: usize = 1 << 20;

/// What is left of the limits while an archive and those inside it are read.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    limits: ArchiveLimits,
    bytes: usize,
    entries: usize,
}

impl Budget {
    pub(crate) fn new(limits: ArchiveLimits) -> Self {
        Self {
            limits,
            bytes: limits.unpacked_bytes,
            entries: limits.entries,
        }
    }

    pub(crate) fn depth(&self) -> usize {
        self.limits.depth
    }

    fn take_entry(&mut self) -> Result<(), Error> {
        match self.entries.checked_sub(1) {
            Some(left) => {
                self.entries = left;
                Ok(())
            }
            None => Err(limit(format!(
                "chart archive has more than {} entries",
                self.limits.entries
            ))),
        }
    }

    /// Takes the bytes of files that were not packed.
    pub(crate) fn take_files(&mut self, files: &[File]) -> Result<(), Error> {
        for file in files {
            self.take_entry()?;
            match self.bytes.checked_sub(file.data.len()) {
                Some(left) => self.bytes = left,
                None => {
                    return Err(limit(format!(
                        "error reading {}: chart exceeds maximum decompressed size of {} bytes",
                        file.name, self.limits.unpacked_bytes
                    )));
                }
            }
        }
        Ok(())
    }
}

fn limit(text: String) -> Error {
    Error::new(ErrorKind::Limit, text)
}

pub(crate) fn refuse(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Archive, text)
}

/// Whether the bytes start as a gzip stream does.
#[must_use]
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1F, 0x8B, 0x08])
}

/// Reads the files of an archive, the first part of each path dropped, in the archive's order.
///
/// # Errors
/// What is not a gzip stream of a tar archive, crosses a limit, or holds an entry that no chart
/// should have; the text names the entry.
pub fn unpack(bytes: &[u8], limits: &ArchiveLimits) -> Result<Vec<File>, Error> {
    unpack_within(bytes, &mut Budget::new(*limits))
}

pub(crate) fn unpack_within(bytes: &[u8], budget: &mut Budget) -> Result<Vec<File>, Error> {
    let limits = budget.limits;
    if bytes.len() > limits.packed_bytes {
        return Err(limit(format!(
            "chart archive is larger than the maximum size {}",
            limits.packed_bytes
        )));
    }
    if !is_gzip(bytes) {
        return Err(refuse("gzip: invalid header"));
    }
    let ratio_bound = bytes.len().saturating_mul(limits.ratio).max(RATIO_FLOOR);
    let mut reader = Reader::new(MultiGzDecoder::new(bytes), ratio_bound);
    let mut files = Vec::new();
    let mut seen: HashMap<String, String> = HashMap::new();
    while let Some(entry) = reader.next_entry(limits.path_bytes)? {
        budget.take_entry()?;
        if entry.name.len() > limits.path_bytes {
            return Err(limit(format!(
                "chart archive entry {:?}... has a name longer than {} bytes",
                entry.name.chars().take(64).collect::<String>(),
                limits.path_bytes
            )));
        }
        if entry.is_folder() {
            reader.skip(&entry)?;
            continue;
        }
        if !entry.is_file() {
            return Err(refuse(format!(
                "chart archive entry {:?} is {}; only files and folders are allowed",
                entry.name,
                entry.kind_name()
            )));
        }
        let name = path::clean(&entry.name)?;
        if let Some(twin) = seen.insert(name.to_lowercase(), name.clone()) {
            let text = if twin == name {
                format!("chart archive holds {name:?} twice")
            } else {
                format!("chart archive holds {twin:?} and {name:?}, which differ only in case")
            };
            return Err(refuse(text));
        }
        let data = content(&mut reader, &entry, budget)?;
        files.push(File::new(name, data));
    }
    if files.is_empty() {
        return Err(refuse("no files in chart archive"));
    }
    Ok(files)
}

fn content<R: Read>(
    reader: &mut Reader<R>,
    entry: &Entry,
    budget: &mut Budget,
) -> Result<Bytes, Error> {
    let left = usize::try_from(entry.size)
        .ok()
        .and_then(|size| budget.bytes.checked_sub(size));
    let Some(left) = left else {
        return Err(limit(format!(
            "decompressed chart is larger than the maximum size {}",
            budget.limits.unpacked_bytes
        )));
    };
    budget.bytes = left;
    reader.read(entry)
}
