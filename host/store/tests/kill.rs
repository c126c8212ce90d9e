//! kill -9 at random moments: what was acknowledged before it is there afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use common::{Dice, options, slot};
use futures::future::join_all;
use optikon_core::ports::{Expectation, Kv};
use optikon_store::Store;

const KILLS: u64 = 200;
const FOLDER: &str = "OPTIKON_STORE_TEST_FOLDER";
const FIRST: &str = "OPTIKON_STORE_TEST_FIRST";

/// The process that is killed: writes from a number on, four at once, and says what was
/// acknowledged.
#[tokio::test]
#[ignore = "runs as a child of the test below"]
async fn write_until_killed() {
    let dir = std::env::var(FOLDER).unwrap();
    let mut next: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let store = Store::open(Path::new(&dir), options()).unwrap();
    let slot = slot();
    let mut out = std::io::stdout();
    loop {
        let keys: Vec<String> = (next..next + 4).map(|n| format!("n{n:010}")).collect();
        next += 4;
        let puts = keys
            .iter()
            .map(|key| store.put(&slot, key, key.repeat(40).into_bytes(), Expectation::Absent));
        for (key, outcome) in keys.iter().zip(join_all(puts).await) {
            outcome.unwrap();
            writeln!(out, "acknowledged {key}").unwrap();
        }
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let slot = slot();
    let mut acknowledged = 0;
    for round in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "write_until_killed", "--ignored", "--nocapture"])
            .env(FOLDER, dir.path())
            .env(FIRST, (round * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = Vec::new();
        let note = |line: String, told: &mut Vec<String>| {
            // The test harness writes before the first of them on the same line.
            told.extend(line.split("acknowledged ").nth(1).map(str::to_owned));
        };
        let enough = dice.roll(24) as usize;
        while told.len() < enough {
            note(lines.next().unwrap().unwrap(), &mut told);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said when it died; its last line may be cut.
        for line in lines {
            let line = line.unwrap();
            if line
                .split("acknowledged ")
                .nth(1)
                .is_some_and(|k| k.len() == 11)
            {
                note(line, &mut told);
            }
        }
        let store = Store::open(dir.path(), options()).unwrap();
        for key in &told {
            let entry = store.get(&slot, key).await.unwrap();
            let entry = entry.unwrap_or_else(|| panic!("{key} was acknowledged in round {round}"));
            assert_eq!(entry.value, key.repeat(40).into_bytes());
        }
        acknowledged += told.len();
    }
    assert!(
        acknowledged as u64 > KILLS,
        "only {acknowledged} writes were seen"
    );
}
