//! From events to a tree of nodes, kept flat: a node's descendants follow it, and `end` says where
//! they stop. Nothing here recurses, however deep the text nests.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::error::Problem;
use crate::parse::{Event, Parser, Properties};
use crate::scan::{Scanner, Step};

/// Nesting that is accepted. The original stops at 10,000, but whoever walks the result does so on
/// a stack, which is 1 MiB in a sandbox; this much takes a quarter of it.
pub(crate) const MAX_DEPTH: usize = 256;

/// Nodes of one document: 150 MB of them at most.
const MAX_NODES: usize = 2_000_000;

#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) kind: NodeKind,
    /// Index of the first node that is not inside this one.
    pub(crate) end: u32,
    /// From 0.
    pub(crate) line: u32,
    /// Index into `Document::tags`; 0 is no tag.
    tag: u32,
    /// Scalar, or name of the alias.
    pub(crate) value: Cow<'a, str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Scalar { implicit: bool },
    Sequence,
    Mapping,
    Alias { target: u32 },
}

#[derive(Debug, Default)]
pub(crate) struct Document<'a> {
    nodes: Vec<Node<'a>>,
    tags: Vec<Cow<'a, str>>,
}

impl<'a> Document<'a> {
    /// The first document of a text; without any node if the text has none.
    pub(crate) fn read(scanner: Scanner<'a>) -> Step<Self> {
        let mut parser = Parser::new(scanner);
        let mut document = Self::default();
        let mut anchors: HashMap<Cow<'a, str>, u32> = HashMap::new();
        let mut open: Vec<u32> = Vec::new();
        loop {
            match parser.next()? {
                Event::StreamStart | Event::DocumentStart => {}
                Event::StreamEnd | Event::DocumentEnd => return Ok(document),
                Event::Alias(name) => {
                    let Some(target) = anchors.get(&name).copied() else {
                        return Err(Problem::yaml(
                            0,
                            format!("unknown anchor '{name}' referenced"),
                        ));
                    };
                    let kind = NodeKind::Alias { target };
                    document.add(kind, Properties::default(), name, &mut anchors)?;
                }
                Event::Scalar {
                    node,
                    value,
                    implicit,
                } => {
                    document.add(NodeKind::Scalar { implicit }, node, value, &mut anchors)?;
                }
                Event::SequenceStart(node) => {
                    open.push(document.open(NodeKind::Sequence, node, &mut anchors)?);
                }
                Event::MappingStart(node) => {
                    open.push(document.open(NodeKind::Mapping, node, &mut anchors)?);
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let end = document.next_index();
                    let node = open.pop().and_then(|index| document.node_mut(index));
                    if let Some(node) = node {
                        node.end = end;
                    }
                }
            }
            if open.len() > MAX_DEPTH {
                return Err(Problem::yaml(
                    0,
                    format!("exceeded max depth of {MAX_DEPTH}"),
                ));
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(crate) fn node(&self, index: u32) -> Option<&Node<'a>> {
        self.nodes.get(index as usize)
    }

    /// The tag of a node, empty if it has none.
    pub(crate) fn tag(&self, node: &Node<'a>) -> &str {
        let index = (node.tag as usize).checked_sub(1);
        index
            .and_then(|index| self.tags.get(index))
            .map_or("", |tag| tag)
    }

    /// The nodes directly inside this one.
    pub(crate) fn children(&self, index: u32) -> impl Iterator<Item = u32> {
        let end = self.node(index).map_or(0, |node| node.end);
        std::iter::successors(Some(index + 1), |child| {
            self.node(*child).map(|node| node.end)
        })
        .take_while(move |child| *child < end)
    }

    /// A key that pulls in other mappings.
    pub(crate) fn is_merge(&self, key: &Node<'a>) -> bool {
        let NodeKind::Scalar { implicit } = key.kind else {
            return false;
        };
        key.value == "<<" && (implicit || self.tag(key) == "tag:yaml.org,2002:merge")
    }

    fn node_mut(&mut self, index: u32) -> Option<&mut Node<'a>> {
        self.nodes.get_mut(index as usize)
    }

    fn next_index(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    fn open(
        &mut self,
        kind: NodeKind,
        properties: Properties<'a>,
        anchors: &mut HashMap<Cow<'a, str>, u32>,
    ) -> Step<u32> {
        let index = self.next_index();
        self.add(kind, properties, Cow::Borrowed(""), anchors)?;
        Ok(index)
    }

    fn add(
        &mut self,
        kind: NodeKind,
        properties: Properties<'a>,
        value: Cow<'a, str>,
        anchors: &mut HashMap<Cow<'a, str>, u32>,
    ) -> Step {
        let index = self.next_index();
        if self.nodes.len() >= MAX_NODES {
            return Err(Problem::yaml(
                0,
                format!("document has more than {MAX_NODES} nodes"),
            ));
        }
        let tag = if properties.tag.is_empty() {
            0
        } else {
            self.tags.push(properties.tag);
            u32::try_from(self.tags.len()).unwrap_or(0)
        };
        self.nodes.push(Node {
            kind,
            end: index + 1,
            line: properties.line,
            tag,
            value,
        });
        if let Some(anchor) = properties.anchor {
            anchors.insert(anchor, index);
        }
        Ok(())
    }
}
