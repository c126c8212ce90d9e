//! The rules of the registry contract on keys.
//!
//! Every write is one compare-and-put at the version that was read, so it is whole or absent, and a writer that lost a race
//! looks again. A writer without expectation therefore wins in the end; one with an expectation gets its conflict.

use optikon_plugin_sdk::{
    Document, Error, ErrorCode, Keys, Selector, check_expected,
    kv::{Entry, Expectation},
    log,
    paging::MAX_PAGE,
    registry::{Object, Page},
    rfc3339,
};
use serde_json::Value;

use crate::record::{PREFIX, Record, key};

/// Each lost race means that another writer won one, so this many writers of one cluster at once all succeed.
const MAX_RACES: usize = 256;

/// A page ends early here: a quarter of what a guest may hand over in one call.
const MAX_PAGE_BYTES: usize = 4 << 20;

/// The clusters in these keys.
#[derive(Debug, Clone)]
pub struct Clusters<K>(pub K);

/// Which object a caller means.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expect<'a> {
    /// This one and no namesake.
    pub uid: Option<&'a str>,
    /// Unchanged since.
    pub revision: Option<&'a str>,
}

impl<'a> Expect<'a> {
    /// Both, where given.
    pub fn new(uid: Option<&'a str>, revision: Option<&'a str>) -> Self {
        Self { uid, revision }
    }
}

/// What becomes of an object.
enum Step {
    /// Nothing changes.
    Keep,
    /// This is written.
    Put(Record),
    /// It goes; this is its last state.
    Remove(Record),
    /// An update lets it go. The answer keeps the present revision: that of the deletion comes with the deleted event alone,
    /// or whoever waits for the event of its own update would take the one for the other.
    Release(Record),
}

fn lost_race(error: &Error) -> bool {
    matches!(error.code, ErrorCode::Conflict | ErrorCode::NotFound)
}

fn not_found(name: &str) -> Error {
    Error::not_found(format!("cluster \"{name}\" is not registered"))
}

