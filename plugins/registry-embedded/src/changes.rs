//! The watch: changes of keys become events of a selection.

use optikon_plugin_sdk::{
    Changes, Error, Keys, Selector,
    kv::{Change, Entry},
    registry::{self, Event, EventReader, Events},
};

use crate::record::{PREFIX, Record};

/// Where to begin.
///
/// # Errors
/// `expired` for a revision that is none of ours, as after a swap of the registry: whoever asks has to list again.
pub fn start(after: Option<&str>) -> Result<Option<u64>, Error> {
    let Some(after) = after else { return Ok(None) };
    let version = after
        .parse()
        .map_err(|_| Error::expired("the revision is not of this registry: list again"))?;
    Ok(Some(version))
}

/// The stream of a selection.
///
/// # Errors
/// `invalid` when the selector does not parse; `expired`.
pub async fn watch<K>(keys: K, selector: &str, after: Option<&str>) -> Result<EventReader, Error>
where
    K: Keys,
    K::Changes: 'static,
{
    let selector = Selector::parse(selector)?;
    let from = start(after)?;
    let changes = keys.watch(PREFIX, from).await?;
    Ok(registry::stream(async move |mut out| {
        deliver(changes, from.is_none(), &selector, &mut out).await;
    }))
}

/// Delivers until the changes end, an error was delivered, or the reader left. `with_present` says that the changes begin
/// with every present entry, up to the first bookmark.
pub async fn deliver(
    mut changes: impl Changes,
    with_present: bool,
    selector: &Selector,
    out: &mut impl Events,
) {
    let mut is_present = with_present;
    while let Some(change) = changes.next().await {
        let event = match change {
            Ok(change) => event_of(&change, is_present, selector),
            Err(error) => Err(error),
        };
        is_present &= !matches!(event, Ok(Some(Event::Bookmark(_))));
        let is_last = event.is_err();
        let is_read = match event.transpose() {
            Some(item) => out.send(item).await,
            None => true,
        };
        if is_last || !is_read {
            return;
        }
    }
}

fn event_of(
    change: &Change,
    is_present: bool,
    selector: &Selector,
) -> Result<Option<Event>, Error> {
    let read = |entry: &Entry| Record::parse(entry).map(|record| (record, Some(entry.version)));
    Ok(match change {
        Change::Bookmark(version) => Some(Event::Bookmark(version.to_string())),
        Change::Deleted(entry) => {
            let (record, version) = read(entry)?;
            let was_selected = selector.matches(&record.document.labels());
            was_selected.then(|| Event::Deleted(record.into_object(version)))
        }
        Change::Put(entry) => {
            let (record, version) = read(entry)?;
            let is_selected = selector.matches(&record.document.labels());
            let before = record.labels_before.as_ref().filter(|_| !is_present);
            if is_selected {
                Some(Event::Stored(record.into_object(version)))
            } else if before.is_some_and(|labels| selector.matches(labels)) {
                Some(Event::Deleted(record.into_object(version)))
            } else {
                None
            }
        }
    })
}
