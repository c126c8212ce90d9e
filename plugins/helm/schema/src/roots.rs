//! Documents, the parts of them that have addresses of their own, and their anchors.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use helm_template::strconv::quote;

use crate::address::{self, Address, place};
use crate::draft::{self, Draft};
use crate::node::{Lost, Node};

/// A part with an address of its own.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) pointer: String,
    pub(crate) id: String,
    pub(crate) draft: Draft,
    pub(crate) anchors: BTreeMap<String, String>,
    pub(crate) dynamic_anchors: BTreeSet<String>,
}

/// A document.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) url: String,
    pub(crate) document: Rc<Node>,
    resources: BTreeMap<String, Resource>,
    seen: BTreeSet<String>,
}

/// Documents by address.
#[derive(Debug, Default)]
pub(crate) struct Documents(BTreeMap<String, Rc<Node>>);

impl Documents {
    pub(crate) fn add(&mut self, url: &str, document: Node) {
        self.0.insert(url.to_owned(), Rc::new(document));
    }

    /// The document of that address.
    ///
    /// # Errors
    /// It is not there; nothing is fetched.
    pub(crate) fn load(&mut self, url: &str) -> Result<Rc<Node>, String> {
        if let Some(document) = self.0.get(url) {
            return Ok(Rc::clone(document));
        }
        let document = match draft::official(url) {
            Some(text) => crate::node::read(text)?,
            None => elsewhere(url)
                .map_err(|error| format!("failing loading {}: {error}", quote(url.as_bytes())))?,
        };
        let document = Rc::new(document);
        self.0.insert(url.to_owned(), Rc::clone(&document));
        Ok(document)
    }

    /// The draft that a document says it is of.
    fn draft(
        &mut self,
        url: &str,
        pointer: &str,
        node: &Node,
        default: Draft,
    ) -> Result<Draft, String> {
        let Some(named) = node.text_at("$schema") else {
            return Ok(default);
        };
        let (mut url, mut pointer, mut named) = (url.to_owned(), pointer, named.to_owned());
        let mut passed = BTreeSet::new();
        loop {
            if let Some(draft) = Draft::from_url(&named) {
                return Ok(draft);
            }
            let next = address::split(&named).0.to_owned();
            if let Err(error) = helm_functions::Url::parse(next.as_bytes()) {
                let here = place(&url, pointer);
                return Err(format!(
                    "invalid $schema in {}: {error}",
                    quote(here.as_bytes())
                ));
            }
            if pointer.is_empty() && next == url {
                return Err(format!("draft {} is not supported", quote(next.as_bytes())));
            }
            if !passed.insert(next.clone()) {
                return Err(format!(
                    "cycle in resolving $schema in {}",
                    quote(next.as_bytes())
                ));
            }
            let document = self.load(&next)?;
            let Some(further) = document.text_at("$schema") else {
                return Ok(default);
            };
            further.clone_into(&mut named);
            (url, pointer) = (next, "");
        }
    }
}

/// What lies outside the schema. An unresolved `urn:` allows everything, as in Helm.
fn elsewhere(url: &str) -> Result<Node, String> {
    let parsed = helm_functions::Url::parse(url.as_bytes())?;
    match parsed.scheme() {
        b"urn" => Ok(Node::Bool(true)),
        b"file" => {
            let path = String::from_utf8_lossy(parsed.path()).into_owned();
            Err(format!("open {path}: no such file or directory"))
        }
        b"http" | b"https" => Err("it lies outside the chart; nothing is fetched".to_owned()),
        _ => Err(format!(
            "no URLLoader registered for {}",
            quote(&parsed.print())
        )),
    }
}

impl Root {
    /// Takes a document apart.
    ///
    /// # Errors
    /// An address or anchor that is none or is given twice, an unknown draft.
    pub(crate) fn read(
        url: &str,
        document: &Rc<Node>,
        documents: &mut Documents,
    ) -> Result<Self, String> {
        let mut root = Self {
            url: url.to_owned(),
            document: Rc::clone(document),
            resources: BTreeMap::new(),
            seen: BTreeSet::new(),
        };
        root.collect(document, url, "", Draft::Of2020, documents)?;
        Ok(root)
    }

    /// What of the document a place belongs to.
    pub(crate) fn resource(&self, pointer: &str) -> Option<&Resource> {
        let mut pointer = pointer;
        loop {
            if let Some(resource) = self.resources.get(pointer) {
                return Some(resource);
            }
            pointer = pointer.get(..pointer.rfind('/')?)?;
        }
    }

    /// All parts with addresses of their own, by pointer.
    pub(crate) fn drafts(&self) -> impl Iterator<Item = (&str, Draft)> {
        let resources = self.resources.iter();
        resources.map(|(pointer, resource)| (pointer.as_str(), resource.draft))
    }

    pub(crate) fn is_seen(&self, pointer: &str) -> bool {
        self.seen.contains(pointer)
    }

    /// What a pointer leads to.
    ///
    /// # Errors
    /// Nowhere.
    pub(crate) fn lookup(&self, pointer: &str) -> Result<&Node, String> {
        self.document.lookup(pointer).map_err(|lost| {
            let at = quote(place(&self.url, pointer).as_bytes());
            match lost {
                Lost::Malformed => format!("invalid json-pointer {at}"),
                Lost::Missing => format!("json-pointer in {at} not found"),
            }
        })
    }

