//! What the tests of the store share: a disk that can lose power or be full.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use optikon_core::{
    ports::{Bound, VaultEntry},
    words::{Credential, Secret, SlotName},
};
use optikon_store::{DATABASE_FILE, KeySource, Medium, OpenError, Store, StoreOptions};
use redb::{Database, StorageBackend, TableDefinition};

pub const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

pub fn options() -> StoreOptions {
    StoreOptions {
        vault_key: KeySource::Given(Secret::new(KEY.to_owned())),
        retry: Duration::from_millis(2),
        ..StoreOptions::default()
    }
}

pub fn slot() -> SlotName {
    "registry".parse().unwrap()
}

/// A small generator, so that a failing run can be repeated from its seed.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[derive(Debug)]
enum Op {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

fn apply(image: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(offset, data) => {
            let (start, end) = (*offset as usize, *offset as usize + data.len());
            if image.len() < end {
                image.resize(end, 0);
            }
            image[start..end].copy_from_slice(data);
        }
        Op::SetLen(len) => image.resize(*len as usize, 0),
    }
}

#[derive(Debug, Default)]
struct Platter {
    /// What a power cut leaves at least.
    durable: Vec<u8>,
    /// What was written since the last sync, in order.
    pending: Vec<Op>,
    /// What a reader sees.
    current: Vec<u8>,
    is_there: bool,
    acknowledged: Option<u64>,
    /// Writes, resizes and syncs until the power goes.
    left: Option<u64>,
    is_dead: bool,
    is_full: bool,
    is_frozen_in_size: bool,
}

impl Platter {
    /// Counts one boundary; an error when the power goes here or went before.
    fn step(&mut self) -> io::Result<()> {
        match &mut self.left {
            Some(0) => self.is_dead = true,
            Some(left) => *left -= 1,
            None => {}
        }
        self.alive()
    }

    fn alive(&self) -> io::Result<()> {
        if self.is_dead {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(())
    }
}

/// A disk in memory; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Platter>>);

impl Disk {
    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap()
    }

    /// The power goes after so many more writes, resizes and syncs.
    pub fn cut_after(&self, steps: u64) {
        self.lock().left = Some(steps);
    }

    pub fn is_dead(&self) -> bool {
        self.lock().is_dead
    }

    /// Brings the power back: of what was not synced, a random part survives, some of it torn.
    pub fn restore_power(&self, dice: &mut Dice) {
        let mut disk = self.lock();
        let mut image = std::mem::take(&mut disk.durable);
        for op in std::mem::take(&mut disk.pending) {
            match (dice.roll(4), op) {
                (0, _) => {}
                (1, Op::Write(offset, mut data)) => {
                    let sectors = data.len().div_ceil(512) as u64;
                    data.truncate(dice.roll(sectors + 1) as usize * 512);
                    apply(&mut image, &Op::Write(offset, data));
                }
                (_, op) => apply(&mut image, &op),
            }
        }
        disk.current = image.clone();
        disk.durable = image;
        disk.left = None;
        disk.is_dead = false;
    }

    /// No write succeeds while the disk is full.
    pub fn set_full(&self, is_full: bool) {
        self.lock().is_full = is_full;
    }

    /// Only what is there can be overwritten.
    pub fn set_frozen_in_size(&self, is_frozen: bool) {
        self.lock().is_frozen_in_size = is_frozen;
    }
}

#[derive(Debug)]
struct Handle(Disk);

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl StorageBackend for Handle {
    fn len(&self) -> Result<u64, io::Error> {
        let disk = self.0.lock();
        disk.alive()?;
        Ok(disk.current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let disk = self.0.lock();
        disk.alive()?;
        let start = offset as usize;
        let Some(bytes) = disk.current.get(start..start + out.len()) else {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        };
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut disk = self.0.lock();
        disk.step()?;
        if disk.is_full || (disk.is_frozen_in_size && len > disk.current.len() as u64) {
            return Err(full());
        }
        let op = Op::SetLen(len);
        apply(&mut disk.current, &op);
        disk.pending.push(op);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut disk = self.0.lock();
        disk.step()?;
        for op in std::mem::take(&mut disk.pending) {
            apply(&mut disk.durable, &op);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut disk = self.0.lock();
        disk.step()?;
        if disk.is_full {
            return Err(full());
        }
        let op = Op::Write(offset, data.to_vec());
        apply(&mut disk.current, &op);
        disk.pending.push(op);
        Ok(())
    }
}

impl Medium for Disk {
    fn place(&self) -> String {
        "a disk in memory".to_owned()
    }

    fn exists(&self) -> io::Result<bool> {
        Ok(self.lock().is_there)
    }

    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        self.lock().alive()?;
        Ok(Box::new(Handle(self.clone())))
    }

    fn create(&self) -> io::Result<Box<dyn StorageBackend>> {
        let mut disk = self.lock();
        disk.current.clear();
        disk.durable.clear();
        disk.pending.clear();
        drop(disk);
        Ok(Box::new(Handle(self.clone())))
    }

    fn publish(&self) -> io::Result<()> {
        let mut disk = self.lock();
        disk.step()?;
        disk.is_there = true;
        Ok(())
    }

    fn acknowledged(&self) -> io::Result<Option<u64>> {
        Ok(self.lock().acknowledged)
    }

    fn acknowledge(&self, revision: u64) -> io::Result<()> {
        let mut disk = self.lock();
        disk.step()?;
        disk.acknowledged = Some(revision);
        Ok(())
    }

    fn keep_copy(&self, _suffix: &str) -> io::Result<()> {
        Ok(())
    }
}

pub const VAULT: TableDefinition<'_, &str, (&[u8], &[u8])> = TableDefinition::new("vault");

pub fn open(dir: &Path) -> Result<Store, OpenError> {
    Store::open(dir, StoreOptions::default())
}

/// Changes the database behind the store's back.
pub fn tamper(dir: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let db = Database::open(dir.join(DATABASE_FILE)).unwrap();
    let txn = db.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
}

pub fn token(text: &str) -> VaultEntry {
    VaultEntry {
        bound: Bound {
            uid: Some("u1".parse().unwrap()),
            endpoints: vec!["https://10.0.0.1:6443".into()],
            ca_digest: None,
            tls_server_name: None,
            proxy_url: None,
        },
        credential: Credential::Token(Secret::new(text.into())),
        created_ms: 5,
        expires_ms: Some(10),
    }
}
