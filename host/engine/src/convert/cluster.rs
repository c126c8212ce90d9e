//! Objects, pages and events of a registry.

use optikon_core::{
    ports::{Event, Object, Page, Supported},
    words::Cluster,
};

use crate::{
    bindings::registry::exports::optikon::registry::clusters as wit,
    check::{self, Broken},
};

/// Words that are not known are of a later gateway, and ignored.
pub(crate) fn from_supported(words: &[String]) -> Supported {
    let has = |word: &str| words.iter().any(|w| w == word);
    Supported {
        status: has("status"),
        watch: has("watch"),
        namespaces: has("namespaces"),
        object_references: has("object-references"),
        providers: has("providers"),
        label_names: has("dns-1035-names"),
    }
}

pub(crate) fn from_object(object: &wit::Object) -> Result<Object, Broken> {
    check::size("json", object.json.len(), check::MAX_OBJECT_BYTES)?;
    check::revision(&object.revision)?;
    let cluster = Cluster::from_json(&object.json)
        .map_err(|error| Broken(format!("an object that is none: {error}")))?;
    if cluster.name().as_str() != object.name {
        let given = crate::escape::line(&object.name, 64);
        let inside = cluster.name();
        return Err(Broken(format!(
            "an object named \"{given}\" whose JSON is of \"{inside}\""
        )));
    }
    Ok(Object {
        cluster,
        revision: object.revision.clone(),
    })
}

pub(crate) fn from_page(page: wit::Page, limit: u32) -> Result<Page, Broken> {
    if page.items.len() > limit as usize {
        let count = page.items.len();
        return Err(Broken(format!(
            "a page of {count} objects where at most {limit} were asked for"
        )));
    }
    check::revision(&page.revision)?;
    if let Some(next) = &page.next {
        check::size("next", next.len(), check::MAX_TOKEN_BYTES)?;
    }
    let items = page
        .items
        .iter()
        .map(from_object)
        .collect::<Result<Vec<_>, _>>()?;
    check::is_sorted(&items)?;
    Ok(Page {
        items,
        revision: page.revision,
        next: page.next,
        remaining: page.remaining,
    })
}

pub(crate) fn from_event(event: &wit::Event) -> Result<Event, Broken> {
    Ok(match event {
        wit::Event::Stored(object) => Event::Stored(from_object(object)?),
        wit::Event::Deleted(object) => Event::Deleted(from_object(object)?),
        wit::Event::Bookmark(revision) => {
            check::revision(revision)?;
            Event::Bookmark(revision.clone())
        }
    })
}