fn finalizers(document: &Document) -> Vec<&str> {
    let list = document.metadata("finalizers").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn is_going(document: &Document) -> bool {
    document
        .metadata("deletionTimestamp")
        .is_some_and(|time| !time.is_null())
}

fn generation(document: &Document) -> u64 {
    document
        .metadata("generation")
        .and_then(Value::as_u64)
        .unwrap_or(1)
}

/// Whether anything but `metadata` and `status` differs.
fn is_other_spec(one: &Document, other: &Document) -> bool {
    let content = |document: &Document| {
        let mut fields = document.object().clone();
        fields.remove("metadata");
        fields.remove("status");
        fields
    };
    content(one) != content(other)
}

fn is_label(name: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 63
        && name.starts_with(is_edge)
        && name.ends_with(is_edge)
        && name.chars().all(|c| is_edge(c) || c == '-')
}

impl<K: Keys> Clusters<K> {
    /// Whether the store answers.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn check(&self) -> Result<(), Error> {
        self.0.get(PREFIX).await.map(drop)
    }

    async fn read(&self, name: &str) -> Result<(Entry, Record), Error> {
        // A longer name is none, and would be no key either.
        if name.len() > 253 {
            return Err(not_found("…"));
        }
        let entry = self
            .0
            .get(&key(name))
            .await?
            .ok_or_else(|| not_found(name))?;
        let record = Record::parse(&entry)?;
        Ok((entry, record))
    }

    /// The object as last written.
    ///
    /// # Errors
    /// `not-found`.
    pub async fn get(&self, name: &str) -> Result<Object, Error> {
        let (entry, record) = self.read(name).await?;
        Ok(record.into_object(Some(entry.version)))
    }

    /// One page of the objects that are selected.
    ///
    /// # Errors
    /// `expired` when `next` is too old.
    pub async fn list(
        &self,
        selector: &Selector,
        limit: u32,
        next: Option<String>,
    ) -> Result<Page, Error> {
        let limit = limit.clamp(1, MAX_PAGE);
        let (mut items, mut bytes, mut next) = (Vec::new(), 0usize, next);
        loop {
            let room = limit
                .saturating_sub(u32::try_from(items.len()).unwrap_or(limit))
                .max(1);
            let page = self.scan(room, next).await?;
            for entry in &page.entries {
                let record = Record::parse(entry)?;
                if selector.matches(&record.document.labels()) {
                    bytes = bytes.saturating_add(entry.value.len());
                    items.push(record.into_object(Some(entry.version)));
                }
            }
            let is_full = items.len() * 2 >= limit as usize || bytes >= MAX_PAGE_BYTES;
            if page.next.is_none() || is_full {
                return Ok(Page {
                    items,
                    revision: page.version.to_string(),
                    next: page.next,
                    remaining: None,
                });
            }
            next = page.next;
        }
    }

    /// Fewer entries where so many would be too many bytes for one answer.
    async fn scan(
        &self,
        limit: u32,
        next: Option<String>,
    ) -> Result<optikon_plugin_sdk::kv::Page, Error> {
        let mut limit = limit;
        loop {
            match self.0.scan(PREFIX, limit, next.clone()).await {
                Err(error) if error.code == ErrorCode::TooLarge && limit > 1 => limit /= 4,
                answer => return answer,
            }
            limit = limit.max(1);
        }
    }

    /// Writes down a new cluster.
    ///
    /// # Errors
    /// `already-exists`; `invalid` on `metadata.name`.
    pub async fn create(
        &self,
        json: &str,
        uid: &str,
        now_ms: u64,
        dry_run: bool,
    ) -> Result<Object, Error> {
        let mut document = Document::parse(json)?;
        let name = document.name().to_owned();
        if !is_label(&name) {
            let rule = "must be a DNS-1123 label: 1 to 63 lower-case letters, digits and '-', a letter or digit at both ends";
            return Err(Error::invalid("metadata.name", rule));
        }
        document.begin(uid, now_ms);
        document.set_metadata("generation", Some(1.into()));
        for gone in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
            document.set_metadata(gone, None);
        }
        document.fields().remove("status");
        let record = Record::new(document);
        let bytes = record.to_bytes()?;
        let exists = || Error::already_exists(format!("cluster \"{name}\" is already registered"));
        if dry_run {
            return match self.0.get(&key(&name)).await? {
                Some(_) => Err(exists()),
                None => Ok(record.into_object(None)),
            };
        }
        match self.0.put(&key(&name), bytes, Expectation::Absent).await {
            Ok(version) => {
                log::info!("wrote down a new cluster"; "cluster" = name, "uid" = uid);
                Ok(record.into_object(Some(version)))
            }
            Err(error) if error.code == ErrorCode::Conflict => Err(exists()),
            Err(error) => Err(error),
        }
    }

    /// Replaces an object; removing its last finalizer while it is going removes it.
    ///
    /// # Errors
    /// `not-found`; `conflict` on uid or revision; `invalid` when a finalizer is added to an object that is going.
    pub async fn update(
        &self,
        json: &str,
        revision: Option<&str>,
        dry_run: bool,
    ) -> Result<Object, Error> {
        let wanted = Document::parse(json)?;
        let uid = wanted.uid().to_owned();
        let expect = Expect {
            uid: Some(&uid),
            revision,
        };
        let step = |present: &Record| {
            let present_document = &present.document;
            let mut document = wanted.clone();
            document.succeed(present_document)?;
            for kept in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
                document.set_metadata(kept, present_document.metadata(kept).cloned());
            }
            let changed = u64::from(is_other_spec(&document, present_document));
            document.set_metadata(
                "generation",
                Some((generation(present_document) + changed).into()),
            );
            if is_going(present_document) {
                let before = finalizers(present_document);
                if finalizers(&document).iter().any(|f| !before.contains(f)) {
                    let rule = "no finalizer can be added to a cluster that is being deleted";
                    return Err(Error::invalid("metadata.finalizers", rule));
                }
                if finalizers(&document).is_empty() {
                    return Ok(Step::Release(Record::after(present, document)));
                }
            }
            Ok(put_or_keep(present, document))
        };
        self.change(wanted.name(), expect, dry_run, step).await
    }

    /// Replaces `status.conditions` and nothing else.
    ///
    /// # Errors
    /// `not-found`, `conflict`; `invalid` when `conditions` is no JSON list.
    pub async fn set_status(
        &self,
        name: &str,
        conditions: &str,
        expect: Expect<'_>,
    ) -> Result<Object, Error> {
        let step = |present: &Record| {
            let mut document = present.document.clone();
            document.set_conditions(conditions)?;
            Ok(put_or_keep(present, document))
        };
        self.change(name, expect, false, step).await
    }

    /// Removes an object, or marks it as going while it has finalizers.
    ///
    /// # Errors
    /// `not-found`, `conflict`.
    pub async fn delete(
        &self,
        name: &str,
        expect: Expect<'_>,
        now_ms: u64,
        dry_run: bool,
    ) -> Result<Object, Error> {
        let step = |present: &Record| {
            let mut document = present.document.clone();
            if finalizers(&document).is_empty() {
                return Ok(Step::Remove(present.clone()));
            }
            if !is_going(&document) {
                document.set_metadata("deletionTimestamp", Some(rfc3339(now_ms).into()));
                document.set_metadata("deletionGracePeriodSeconds", Some(0.into()));
            }
            Ok(put_or_keep(present, document))
        };
        self.change(name, expect, dry_run, step).await
    }

    /// Reads, checks, decides, writes; again when somebody else wrote in between.
    async fn change(
        &self,
        name: &str,
        expect: Expect<'_>,
        dry_run: bool,
        step: impl Fn(&Record) -> Result<Step, Error>,
    ) -> Result<Object, Error> {
        for _ in 0..MAX_RACES {
            let (entry, present) = self.read(name).await?;
            present.document.check_uid(expect.uid)?;
            check_expected(&entry.version.to_string(), expect.revision)?;
            let at = Expectation::At(entry.version);
            let step = step(&present)?;
            let is_gone = matches!(step, Step::Remove(_) | Step::Release(_));
            let (next, written) = match step {
                Step::Keep => return Ok(present.into_object(Some(entry.version))),
                Step::Put(next) => {
                    let bytes = next.to_bytes()?;
                    if dry_run {
                        return Ok(next.into_object(Some(entry.version)));
                    }
                    (next, self.0.put(&entry.key, bytes, at).await)
                }
                Step::Remove(last) | Step::Release(last) if dry_run => {
                    return Ok(last.into_object(Some(entry.version)));
                }
                Step::Remove(last) => (last, self.0.delete(&entry.key, at).await),
                Step::Release(last) => {
                    let deleted = self.0.delete(&entry.key, at).await;
                    (last, deleted.map(|_| entry.version))
                }
            };
            match written {
                Ok(version) => {
                    if is_gone {
                        log::info!("removed a cluster"; "cluster" = name);
                    }
                    return Ok(next.into_object(Some(version)));
                }
                Err(error) if lost_race(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::conflict(
            format!("cluster \"{name}\" is written by too many at once: try again"),
            None,
        ))
    }
}

fn put_or_keep(present: &Record, document: Document) -> Step {
    if document == present.document {
        Step::Keep
    } else {
        Step::Put(Record::after(present, document))
    }
}
