//! The watch: events of the API server become those of the contract.

use optikon_plugin_sdk::{
    Error, Requester, Selector,
    api::{Api, Watch, WatchEvent},
    registry::{self, Event, EventReader, Events},
};

use crate::{
    clusters::Clusters,
    object::from_item,
    place::{COLLECTION, refused},
};

/// Objects asked for at once when a watch begins with everything.
const PAGE: u32 = 500;

/// Where to begin.
///
/// # Errors
/// `expired` for a revision that is none of an API server, as after a swap: whoever asks has to list again.
pub fn start(after: Option<String>) -> Result<Option<String>, Error> {
    match &after {
        Some(text) if text.parse::<u64>().is_err() || text.starts_with('+') => Err(Error::expired(
            "the revision is not of this registry: list again",
        )),
        _ => Ok(after),
    }
}

/// The stream of a selection.
///
/// # Errors
/// `invalid` when the selector does not parse; `expired`; `unavailable`.
pub async fn watch<C>(
    connection: C,
    selector: String,
    after: Option<String>,
) -> Result<EventReader, Error>
where
    C: Requester + 'static,
{
    Selector::parse(&selector)?;
    let after = start(after)?;
    // The first request is made before the answer, so that it says when it cannot be made at all.
    let mut first = None;
    if let Some(after) = &after {
        let events = Api(&connection).watch(COLLECTION, &selector, after);
        first = Some(events.await.map_err(refused)?);
    }
    Ok(registry::stream(async move |mut out| {
        let delivered = deliver(&connection, &selector, after, first, &mut out);
        if let Err(error) = delivered.await {
            out.send(Err(refused(error))).await;
        }
    }))
}

/// Delivers until the reader leaves; `first` is a watch from `after` that was opened already. The API server ends a watch from time to time; the next one begins where it ended.
///
/// # Errors
/// `expired` when the API server has forgotten the start; whatever else keeps it from watching.
pub async fn deliver<C: Requester>(
    connection: &C,
    selector: &str,
    after: Option<String>,
    mut first: Option<Watch<C::Lines>>,
    out: &mut impl Events,
) -> Result<(), Error> {
    let api = Api(connection);
    let mut last = match after {
        Some(after) => after,
        None => match present(connection, selector, out).await? {
            Some(revision) => revision,
            None => return Ok(()),
        },
    };
    loop {
        let mut events = match first.take() {
            Some(events) => events,
            None => api.watch(COLLECTION, selector, &last).await?,
        };
        while let Some(event) = events.next().await {
            let item = match event? {
                WatchEvent::Bookmark(revision) => {
                    last.clone_from(&revision);
                    Some(Event::Bookmark(revision))
                }
                WatchEvent::Stored(value) => {
                    mark(&mut last, &value);
                    from_item(value).map(Event::Stored)
                }
                WatchEvent::Deleted(value) => {
                    mark(&mut last, &value);
                    from_item(value).map(Event::Deleted)
                }
            };
            if let Some(item) = item
                && !out.send(Ok(item)).await
            {
                return Ok(());
            }
        }
    }
}

fn mark(last: &mut String, value: &serde_json::Value) {
    let revision = value.pointer("/metadata/resourceVersion");
    if let Some(revision) = revision.and_then(serde_json::Value::as_str) {
        revision.clone_into(last);
    }
}

/// Everything that is there, and a bookmark; its revision. None when the reader left.
async fn present(
    connection: &impl Requester,
    selector: &str,
    out: &mut impl Events,
) -> Result<Option<String>, Error> {
    let clusters = Clusters::new(connection);
    let mut next = None;
    loop {
        let page = clusters.list(selector, PAGE, next).await?;
        for object in page.items {
            if !out.send(Ok(Event::Stored(object))).await {
                return Ok(None);
            }
        }
        if page.next.is_none() {
            let bookmark = Event::Bookmark(page.revision.clone());
            return Ok(out.send(Ok(bookmark)).await.then_some(page.revision));
        }
        next = page.next;
    }
}
