//! Archives whose headers are written by hand: also such as no archiver makes.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Path, type flag (`b'0'` is a file), content.
pub type Entry<'a> = (&'a str, u8, &'a [u8]);

/// A gzipped tar of these entries. Paths of more than 100 bytes are cut.
#[must_use]
pub fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, kind, data) in entries {
        let mut header = [0_u8; 512];
        let put = |header: &mut [u8; 512], at: usize, bytes: &[u8]| {
            for (place, byte) in header.iter_mut().skip(at).zip(bytes) {
                *place = *byte;
            }
        };
        put(
            &mut header,
            0,
            name.as_bytes()
                .get(..name.len().min(100))
                .unwrap_or_default(),
        );
        put(&mut header, 100, b"0000644");
        put(&mut header, 124, format!("{:011o}", data.len()).as_bytes());
        put(&mut header, 148, b"        ");
        put(&mut header, 156, &[*kind]);
        put(&mut header, 257, b"ustar\0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        put(&mut header, 148, format!("{sum:06o}\0").as_bytes());
        tar.extend_from_slice(&header);
        tar.extend_from_slice(data);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    gzip(&tar)
}

/// Bytes, gzipped.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// A small chart with one ConfigMap, which holds the value `greeting`.
#[must_use]
pub fn chart(name: &str, version: &str) -> Vec<u8> {
    let head = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  greeting: {{ .Values.greeting | quote }}\n";
    let path = |file: &str| format!("{name}/{file}");
    archive(&[
        (&path("Chart.yaml"), b'0', head.as_bytes()),
        (&path("values.yaml"), b'0', b"greeting: hello\n"),
        (&path("templates/map.yaml"), b'0', map.as_bytes()),
    ])
}
