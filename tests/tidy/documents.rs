//! Documents say what is there: their tables are compared with the code, and their commands are run by somebody.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{files, read, root, settle, written};

/// A command that a document tells people to type, and the file that runs it, with words by which it does.
const COMMANDS: &[(&str, &str, &str)] = &[
    (
        "cargo xtask demo",
        "examples/quickstart/quickstart.sh",
        "optikon cluster get edge-1",
    ),
    (
        "optikon cluster list",
        "examples/quickstart/quickstart.sh",
        "optikon cluster list",
    ),
    (
        "optikon cluster get edge-1",
        "examples/quickstart/quickstart.sh",
        "optikon cluster get edge-1",
    ),
    (
        "optikon chart install hello examples/quickstart/hello --all --wait",
        "examples/quickstart/quickstart.sh",
        "optikon chart install hello \"$chart\" --all --wait",
    ),
    (
        "optikon chart list",
        "examples/quickstart/quickstart.sh",
        "optikon chart list",
    ),
    (
        "examples/quickstart/quickstart.sh",
        "tests/quickstart/main.rs",
        "quickstart.sh",
    ),
    (
        "cargo xtask demo --tiller",
        "tests/quickstart/tiller.rs",
        "--tiller",
    ),
    (
        "cargo xtask demo --tiller --v0 127.0.0.1:7701",
        "tests/quickstart/tiller.rs",
        "--v0",
    ),
];

/// Blocks of these documents are held to [`COMMANDS`].
fn documents() -> Vec<String> {
    let mut found: Vec<String> = ["README.md", "plugins/README.md", "tests/README.md"]
        .map(str::to_owned)
        .into();
    found.extend(
        files("examples")
            .into_iter()
            .filter(|file| file.ends_with(".md")),
    );
    found
}

/// Lines of the ```` ```sh ```` blocks.
fn commands(text: &str) -> Vec<&str> {
    let mut is_inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        match line.trim() {
            "```sh" => is_inside = true,
            "```" => is_inside = false,
            "" => {}
            line if is_inside && !line.starts_with('#') => found.push(line),
            _ => {}
        }
    }
    found
}

#[test]
fn every_command_of_a_document_is_run_by_somebody() {
    let mut complaints = Vec::new();
    for document in documents() {
        let text = read(&document);
        for command in commands(&text) {
            let row = COMMANDS.iter().find(|(known, ..)| *known == command);
            let script = "examples/quickstart/quickstart.sh";
            let is_of_script =
                document.starts_with("examples/quickstart/") && read(script).contains(command);
            match row {
                None if is_of_script => {}
                None => complaints.push(format!("{document}: `{command}` is in no test's table")),
                Some((_, file, words)) if !read(file).contains(words) => {
                    complaints.push(format!("{document}: {file} no longer runs `{command}`"));
                }
                Some(_) => {}
            }
        }
    }
    settle(
        "a command that nobody runs does not work for long",
        &complaints,
    );
}

#[test]
fn the_first_screen_has_the_quick_start() {
    let text = read("README.md");
    let lines: Vec<&str> = text.lines().take(40).collect();
    assert!(lines[0].starts_with("# "), "the first line is the name");
    let position = lines.iter().position(|line| *line == "## Quick start");
    assert!(position.is_some(), "the quick start is not within 40 lines");
    let commands = commands(&text);
    assert!(
        lines.iter().any(|line| line.contains(commands[0])),
        "`{}` is further down",
        commands[0]
    );
}

/// `path -> methods` of the router's table.
fn endpoints() -> BTreeMap<String, BTreeSet<String>> {
    let source = read("host/api/src/router.rs");
    let start = source
        .find("pub const ENDPOINTS")
        .expect("the router has a table");
    let end = start + source[start..].find("];").expect("the table ends");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in source[start..end].split("(Method::").skip(1) {
        let (method, rest) = row.split_once(',').expect("a method, then a path");
        let path = rest.split('"').nth(1).expect("a path in quotes");
        found
            .entry(path.to_owned())
            .or_default()
            .insert(method.trim().to_owned());
    }
    assert!(found.len() > 5, "the table was not understood");
    found
}

#[test]
fn the_readme_has_exactly_the_endpoints_of_the_router() {
    let text = read("README.md");
    let mut said: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `/")) {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let path = cells
            .next()
            .unwrap_or_default()
            .trim_matches('`')
            .to_owned();
        let methods = cells
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned);
        said.insert(path, methods.collect());
    }
    assert_eq!(said, endpoints(), "README.md's table and the router's");
}

