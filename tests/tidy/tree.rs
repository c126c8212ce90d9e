//! Reading the tree.

use std::fs;
use std::path::{Path, PathBuf};

/// What is built, recorded, or not ours.
const SKIPPED: &[&str] = &[".git", "target", "data", "node_modules"];

/// The folder with the workspace's `Cargo.toml`.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the tests lie in the workspace")
        .to_path_buf()
}

/// A text of the tree.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below `folder`, relative to the root, sorted, with `/` between its parts.
pub fn files(folder: &str) -> Vec<String> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if SKIPPED.iter().any(|skipped| name == *skipped) {
                continue;
            }
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(&root).unwrap();
                found.push(path.to_str().expect("names are UTF-8").replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

/// Files that people wrote, as opposed to recorded ones: source, documents, manifests, interfaces, scripts.
pub fn written() -> Vec<String> {
    const ENDS: &[&str] = &[".rs", ".md", ".toml", ".wit", ".sh", ".go", ".wat", ".json"];
    const RECORDED: &[&str] = &[
        "/fixtures/",
        "/golden/",
        "/goldens/",
        "/testdata/",
        "/cases/",
    ];
    files("")
        .into_iter()
        .filter(|file| ENDS.iter().any(|end| file.ends_with(end)))
        .filter(|file| {
            !RECORDED
                .iter()
                .any(|folder| format!("/{file}").contains(folder))
        })
        .collect()
}

/// Folders right below `folder`, by name.
pub fn folders(folder: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root().join(folder))
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().expect("names are UTF-8"))
        .collect();
    names.sort();
    names
}

/// Lines of a table of a TOML file that is written as ours are: `[table]`, then `key = value`.
pub fn table<'a>(toml: &'a str, name: &str) -> Vec<(&'a str, &'a str)> {
    let header = format!("[{name}]");
    toml.lines()
        .skip_while(|line| line.trim() != header)
        .skip(1)
        .take_while(|line| !line.trim_start().starts_with('['))
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect()
}

/// Names of the crates that a manifest depends on, tests apart.
pub fn dependencies(manifest: &str) -> Vec<String> {
    table(manifest, "dependencies")
        .into_iter()
        .filter_map(|(key, _)| key.split('.').next())
        .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

/// Fails with every complaint, a line each.
pub fn settle(rule: &str, complaints: &[String]) {
    assert!(
        complaints.is_empty(),
        "{rule}:\n  {}",
        complaints.join("\n  ")
    );
}
