//! Texts that nobody means well with: no panic, no deep stack, no blow-up.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

use serde_json::Value;

/// What a sandbox has. Unoptimised, as tests are, all frames are several times as large as there.
const STACK_BYTES: usize = 1 << 20;

/// Runs in a thread with a small stack.
fn on_a_small_stack(work: fn()) {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(work).unwrap().join().unwrap();
}

fn message(text: &str) -> String {
    helm_yaml::from_yaml_any(text).unwrap_err().to_string()
}

#[test]
fn nesting_is_refused_before_it_hurts() {
    on_a_small_stack(|| {
        for opening in ["[", "{a: ", "- ", "? ", "{? ", "[[{a: [", "- ? "] {
            let text = opening.repeat(50_000);
            assert!(helm_yaml::from_yaml_any(&text).is_err(), "{opening}");
        }
        assert!(message(&"[".repeat(300)).ends_with("yaml: exceeded max depth of 256"));
        assert!(helm_yaml::from_json_any(&"[".repeat(100_000)).is_err());
    });
}

#[test]
fn the_deepest_value_fits_a_small_stack() {
    on_a_small_stack(|| {
        let depth = 255;
        let lists = "[".repeat(depth) + &"]".repeat(depth);
        let maps = "{a: ".repeat(depth) + "1" + &"}".repeat(depth);
        for text in [lists, maps] {
            let value = helm_yaml::from_yaml_any(&text).unwrap();
            let written = helm_yaml::to_yaml(&value);
            assert_eq!(helm_yaml::from_yaml_any(&written).unwrap(), value);
            let json = helm_yaml::to_json(&value);
            assert_eq!(helm_yaml::from_json_any(&json).unwrap(), value);
            assert!(!helm_yaml::to_yaml_pretty(&value).is_empty());
        }
    });
}

#[test]
fn aliases_cannot_multiply_without_end() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    assert!(message(&text).ends_with("yaml: document contains excessive aliasing"));

    let copies = "- *a\n".repeat(10_000);
    let text = format!("- &a {}\n{copies}", "x".repeat(100_000));
    assert!(message(&text).ends_with("yaml: document contains excessive aliasing"));
}

#[test]
fn what_was_written_reads_and_writes_the_same() {
    let seeds: Vec<String> = include_str!("cases.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|row| row["in"].as_str().map(str::to_owned))
        .filter(|text| text.len() < 500)
        .collect();
    let mut random = Random(1);
    let mut written_texts = 0;
    for round in 0..20_000 {
        let seed = &seeds[round % seeds.len()];
        let other = &seeds[random.below(seeds.len())];
        let text = random.mutate(seed, other);
        let _ = helm_yaml::from_json_any(&text);
        let _ = helm_yaml::from_yaml_strict(&text);
        let Ok(value) = helm_yaml::from_yaml_any(&text) else {
            continue;
        };
        let _ = helm_yaml::to_yaml_pretty(&value);
        if let Ok(written) = helm_yaml::try_to_yaml(&value) {
            // The libraries write such a key without quotes, and read it as a merge.
            if written.contains("<<") {
                continue;
            }
            let read = helm_yaml::from_yaml_any(&written);
            let again = read.map(|value| helm_yaml::to_yaml(&value));
            assert_eq!(again, Ok(written), "from {text:?}");
            written_texts += 1;
        }
    }
    assert!(written_texts > 2_000, "only {written_texts} were good YAML");
}

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    /// Cuts, moves and inserts, some of it from the other text.
    fn mutate(&mut self, text: &str, other: &str) -> String {
        const SIGNS: &str = ":-?,[]{}&*!|>'\"%@` \n\t#~.0eé\u{85}\u{1}\\\r";
        let mut chars: Vec<char> = text.chars().collect();
        let others: Vec<char> = other.chars().chain(SIGNS.chars()).collect();
        for _ in 0..=self.below(4) {
            let at = self.below(chars.len() + 1);
            match self.below(4) {
                0 => drop(chars.drain(at..(at + 1 + self.below(5)).min(chars.len()).max(at))),
                1 => chars.insert(at, others[self.below(others.len())]),
                2 => {
                    let from = self.below(others.len());
                    let to = (from + self.below(20)).min(others.len());
                    drop(chars.splice(at..at, others[from..to].iter().copied()));
                }
                _ => {
                    let signs: Vec<char> = SIGNS.chars().collect();
                    chars.insert(at, signs[self.below(signs.len())]);
                }
            }
        }
        chars.into_iter().collect()
    }
}
