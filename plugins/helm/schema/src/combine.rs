//! Schemas that apply other schemas to the same value.

use crate::draft::Draft;
use crate::report;
use crate::schema::{Id, Schema};
use crate::scope::Scope;
use crate::validate::Frame;

impl Frame<'_, '_, '_> {
    pub(crate) fn references(&mut self) {
        if !self.schema.is_since(Draft::Of2019) {
            return;
        }
        let arena = self.run.arena;
        if let Some(mut id) = self.schema.recursive_reference {
            if arena
                .get(id)
                .is_some_and(|schema| schema.is_recursive_anchor)
            {
                id = self.farthest(id, |scope, resource| {
                    resource.is_recursive_anchor.then_some(scope.id)
                });
            }
            let outcome = self.refer(id, "$recursiveRef");
            self.errors.extend(outcome.err().map(|failure| *failure));
        }
        if let Some((mut id, anchor)) = self.schema.dynamic_reference.clone() {
            let has = |schema: &Schema| !anchor.is_empty() && schema.dynamic_anchor == anchor;
            if arena.get(id).is_some_and(has) {
                id = self.farthest(id, |_, resource| {
                    resource.dynamic_anchors.get(&anchor).copied()
                });
            }
            let outcome = self.refer(id, "$dynamicRef");
            self.errors.extend(outcome.err().map(|failure| *failure));
        }
    }

    /// What the outermost schema on the way has that has it.
    fn farthest(&self, fallback: Id, find: impl Fn(&Scope<'_>, &Schema) -> Option<Id>) -> Id {
        let arena = self.run.arena;
        let (mut found, mut scope) = (fallback, Some(self.scope));
        while let Some(here) = scope {
            let resource = arena
                .get(here.id)
                .and_then(|schema| arena.get(schema.resource));
            found = resource
                .and_then(|resource| find(here, resource))
                .unwrap_or(found);
            scope = here.parent;
        }
        found
    }

    pub(crate) fn combinations(&mut self) {
        let schema = self.schema;
        if let Some(id) = schema.not
            && self.apply_here(id, true).is_ok()
        {
            self.complain(|| "'not' failed".to_owned());
        }
        if !schema.all_of.is_empty() {
            let mut causes = Vec::new();
            for id in &schema.all_of {
                causes.extend(self.apply_here(*id, false).err().map(|failure| *failure));
                if self.is_quiet && !causes.is_empty() {
                    break;
                }
            }
            if !causes.is_empty() {
                self.complain_of(causes, || "'allOf' failed".to_owned());
            }
        }
        self.any_of();
        self.one_of();
        if let Some(id) = schema.condition {
            let next = if self.apply_here(id, true).is_ok() {
                schema.then
            } else {
                schema.otherwise
            };
            if let Some(id) = next {
                let outcome = self.apply_here(id, false);
                self.errors.extend(outcome.err().map(|failure| *failure));
            }
        }
    }

    fn any_of(&mut self) {
        let mut causes = Vec::new();
        let mut has_match = self.schema.any_of.is_empty();
        for id in &self.schema.any_of {
            match self.apply_here(*id, false) {
                Err(failure) => causes.push(*failure),
                Ok(()) => {
                    has_match = true;
                    // Where somebody asks what is left, all have to be looked at.
                    if self.left.is_empty() {
                        break;
                    }
                }
            }
        }
        if !has_match {
            self.complain_of(causes, || "'anyOf' failed".to_owned());
        }
    }

    fn one_of(&mut self) {
        let mut causes = Vec::new();
        let mut matched = None;
        for (index, id) in self.schema.one_of.iter().enumerate() {
            match (self.apply_here(*id, matched.is_some()), matched) {
                (Err(failure), None) => causes.push(*failure),
                (Err(_), Some(_)) => {}
                (Ok(()), None) => matched = Some(index),
                (Ok(()), Some(first)) => {
                    self.complain(|| {
                        let (one, other) = (report::size(first), report::size(index));
                        format!("'oneOf' failed, subschemas {one}, {other} matched")
                    });
                    break;
                }
            }
        }
        if matched.is_none() && !self.schema.one_of.is_empty() {
            self.complain_of(causes, || "'oneOf' failed, none matched".to_owned());
        }
    }
}
