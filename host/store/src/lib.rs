//! What lasts: the plugins' keys, the host's documents, the vault and the audit trail, in one redb
//! file behind core's ports.
//!
//! - A write that was acknowledged survives kill -9 and power loss: two-phase commits, one writer
//!   thread that commits everything that waits in one transaction ([`writer`]).
//! - What is on disk is never touched before it was looked at ([`overlay`]): a damaged, newer or
//!   outdated store is refused as it is.
//! - Secrets are sealed before they come near the file ([`vault`]); the key lies apart ([`keys`]).
//! - A full disk refuses writes and nothing else ([`database`]).

mod archives;
mod audit;
mod backup;
mod database;
mod documents;
mod error;
mod folder;
mod keys;
mod kv;
mod medium;
mod offline;
mod open;
mod overlay;
mod snapshots;
mod sweep;
mod tables;
mod vault;
mod watch;
mod writer;

pub use archives::ArchiveFolder;
pub use error::OpenError;
pub use folder::{ACKNOWLEDGED_FILE, DATABASE_FILE, KEY_FILE, LOCK_FILE};
pub use keys::KeySource;
pub use medium::Medium;
pub use offline::{Finding, Rekeyed, Restored, check, rekey, restore};
pub use open::{Store, StoreOptions};
pub use sweep::{Retention, Swept};
pub use tables::{FORMAT, Limits, Migration};
