//! The part of tar that charts use: ustar, PAX and GNU headers of files and folders.

use std::io::{ErrorKind, Read};

use bytes::Bytes;

use super::{limit, refuse};
use crate::error::Error;

const BLOCK: usize = 512;
/// A PAX header or a GNU long name may hold this much.
const SPECIAL_BYTES: u64 = 1 << 20;
/// A buffer grows by doubling from here, so that a header's claim alone allocates nothing.
const FIRST_CHUNK: usize = 64 << 10;

/// One file, folder or other thing of an archive.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) size: u64,
    mode: u64,
    kind: u8,
}

impl Entry {
    pub(super) fn is_folder(&self) -> bool {
        const FORMAT: u64 = !0o7777;
        const FOLDER: u64 = 0o040_000;
        self.kind == b'5'
            || self.mode & FORMAT == FOLDER
            || (self.kind == 0 && self.name.ends_with('/'))
            || (matches!(self.kind, b'0' | b'7') && self.name.ends_with('/') && self.size == 0)
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.kind, 0 | b'0' | b'7')
    }

    pub(super) fn kind_name(&self) -> &'static str {
        match self.kind {
            b'1' => "a hard link",
            b'2' => "a symbolic link",
            b'3' | b'4' => "a device",
            b'6' => "a pipe",
            b'S' => "a sparse file",
            _ => "of an unknown type",
        }
    }
}

/// Reads entries one after the other.
pub(super) struct Reader<R> {
    inner: R,
    read: usize,
    bound: usize,
    padding: usize,
}

/// What PAX and GNU headers say about the entry after them.
#[derive(Default)]
struct Overrides {
    path: Option<String>,
    size: Option<u64>,
}

impl<R: Read> Reader<R> {
    /// Reads from `inner`, at most `bound` bytes.
    pub(super) fn new(inner: R, bound: usize) -> Self {
        Self {
            inner,
            read: 0,
            bound,
            padding: 0,
        }
    }

