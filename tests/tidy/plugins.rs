//! Shipped plugins and test guests.

use std::collections::BTreeSet;

use crate::tree::{files, folders, read, root, settle, table};

/// What each shipped plugin asks for. To let one ask for more is a decision, so it is written down here, too.
const ASKS: &str = "tests/golden/asks.txt";

/// Folders of `plugins/` that hold no plugin.
const LIBRARIES: &[&str] = &["sdk", "helm"];

#[test]
fn every_plugin_has_its_papers() {
    let mut complaints = Vec::new();
    for plugin in shipped() {
        for paper in ["plugin.toml", "config.schema.json", "README.md"] {
            if !root().join("plugins").join(&plugin).join(paper).is_file() {
                complaints.push(format!("plugins/{plugin} has no {paper}"));
            }
        }
    }
    settle("a plugin describes itself", &complaints);
}

#[test]
fn every_plugin_asks_for_what_was_agreed_and_says_why() {
    let (golden, front) = (read(ASKS), read("README.md"));
    let mut complaints = Vec::new();
    for plugin in shipped() {
        let manifest = read(format!("plugins/{plugin}/plugin.toml"));
        let readme = std::fs::read_to_string(root().join(format!("plugins/{plugin}/README.md")));
        let asks = table(&manifest, "asks");
        let names: BTreeSet<&str> = asks.iter().map(|(name, _)| *name).collect();
        let agreed: BTreeSet<&str> = golden
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| *name == plugin)
            .flat_map(|(_, names)| names.split_whitespace())
            .collect();
        if names != agreed {
            complaints.push(format!(
                "plugins/{plugin} asks for {names:?}, and {ASKS} says {agreed:?}"
            ));
        }
        if on_first_page(&plugin, &front) != names {
            complaints.push(format!("README.md says otherwise what {plugin} may do"));
        }
        for (name, why) in asks {
            if why.trim_matches('"').len() < 10 {
                complaints.push(format!(
                    "plugins/{plugin}/plugin.toml does not say why it asks for {name}"
                ));
            }
            if let Ok(readme) = &readme
                && !readme.contains(&format!("`{name}`"))
            {
                complaints.push(format!("plugins/{plugin}/README.md does not name {name}"));
            }
        }
    }
    settle("what plugins may do is pinned", &complaints);
}

/// The third column of a plugin's row.
fn on_first_page<'a>(plugin: &str, front: &'a str) -> BTreeSet<&'a str> {
    let head = format!("| [{plugin}](");
    let row = front.lines().find(|line| line.starts_with(&head));
    let cell = row
        .and_then(|row| row.split('|').nth(3))
        .unwrap_or_default();
    cell.trim().trim_matches('`').split_whitespace().collect()
}

#[test]
fn every_guest_is_used_by_a_test() {
    let tests: String = files("tests")
        .into_iter()
        .chain(files("host"))
        .filter(|file| file.ends_with(".rs") && !file.starts_with("tests/guests/"))
        .map(|file| read(&file))
        .collect();
    let mut guests: Vec<String> = folders("tests/guests")
        .into_iter()
        .filter(|guest| {
            root()
                .join("tests/guests")
                .join(guest)
                .join("Cargo.toml")
                .is_file()
        })
        .collect();
    let wat = files("tests/guests");
    guests.extend(wat.iter().filter_map(|file| {
        let name = file.strip_suffix(".wat")?;
        Some(name.rsplit('/').next()?.to_owned())
    }));
    assert!(!guests.is_empty(), "there are no guests");
    let unused: Vec<String> = guests
        .into_iter()
        .filter(|guest| {
            !["", ".wasm", ".wat"]
                .iter()
                .any(|end| tests.contains(&format!("\"{guest}{end}\"")))
        })
        .collect();
    settle("guests that no test names", &unused);
}

fn shipped() -> Vec<String> {
    folders("plugins")
        .into_iter()
        .filter(|name| !LIBRARIES.contains(&name.as_str()))
        .collect()
}
