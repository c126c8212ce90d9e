//! From documents to compiled schemas: only what is referred to from the first one is compiled.

use std::collections::{BTreeMap, HashMap};

use helm_template::strconv::quote;

use crate::address::{self, place};
use crate::draft::{self, Draft};
use crate::fields::Fields;
use crate::node::Node;
use crate::roots::{Documents, Root};
use crate::schema::{Arena, Id, Schema};
use crate::validate;

/// Schemas of drafts are kept apart from a chart's: their formats always count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    Chart,
    Drafts,
}

#[derive(Debug, Default)]
struct Library {
    compiled: HashMap<(String, String), Id>,
    roots: BTreeMap<String, Root>,
    documents: Documents,
}

/// What was compiled so far.
#[derive(Debug, Default)]
pub(crate) struct Compiler {
    pub(crate) arena: Arena,
    chart: Library,
    drafts: Library,
    metas: BTreeMap<Draft, Id>,
}

/// Schemas that are still to be compiled.
pub(crate) type Queue = Vec<Id>;

impl Compiler {
    fn library(&mut self, space: Space) -> &mut Library {
        match space {
            Space::Chart => &mut self.chart,
            Space::Drafts => &mut self.drafts,
        }
    }

    /// Makes a document known.
    pub(crate) fn add(&mut self, space: Space, url: &str, document: Node) {
        self.library(space).documents.add(url, document);
    }

    /// Compiles a document, and what it refers to.
    ///
    /// # Errors
    /// It is no schema, or refers to something that is none.
    pub(crate) fn compile(&mut self, space: Space, url: &str) -> Result<Id, String> {
        self.load(space, url)?;
        let mut queue = Queue::new();
        let first = self.enqueue(space, url, "", &mut queue);
        let mut done = 0;
        while let Some(id) = queue.get(done).copied() {
            self.compile_one(space, id, &mut queue)?;
            done += 1;
        }
        Ok(first)
    }

    fn load(&mut self, space: Space, url: &str) -> Result<(), String> {
        if self.library(space).roots.contains_key(url) {
            return Ok(());
        }
        let library = self.library(space);
        let document = library.documents.load(url)?;
        let root = Root::read(url, &document, &mut library.documents)?;
        if !draft::is_official(url) {
            self.check_form(&root, "")?;
        }
        self.library(space).roots.insert(url.to_owned(), root);
        Ok(())
    }

    /// Whether what lies there is a schema at all, by its draft's own schema.
    fn check_form(&mut self, root: &Root, pointer: &str) -> Result<(), String> {
        let Some(part) = root.resource(pointer) else {
            return Ok(());
        };
        let meta = self.meta(part.draft)?;
        let mut metas = BTreeMap::new();
        for (pointer, draft) in root.drafts() {
            metas.insert(pointer.to_owned(), self.meta(draft)?);
        }
        validate::check(&self.arena, meta, root.lookup(pointer)?, Some(&metas)).map_err(|error| {
            let at = place(&root.url, pointer);
            let draft = self.arena.get(meta).map(Schema::location);
            format!(
                "{} is not valid against metaschema: jsonschema validation failed with {}\n{error}",
                quote(at.as_bytes()),
                crate::report::quote(&draft.unwrap_or_default())
            )
        })
    }

    /// A draft's own schema.
    fn meta(&mut self, draft: Draft) -> Result<Id, String> {
        if let Some(id) = self.metas.get(&draft) {
            return Ok(*id);
        }
        let id = self.compile(Space::Drafts, draft.url())?;
        self.metas.insert(draft, id);
        Ok(id)
    }

    pub(crate) fn enqueue(
        &mut self,
        space: Space,
        url: &str,
        pointer: &str,
        queue: &mut Queue,
    ) -> Id {
        let key = (url.to_owned(), pointer.to_owned());
        if let Some(id) = self.library(space).compiled.get(&key) {
            return *id;
        }
        let id = self.arena.add(Schema::at(url, pointer));
        self.library(space).compiled.insert(key, id);
        queue.push(id);
        id
    }

    /// Enqueues what a reference leads to, from a part that has this address.
    ///
    /// # Errors
    /// It leads nowhere, or out of what is known.
    pub(crate) fn enqueue_reference(
        &mut self,
        space: Space,
        url: &str,
        base: &str,
        reference: &str,
        queue: &mut Queue,
    ) -> Result<Id, String> {
        let address = address::join(base, reference)?;
        let own = self.library(space).roots.get(url);
        if let Some(pointer) = own
            .map(|root| root.resolve(&address))
            .transpose()?
            .flatten()
        {
            return Ok(self.enqueue(space, url, &pointer, queue));
        }
        self.load(space, &address.url)?;
        let root = self.library(space).roots.get(&address.url);
        let pointer = root
            .map(|root| root.resolve(&address))
            .transpose()?
            .flatten();
        Ok(self.enqueue(space, &address.url, &pointer.unwrap_or_default(), queue))
    }

    fn compile_one(&mut self, space: Space, id: Id, queue: &mut Queue) -> Result<(), String> {
        let Some((url, pointer)) = self
            .arena
            .get(id)
            .map(|schema| (schema.url.clone(), schema.pointer.clone()))
        else {
            return Ok(());
        };
        self.load(space, &url)?;
        self.see(space, &url, &pointer)?;
        let Some(root) = self.library(space).roots.get(&url) else {
            return Ok(());
        };
        let document = std::rc::Rc::clone(&root.document);
        root.lookup(&pointer)?;
        let (Ok(node), Some(part)) = (document.lookup(&pointer), root.resource(&pointer)) else {
            return Ok(());
        };
        let mut schema = Schema::at(&url, &pointer);
        schema.draft = Some(part.draft);
        let (draft, base, owner) = (part.draft, part.id.clone(), part.pointer.clone());
        let anchors = part.anchors.iter();
        let anchors: Vec<(String, String)> = anchors
            .filter(|(name, _)| {
                draft >= Draft::Of2020 && owner == pointer && part.dynamic_anchors.contains(*name)
            })
            .map(|(name, pointer)| (name.clone(), pointer.clone()))
            .collect();
        schema.resource = self.enqueue(space, &url, &owner, queue);
        for (name, pointer) in anchors {
            let id = self.enqueue(space, &url, &pointer, queue);
            schema.dynamic_anchors.insert(name, id);
        }
        match node {
            Node::Bool(verdict) => schema.verdict = Some(*verdict),
            Node::Map(map) if map.is_empty() => schema.verdict = Some(true),
            Node::Map(map) => Fields {
                compiler: self,
                space,
                draft,
                base: &base,
                url: &url,
                pointer: &pointer,
                map,
                queue,
            }
            .compile(&mut schema)?,
            _ => {}
        }
        self.arena.set(id, schema);
        Ok(())
    }

    /// Takes a place for a schema, when a reference does.
    fn see(&mut self, space: Space, url: &str, pointer: &str) -> Result<(), String> {
        let library = self.library(space);
        let Some(mut root) = library.roots.remove(url) else {
            return Ok(());
        };
        if !root.is_seen(pointer) {
            root.see(pointer, &mut library.documents)?;
            self.check_form(&root, pointer)?;
        }
        self.library(space).roots.insert(url.to_owned(), root);
        Ok(())
    }
}