    /// Where in this document an address leads; none if into another.
    ///
    /// # Errors
    /// An anchor that is not there.
    pub(crate) fn resolve(&self, address: &Address) -> Result<Option<String>, String> {
        let resource = if address.url == self.url {
            self.resources.get("")
        } else {
            self.resources.values().find(|part| part.id == address.url)
        };
        let Some(resource) = resource else {
            return Ok(None);
        };
        if address.is_pointer() {
            return Ok(Some(format!("{}{}", resource.pointer, address.fragment)));
        }
        match resource.anchors.get(&address.fragment) {
            Some(pointer) => Ok(Some(pointer.clone())),
            None => {
                let reference = Address {
                    url: resource.id.clone(),
                    fragment: address.fragment.clone(),
                };
                Err(format!(
                    "anchor in {} not found in schema {}",
                    quote(reference.print().as_bytes()),
                    quote(self.url.as_bytes())
                ))
            }
        }
    }

    /// Takes a place for a schema that none of the keywords makes one.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn see(&mut self, pointer: &str, documents: &mut Documents) -> Result<(), String> {
        let document = Rc::clone(&self.document);
        self.lookup(pointer)?;
        let Ok(node) = document.lookup(pointer) else {
            return Ok(());
        };
        let Some((base, id, draft)) = self
            .resource(pointer)
            .map(|part| (part.pointer.clone(), part.id.clone(), part.draft))
        else {
            return Ok(());
        };
        self.collect(node, &id, pointer, draft, documents)?;
        if self.resources.contains_key(pointer) {
            return Ok(());
        }
        self.collect_anchors(node, pointer, &base)
    }

    fn collect(
        &mut self,
        node: &Node,
        base: &str,
        pointer: &str,
        fallback: Draft,
        documents: &mut Documents,
    ) -> Result<(), String> {
        if self.seen.contains(pointer) {
            return Ok(());
        }
        self.collect_unseen(node, base, pointer, fallback, documents)?;
        self.seen.insert(pointer.to_owned());
        Ok(())
    }

    fn collect_unseen(
        &mut self,
        node: &Node,
        base: &str,
        pointer: &str,
        fallback: Draft,
        documents: &mut Documents,
    ) -> Result<(), String> {
        let Some(map) = node.map() else {
            if pointer.is_empty() {
                self.add_resource(pointer, base, fallback);
            }
            return Ok(());
        };
        let mut has_schema = node.text_at("$schema").is_some();
        let here = place(&self.url, pointer);
        let mut draft = documents.draft(&self.url, pointer, node, fallback)?;
        let mut id = draft.id(map);
        if id.is_none() && !pointer.is_empty() {
            draft = fallback;
            has_schema = false;
            id = draft.id(map);
        }
        let mut base = base.to_owned();
        if let Some(id) = id {
            base = address::join(&base, id)
                .map_err(|_| format!("error in parsing id at {}", quote(here.as_bytes())))?
                .url;
        }
        if id.is_some() || pointer.is_empty() {
            let other = self.resources.values().find(|part| part.id == base);
            match other {
                Some(other) if other.pointer != pointer => {
                    return Err(format!(
                        "duplicate id {} in {} at {} and {}",
                        quote(base.as_bytes()),
                        quote(self.url.as_bytes()),
                        quote(pointer.as_bytes()),
                        quote(other.pointer.as_bytes())
                    ));
                }
                Some(_) => {}
                None => {
                    self.add_resource(pointer, &base, if has_schema { draft } else { fallback });
                }
            }
        }
        let Some((owner, owners_draft)) = self
            .resources
            .values()
            .find(|part| part.id == base)
            .map(|part| (part.pointer.clone(), part.draft))
        else {
            return Ok(());
        };
        self.collect_anchors(node, pointer, &owner)?;
        for (pointer, node) in draft.schemas_in(map, pointer) {
            self.collect(node, &base, &pointer, owners_draft, documents)?;
        }
        Ok(())
    }

    fn add_resource(&mut self, pointer: &str, id: &str, draft: Draft) {
        let resource = Resource {
            pointer: pointer.to_owned(),
            id: id.to_owned(),
            draft,
            anchors: BTreeMap::new(),
            dynamic_anchors: BTreeSet::new(),
        };
        self.resources.insert(pointer.to_owned(), resource);
    }

    /// Adds the names that a schema has within the part that owns it.
    fn collect_anchors(&mut self, node: &Node, pointer: &str, owner: &str) -> Result<(), String> {
        let url = self.url.clone();
        let (Some(map), Some(resource)) = (node.map(), self.resources.get_mut(owner)) else {
            return Ok(());
        };
        let draft = resource.draft;
        let mut names = Vec::new();
        if draft < Draft::Of2019 {
            if map.contains_key("$ref") {
                return Ok(());
            }
            if let Some(id) = node.text_at(draft.id_key()) {
                let (_, fragment) = address::split_decoded(id).map_err(|_| {
                    let here = place(&url, pointer);
                    format!("error in parsing anchor at {}", quote(here.as_bytes()))
                })?;
                names.extend((!address::is_pointer(&fragment)).then_some(fragment));
            }
        } else {
            names.extend(node.text_at("$anchor").map(str::to_owned));
        }
        if draft >= Draft::Of2020
            && let Some(name) = node.text_at("$dynamicAnchor")
        {
            resource.dynamic_anchors.insert(name.to_owned());
            names.push(name.to_owned());
        }
        for name in names {
            match resource.anchors.get(&name) {
                Some(other) if other != pointer => {
                    return Err(format!(
                        "duplicate anchor {} in {} at {} and {}",
                        quote(name.as_bytes()),
                        quote(url.as_bytes()),
                        quote(other.as_bytes()),
                        quote(pointer.as_bytes())
                    ));
                }
                _ => {
                    resource.anchors.insert(name, pointer.to_owned());
                }
            }
        }
        Ok(())
    }
}
