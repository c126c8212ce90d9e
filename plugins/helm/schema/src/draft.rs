//! The drafts of JSON Schema: their names, where they allow schemas within schemas, and their own schemas.

use std::collections::BTreeMap;

use crate::address::{below, split};
use crate::node::Node;

/// One of them, the older before the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Draft {
    Four,
    Six,
    Seven,
    Of2019,
    Of2020,
}

/// Keywords that hold a schema, a list or a map of schemas, and since when.
const ONE: &[(&str, Draft)] = &[
    ("not", Draft::Four),
    ("additionalProperties", Draft::Four),
    ("items", Draft::Four),
    ("additionalItems", Draft::Four),
    ("propertyNames", Draft::Six),
    ("contains", Draft::Six),
    ("if", Draft::Seven),
    ("then", Draft::Seven),
    ("else", Draft::Seven),
    ("unevaluatedProperties", Draft::Of2019),
    ("unevaluatedItems", Draft::Of2019),
    ("contentSchema", Draft::Of2019),
];
const LIST: &[(&str, Draft)] = &[
    ("allOf", Draft::Four),
    ("anyOf", Draft::Four),
    ("oneOf", Draft::Four),
    ("items", Draft::Four),
    ("prefixItems", Draft::Of2020),
];
const MAP: &[(&str, Draft)] = &[
    ("definitions", Draft::Four),
    ("properties", Draft::Four),
    ("patternProperties", Draft::Four),
    ("dependencies", Draft::Four),
    ("$defs", Draft::Of2019),
    ("dependentSchemas", Draft::Of2019),
];

impl Draft {
    /// By the address that `$schema` names.
    pub(crate) fn from_url(url: &str) -> Option<Self> {
        let (url, fragment) = split(url);
        if !fragment.is_empty() {
            return None;
        }
        match plain(url) {
            "schema" | "draft/2020-12/schema" => Some(Self::Of2020),
            "draft/2019-09/schema" => Some(Self::Of2019),
            "draft-07/schema" => Some(Self::Seven),
            "draft-06/schema" => Some(Self::Six),
            "draft-04/schema" => Some(Self::Four),
            _ => None,
        }
    }

    /// Where its own schema lies.
    pub(crate) fn url(self) -> &'static str {
        match self {
            Self::Four => "http://json-schema.org/draft-04/schema",
            Self::Six => "http://json-schema.org/draft-06/schema",
            Self::Seven => "http://json-schema.org/draft-07/schema",
            Self::Of2019 => "https://json-schema.org/draft/2019-09/schema",
            Self::Of2020 => "https://json-schema.org/draft/2020-12/schema",
        }
    }

    /// The keyword that names a schema.
    pub(crate) fn id_key(self) -> &'static str {
        if self == Self::Four { "id" } else { "$id" }
    }

    /// A schema's own address, without fragment.
    pub(crate) fn id(self, map: &BTreeMap<String, Node>) -> Option<&str> {
        // Beside a reference nothing counts in the old drafts.
        if self < Self::Of2019 && map.contains_key("$ref") {
            return None;
        }
        let id = map.get(self.id_key())?.text()?;
        Some(split(id).0).filter(|id| !id.is_empty())
    }

    /// Schemas within a schema, by pointer.
    pub(crate) fn schemas_in<'a>(
        self,
        map: &'a BTreeMap<String, Node>,
        pointer: &str,
    ) -> BTreeMap<String, &'a Node> {
        let known = |table: &'static [(&'static str, Self)]| {
            let table = table.iter().filter(move |(_, since)| *since <= self);
            table.filter_map(|(key, _)| Some((below(pointer, key), map.get(*key)?)))
        };
        let mut found: BTreeMap<String, &Node> = known(ONE).collect();
        for (at, list) in known(LIST) {
            let items = list.list().unwrap_or_default().iter().enumerate();
            found.extend(items.map(|(index, item)| (format!("{at}/{index}"), item)));
        }
        for (at, map) in known(MAP) {
            let entries = map.map().into_iter().flatten();
            found.extend(entries.map(|(key, value)| (below(&at, key), value)));
        }
        found
    }
}

/// The address without the part that all of them share.
fn plain(url: &str) -> &str {
    url.strip_prefix("http://json-schema.org/")
        .or_else(|| url.strip_prefix("https://json-schema.org/"))
        .unwrap_or_default()
}

/// Whether an address is one of the site that defines the drafts.
pub(crate) fn is_official(url: &str) -> bool {
    !plain(url).is_empty()
}

/// The text of a draft's schema or of a part of one.
pub(crate) fn official(url: &str) -> Option<&'static str> {
    Some(match plain(url) {
        "draft-04/schema" => include_str!("../meta/draft-04.json"),
        "draft-06/schema" => include_str!("../meta/draft-06.json"),
        "draft-07/schema" => include_str!("../meta/draft-07.json"),
        "draft/2019-09/schema" => include_str!("../meta/2019-09.json"),
        "draft/2019-09/meta/applicator" => include_str!("../meta/2019-09/applicator.json"),
        "draft/2019-09/meta/content" => include_str!("../meta/2019-09/content.json"),
        "draft/2019-09/meta/core" => include_str!("../meta/2019-09/core.json"),
        "draft/2019-09/meta/format" => include_str!("../meta/2019-09/format.json"),
        "draft/2019-09/meta/meta-data" => include_str!("../meta/2019-09/meta-data.json"),
        "draft/2019-09/meta/validation" => include_str!("../meta/2019-09/validation.json"),
        "schema" | "draft/2020-12/schema" => include_str!("../meta/2020-12.json"),
        "draft/2020-12/meta/applicator" => include_str!("../meta/2020-12/applicator.json"),
        "draft/2020-12/meta/content" => include_str!("../meta/2020-12/content.json"),
        "draft/2020-12/meta/core" => include_str!("../meta/2020-12/core.json"),
        "draft/2020-12/meta/format-annotation" => {
            include_str!("../meta/2020-12/format-annotation.json")
        }
        "draft/2020-12/meta/format-assertion" => {
            include_str!("../meta/2020-12/format-assertion.json")
        }
        "draft/2020-12/meta/meta-data" => include_str!("../meta/2020-12/meta-data.json"),
        "draft/2020-12/meta/unevaluated" => include_str!("../meta/2020-12/unevaluated.json"),
        "draft/2020-12/meta/validation" => include_str!("../meta/2020-12/validation.json"),
        _ => return None,
    })
}
