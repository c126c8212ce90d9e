//! What holds for every file.

use crate::tree::{read, settle, written};

/// Past this, a file is two.
const MAX_LINES: usize = 500;

/// Files that may be longer, and why.
const LONG: &[(&str, &str)] = &[];

#[test]
fn files_are_short() {
    let mut complaints = Vec::new();
    for file in written().iter().filter(|file| file.ends_with(".rs")) {
        let lines = read(file).lines().count();
        let is_listed = LONG.iter().any(|(long, _)| long == file);
        if lines > MAX_LINES && !is_listed {
            complaints.push(format!(
                "{file}: {lines} lines; past {MAX_LINES} it is two files"
            ));
        }
        if lines <= MAX_LINES && is_listed {
            complaints.push(format!("{file} is short again: take it off the list"));
        }
    }
    settle("files are too long", &complaints);
}

#[test]
fn files_hold_for_every_machine() {
    let paths = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
    ];
    complain_about(&paths, "names a folder of one machine");
}

#[test]
fn files_leave_it_to_tools_where_packages_come_from() {
    // The one name that a Python tool is asked for is that of a package, not of a host.
    let hosts = [
        concat!("index.crates", ".io"),
        concat!("static.crates", ".io"),
        concat!("proxy.gol", "ang.org"),
        concat!("py", "pi.org"),
        concat!("files.python", "hosted.org"),
        concat!("static.rust", "-lang.org"),
        concat!("deb.deb", "ian.org"),
        concat!("registry.np", "mjs.org"),
        concat!("gh", "cr.io"),
        concat!("docker", ".io"),
        concat!("qua", "y.io"),
    ];
    complain_about(
        &hosts,
        "names a package registry: mirrors and proxies are the tools' business",
    );
}

#[test]
fn files_say_what_is_and_not_how_it_came_to_be() {
    let words = [
        concat!("sub", "agent"),
        concat!("language ", "model"),
        concat!("this ", "session"),
        concat!("previous ", "session"),
        concat!("the br", "ief says"),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("XX", "X:"),
        concat!("issue ", "#"),
    ];
    complain_about(&words, "history, people and plans are not for here");
}

fn complain_about(words: &[&str], why: &str) {
    let mut complaints = Vec::new();
    for file in written() {
        for (index, line) in read(&file).lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                complaints.push(format!("{file}:{}: {word}", index + 1));
            }
        }
    }
    settle(why, &complaints);
}

#[test]
fn exceptions_from_lints_explain_themselves_and_safety_is_lifted_in_few_places() {
    /// Who may say `unsafe`, and for what.
    const UNSAFE: &[(&str, &str)] = &[
        (
            "host/engine/src/cache.rs",
            "maps compiled code that the host wrote itself",
        ),
        (
            "host/optikon/src/main.rs",
            "options of the allocator, which is C",
        ),
        (
            "plugins/helm/module/src/lib.rs",
            "functions that are found by their names, on buffers of whoever calls",
        ),
        ("plugins/sdk/src/bindings.rs", "generated bindings"),
        ("plugins/sdk/src/export.rs", "generated bindings"),
    ];
    let mut complaints = Vec::new();
    for file in written().iter().filter(|file| file.ends_with(".rs")) {
        if file.starts_with("tests/") {
            continue;
        }
        for (index, line) in read(file).lines().enumerate() {
            let lifts = line.contains("allow(unsafe_code") || line.contains("expect(unsafe_code");
            if lifts && !UNSAFE.iter().any(|(owner, _)| owner == file) {
                complaints.push(format!("{file}:{} lifts unsafe_code", index + 1));
            }
        }
    }
    settle("unsafe code is for a few places", &complaints);
}