    /// The next entry, or nothing after the last. The one before must have been read or skipped.
    pub(super) fn next_entry(&mut self, path_bytes: usize) -> Result<Option<Entry>, Error> {
        let mut overrides = Overrides::default();
        loop {
            let padding = std::mem::take(&mut self.padding);
            let mut rest = [0; BLOCK];
            if let Some(rest) = rest.get_mut(..padding) {
                self.fill(rest)?;
            }
            let mut block = [0; BLOCK];
            if self.fill(&mut block)? == 0 || block.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let mut entry = parse(&block)?;
            match entry.kind {
                b'x' => {
                    let records = self.special(&entry)?;
                    pax(&records, &mut overrides)?;
                }
                b'g' => {
                    self.special(&entry)?;
                }
                b'L' => {
                    let name = self.special(&entry)?;
                    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                    overrides.path = Some(String::from_utf8_lossy(name).into_owned());
                }
                b'K' => {
                    self.special(&entry)?;
                }
                _ => {
                    if let Some(path) = overrides.path {
                        entry.name = path;
                    }
                    if let Some(size) = overrides.size {
                        if entry.size != 0 && entry.size != size {
                            let name: String = entry.name.chars().take(path_bytes).collect();
                            return Err(refuse(format!(
                                "chart archive entry {name:?} has two sizes, {} and {size}",
                                entry.size
                            )));
                        }
                        entry.size = size;
                    }
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// Passes over an entry's content.
    pub(super) fn skip(&mut self, entry: &Entry) -> Result<(), Error> {
        let mut left = entry.size;
        let mut chunk = [0; 4096];
        while left > 0 {
            let want = usize::try_from(left)
                .unwrap_or(chunk.len())
                .min(chunk.len());
            let part = chunk.get_mut(..want).unwrap_or_default();
            let got = self.fill(part)?;
            if got < want {
                return Err(truncated());
            }
            left -= got as u64;
        }
        self.padding = padding_of(entry.size);
        Ok(())
    }

    /// An entry's content.
    pub(super) fn read(&mut self, entry: &Entry) -> Result<Bytes, Error> {
        let size = usize::try_from(entry.size).map_err(|_| truncated())?;
        let mut data = Vec::new();
        while data.len() < size {
            let start = data.len();
            let step = start.max(FIRST_CHUNK).min(size - start);
            data.reserve_exact(step);
            data.resize(start + step, 0);
            let part = data.get_mut(start..).unwrap_or_default();
            if self.fill(part)? < step {
                return Err(truncated());
            }
        }
        self.padding = padding_of(entry.size);
        Ok(Bytes::from(data))
    }

    fn special(&mut self, entry: &Entry) -> Result<Bytes, Error> {
        if entry.size > SPECIAL_BYTES {
            return Err(limit(format!(
                "chart archive has a header longer than {SPECIAL_BYTES} bytes"
            )));
        }
        self.read(entry)
    }

    /// Fills the buffer as far as the stream goes.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.inner.read(rest) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(refuse(format!("gzip: {error}"))),
            }
        }
        self.read = self.read.saturating_add(done);
        if self.read > self.bound {
            return Err(limit(format!(
                "chart archive unpacks to more than {} bytes, too many for its size",
                self.bound
            )));
        }
        if done != 0 && done < buffer.len() && buffer.len() == BLOCK {
            return Err(truncated());
        }
        Ok(done)
    }
}

fn truncated() -> Error {
    refuse("unexpected EOF")
}

fn invalid() -> Error {
    refuse("archive/tar: invalid tar header")
}

fn padding_of(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    (BLOCK - over) % BLOCK
}

fn parse(block: &[u8; BLOCK]) -> Result<Entry, Error> {
    let field = |start: usize, length: usize| block.get(start..start + length).unwrap_or_default();
    let stated = number(field(148, 8)).ok_or_else(invalid)?;
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u64::from(*byte)
            }
        })
        .sum();
    let signed: i64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                i64::from(byte.cast_signed())
            }
        })
        .sum();
    if stated != sum && i64::try_from(stated) != Ok(signed) {
        return Err(invalid());
    }
    let mut name = text(field(0, 100));
    let is_ustar = field(257, 6) == b"ustar\0";
    if is_ustar {
        let prefix = text(field(345, 155));
        if !prefix.is_empty() {
            name = format!("{prefix}/{name}");
        }
    }
    Ok(Entry {
        name,
        size: number(field(124, 12)).ok_or_else(invalid)?,
        mode: number(field(100, 8)).ok_or_else(invalid)?,
        kind: field(156, 1).first().copied().unwrap_or_default(),
    })
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0);
    let bytes = field.get(..end.unwrap_or(field.len())).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

/// An octal number, or a base-256 one if the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    if field.first().is_some_and(|byte| byte & 0x80 != 0) {
        let mut value: u64 = 0;
        for (at, byte) in field.iter().enumerate() {
            let byte = if at == 0 { byte & 0x7F } else { *byte };
            if value >> 56 != 0 {
                return None;
            }
            value = value << 8 | u64::from(byte);
        }
        return Some(value);
    }
    let text = std::str::from_utf8(field).ok()?;
    let text = text.trim_matches(|c| c == ' ' || c == '\0');
    let text = text.split('\0').next().unwrap_or_default();
    if text.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(text, 8).ok()
}

/// PAX records: `LENGTH KEY=VALUE\n`, each as long as it says.
fn pax(mut records: &[u8], overrides: &mut Overrides) -> Result<(), Error> {
    while !records.is_empty() {
        let space = records
            .iter()
            .position(|byte| *byte == b' ')
            .ok_or_else(invalid)?;
        let length: usize = records
            .get(..space)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(invalid)?;
        let record = records.get(space + 1..length).ok_or_else(invalid)?;
        let record = record.strip_suffix(b"\n").ok_or_else(invalid)?;
        let equals = record
            .iter()
            .position(|byte| *byte == b'=')
            .ok_or_else(invalid)?;
        let (key, value) = record.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        match key {
            b"path" => overrides.path = Some(String::from_utf8_lossy(value).into_owned()),
            b"size" => {
                let size = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok());
                overrides.size = Some(size.ok_or_else(invalid)?);
            }
            _ if key.starts_with(b"GNU.sparse.") => {
                return Err(refuse("chart archive holds a sparse file"));
            }
            _ => {}
        }
        records = records.get(length..).unwrap_or_default();
    }
    Ok(())
}
