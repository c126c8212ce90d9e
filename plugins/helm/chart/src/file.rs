//! A file of a chart, held in memory.

use bytes::Bytes;

/// UTF-8's byte order mark, which Helm drops from the start of every file.
const BOM: &[u8] = &[0xEF, 0xBB, 0xBF];

/// A file of a chart: its path below the chart's folder, with `/`, and its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Relative path, e.g. `templates/service.yaml`.
    pub name: String,
    /// Content without a byte order mark. Cheap to clone.
    pub data: Bytes,
}

impl File {
    /// A file; a byte order mark at the start of the content is dropped.
    pub fn new(name: impl Into<String>, data: impl Into<Bytes>) -> Self {
        let mut data = data.into();
        if data.starts_with(BOM) {
            data = data.slice(BOM.len()..);
        }
        Self {
            name: name.into(),
            data,
        }
    }
}