#[test]
fn no_route_is_missing_in_the_table_of_roles() {
    let source = read("host/api/src/router.rs");
    let known = endpoints();
    let mut routes = Vec::new();
    for row in source.split(".route(").skip(1) {
        let path = row.split('"').nth(1).expect("a path in quotes").to_owned();
        routes.push(path);
    }
    assert!(!routes.is_empty(), "no route was understood");
    let missing: Vec<String> = routes
        .into_iter()
        .filter(|path| !known.contains_key(path))
        .collect();
    settle("routes that the layer of roles does not know", &missing);
}

#[test]
fn the_readme_has_exactly_the_limits_of_the_engine() {
    let source = read("host/engine/src/limits.rs");
    let start = source
        .find("\nlimits! {")
        .expect("the engine has a table of limits");
    let keys: BTreeSet<&str> = source[start..]
        .lines()
        .skip(2)
        .take_while(|line| *line != "}")
        .filter(|line| !line.trim_start().starts_with("//"))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    let text = read("README.md");
    let start = text
        .find("\n## Limits")
        .expect("README.md has a table of limits");
    let end = start
        + text[start..]
            .find("\n## Configuration")
            .expect("and of the configuration");
    let said: BTreeSet<&str> = text[start..end]
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(said, keys, "README.md's table and the engine's");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut complaints = Vec::new();
    for document in written().into_iter().filter(|file| file.ends_with(".md")) {
        let text = read(&document);
        let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            if !root().join(folder).join(target).exists() {
                complaints.push(format!("{document}: {link}"));
            }
        }
    }
    settle("links that lead nowhere", &complaints);
}

#[test]
fn commands_in_documents_exist() {
    /// Where a subcommand is declared, by its first word.
    const SOURCES: &[(&str, &str)] = &[
        ("cluster", "host/optikon/src/cli/cluster.rs"),
        ("plugin", "host/optikon/src/cli/plugin.rs"),
        ("token", "host/optikon/src/cli/token.rs"),
        ("store", "host/optikon/src/cli/store.rs"),
    ];
    let arguments = read("host/optikon/src/args.rs");
    let mut complaints = Vec::new();
    for document in written().into_iter().filter(|file| file.ends_with(".md")) {
        let text = read(&document);
        for said in text
            .split("`optikon ")
            .skip(1)
            .filter_map(|rest| rest.split('`').next())
        {
            let mut words = said.split_whitespace();
            let first = words.next().unwrap_or_default();
            let kind = capitalised(first);
            if !arguments.contains(&format!("{kind}("))
                && !arguments.contains(&format!("{kind} {{"))
            {
                complaints.push(format!("{document}: there is no `optikon {first}`"));
                continue;
            }
            let Some((_, source)) = SOURCES.iter().find(|(word, _)| *word == first) else {
                continue;
            };
            let source = read(source);
            for second in words
                .next()
                .unwrap_or_default()
                .split(['|', '\\'])
                .filter(|w| !w.is_empty())
            {
                let kind = capitalised(second);
                let is_there = [",", "(", " {"]
                    .iter()
                    .any(|end| source.contains(&format!("    {kind}{end}")));
                if second.starts_with(|c: char| c.is_ascii_lowercase()) && !is_there {
                    complaints.push(format!(
                        "{document}: there is no `optikon {first} {second}`"
                    ));
                }
            }
        }
    }
    settle("documents name commands that do not exist", &complaints);
}

/// `reset-admin` as the code has it: `ResetAdmin`.
fn capitalised(word: &str) -> String {
    let parts = word.split('-').filter_map(|part| {
        let mut chars = part.chars();
        let first = chars.next()?.to_ascii_uppercase();
        Some(format!("{first}{}", chars.as_str()))
    });
    parts.collect()
}

#[test]
fn every_example_is_run_by_a_test() {
    let tests: String = files("tests")
        .into_iter()
        .filter(|file| file.ends_with(".rs") && !file.starts_with("tests/tidy/"))
        .map(|file| read(&file))
        .collect();
    let idle: Vec<String> = files("examples")
        .into_iter()
        .filter(|file| file.ends_with(".sh") && !tests.contains(file))
        .collect();
    settle("examples that no test runs", &idle);
}
