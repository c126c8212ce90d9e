//! Power cuts at every kind of write boundary, those of the recovery included.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::{collections::BTreeMap, sync::Arc};

use common::{Dice, Disk, options, slot};
use futures::future::join_all;
use optikon_core::ports::{Documents, Expectation, Kv, Table};
use optikon_store::Store;

const CUTS: u32 = 2_400;
const KEYS: u64 = 8;

/// What the world was told, and what it cannot know.
#[derive(Debug, Default)]
struct Model {
    acknowledged: BTreeMap<String, u64>,
    in_flight: BTreeMap<String, u64>,
    version: u64,
    pair: u64,
    pair_in_flight: Option<u64>,
    reserved_up_to: u64,
}

fn number(bytes: &[u8]) -> u64 {
    // The tail makes values span pages; a half-written one does not match its head.
    let head = u64::from_be_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes[8..].iter().all(|b| *b == head as u8), "a torn value");
    head
}

fn value(number: u64) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(8 + (number % 7) as usize * 900, number as u8);
    bytes
}

impl Model {
    /// Compares with what survived, and takes that as the truth from here.
    async fn verify(&mut self, store: &Store) {
        let slot = slot();
        let scan = store.scan(&slot, "", 1_000, None).await.unwrap();
        assert!(scan.version >= self.version, "a version went back");
        let found: BTreeMap<String, u64> = scan
            .entries
            .iter()
            .map(|e| (e.key.clone(), number(&e.value)))
            .collect();
        for i in 0..KEYS {
            let key = format!("k{i}");
            let now = found.get(&key);
            let told = self.acknowledged.get(&key);
            let maybe = self.in_flight.get(&key);
            assert!(
                now == told || (maybe.is_some() && now == maybe),
                "{key} is {now:?}, acknowledged was {told:?}, in flight {maybe:?}"
            );
        }
        let mut halves = Vec::new();
        for table in [Table::Meta, Table::Slots] {
            let half = store.read(table, "pair").await.unwrap();
            halves.push(half.map_or(0, |h| number(&h)));
        }
        assert_eq!(halves[0], halves[1], "half of a write of two documents");
        assert!(
            halves[0] == self.pair || Some(halves[0]) == self.pair_in_flight,
            "an acknowledged document is gone"
        );
        self.acknowledged = found;
        self.in_flight.clear();
        self.version = scan.version;
        self.pair = halves[0];
        self.pair_in_flight = None;
    }

    /// Writes until the power goes.
    async fn work(&mut self, store: &Store, dice: &mut Dice, next: &mut u64) {
        let slot = slot();
        loop {
            // Several at once, so that they share a transaction.
            let mut batch = BTreeMap::new();
            for _ in 0..=dice.roll(4) {
                *next += 1;
                batch.insert(format!("k{}", dice.roll(KEYS)), *next);
            }
            self.in_flight.clone_from(&batch);
            *next += 1;
            let pair = *next;
            self.pair_in_flight = Some(pair);
            let puts = join_all(
                batch
                    .iter()
                    .map(|(key, number)| store.put(&slot, key, value(*number), Expectation::Any)),
            );
            let both = vec![
                (Table::Meta, "pair".to_owned(), Some(value(pair))),
                (Table::Slots, "pair".to_owned(), Some(value(pair))),
            ];
            let (puts, pair_written, reserved) =
                tokio::join!(puts, store.write(both), store.reserve("rv", 3));
            let mut has_failed = false;
            for ((key, number), outcome) in batch.iter().zip(puts) {
                match outcome {
                    Ok(version) => {
                        assert!(version > 0);
                        self.version = self.version.max(version);
                        self.acknowledged.insert(key.clone(), *number);
                        self.in_flight.remove(key);
                    }
                    Err(_) => has_failed = true,
                }
            }
            if pair_written.is_ok() {
                self.pair = pair;
                self.pair_in_flight = None;
            }
            if let Ok(first) = reserved {
                assert!(first >= self.reserved_up_to, "a number was given out twice");
                self.reserved_up_to = first + 3;
            }
            if has_failed || pair_written.is_err() || reserved.is_err() {
                return;
            }
        }
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_power_cuts_whole() {
    let seed = 0x9e37_79b9_7f4a_7c15;
    let mut dice = Dice(seed);
    let disk = Disk::default();
    let open = || Store::open_on(Arc::new(disk.clone()), options());
    drop(open().unwrap());
    let mut model = Model::default();
    let (mut next, mut cuts, mut in_recovery, mut verified) = (0, 0, 0, 0);
    while cuts < CUTS {
        // Mostly right after the start, where the recovery of the last cut is under way.
        let steps = if dice.roll(2) == 0 { 12 } else { 120 };
        disk.cut_after(dice.roll(steps));
        match open() {
            Ok(store) => {
                // Only writes use up the steps: what the last cuts left can be read.
                model.verify(&store).await;
                verified += 1;
                model.work(&store, &mut dice, &mut next).await;
                assert!(disk.is_dead(), "a write failed though the disk was well");
                store.close();
            }
            Err(error) => {
                assert!(
                    disk.is_dead(),
                    "cut {cuts} of seed {seed:#x}: refused though the disk was well: {error}"
                );
                in_recovery += 1;
            }
        }
        cuts += 1;
        disk.restore_power(&mut dice);
    }
    model.verify(&open().unwrap()).await;
    assert!(verified > CUTS / 2, "only {verified} cuts hit a write");
    assert!(
        in_recovery > CUTS / 20,
        "only {in_recovery} cuts hit a start"
    );
}

#[tokio::test]
async fn a_first_start_that_loses_power_starts_again() {
    for steps in 0..40 {
        let disk = Disk::default();
        let mut dice = Dice(steps + 1);
        disk.cut_after(steps);
        let first = Store::open_on(Arc::new(disk.clone()), options());
        drop(first);
        disk.restore_power(&mut dice);
        let store = Store::open_on(Arc::new(disk), options()).unwrap();
        store
            .put(&slot(), "k", vec![1], Expectation::Absent)
            .await
            .unwrap();
    }
}
