//! `wit/` is the contract: every item says who calls, what must hold, in which units.

use crate::tree::{files, read, settle};

#[test]
fn every_item_of_the_interfaces_is_documented() {
    let mut complaints = Vec::new();
    for file in files("wit").iter().filter(|file| file.ends_with(".wit")) {
        for (number, item) in undocumented(&read(file)) {
            complaints.push(format!("{file}:{number}: {item}"));
        }
    }
    settle("items without a sentence", &complaints);
}

/// Items without a `///` above them: interfaces, worlds, types, fields, cases, functions.
fn undocumented(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut is_documented = false;
    // Inside of a parameter list that takes several lines.
    let mut depth = 0_i32;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("///") {
            is_documented = true;
            continue;
        }
        if line.starts_with("//") || line.starts_with('@') {
            continue;
        }
        if depth == 0 && is_item(line) && !is_documented {
            found.push((index + 1, line));
        }
        for c in line.chars() {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
        }
        is_documented = false;
    }
    found
}

fn is_item(line: &str) -> bool {
    const NONE: &[&str] = &[
        "package ", "use ", "import ", "export ", "include ", "}", "{", ")",
    ];
    !line.is_empty() && !NONE.iter().any(|start| line.starts_with(start))
}

#[test]
fn an_item_without_a_sentence_is_found() {
    let text = "package a:b;\n/// Yes.\ninterface i {\n  /// Yes.\n  f: async func(a: u8) -> result<u8, string>;\n  \
                g: func();\n  /// Yes.\n  enum e {\n    /// Yes.\n    one,\n    two,\n  }\n}\n";
    let found: Vec<usize> = undocumented(text)
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    assert_eq!(found, [6, 11]);
}
