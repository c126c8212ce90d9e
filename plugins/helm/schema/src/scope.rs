//! The way by which the validator came to a schema.

use crate::schema::{Arena, Id, Schema};

/// The way to a schema. Of those with the same number, all see the same value.
pub(crate) struct Scope<'s> {
    pub(crate) id: Id,
    pub(crate) keyword: &'static str,
    pub(crate) value: usize,
    pub(crate) depth: usize,
    pub(crate) parent: Option<&'s Scope<'s>>,
}

impl Scope<'_> {
    /// Where the same schema was applied to the same value before.
    pub(crate) fn cycle(&self) -> Option<&Self> {
        let mut scope = self.parent;
        while let Some(above) = scope {
            if above.value != self.value {
                return None;
            }
            if above.id == self.id {
                return Some(above);
            }
            scope = above.parent;
        }
        None
    }

    /// The keywords on the way.
    pub(crate) fn keywords(&self, arena: &Arena) -> String {
        let location = |id| arena.get(id).map(Schema::location).unwrap_or_default();
        let mut text = String::new();
        let mut scope = self;
        while let Some(parent) = scope.parent {
            let step = if scope.keyword.is_empty() {
                let (own, above) = (location(scope.id), location(parent.id));
                own.get(above.len()..).unwrap_or_default().to_owned()
            } else {
                format!("/{}", scope.keyword)
            };
            text = step + &text;
            scope = parent;
        }
        text
    }
}
