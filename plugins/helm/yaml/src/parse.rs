//! From tokens to events: the grammar, as a state machine with a stack of its own.

use std::borrow::Cow;

use crate::error::Problem;
use crate::scan::{Kind, Scanner, Step, Token};

#[derive(Debug)]
pub(crate) enum Event<'a> {
    StreamStart,
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    Alias(Cow<'a, str>),
    Scalar {
        node: Properties<'a>,
        value: Cow<'a, str>,
        /// Written plainly and without a tag: the value decides the type.
        implicit: bool,
    },
    SequenceStart(Properties<'a>),
    SequenceEnd,
    MappingStart(Properties<'a>),
    MappingEnd,
}

/// What may stand before a node.
#[derive(Debug, Default)]
pub(crate) struct Properties<'a> {
    pub(crate) anchor: Option<Cow<'a, str>>,
    /// Resolved: `tag:yaml.org,2002:str` for `!!str`. Empty if there is none.
    pub(crate) tag: Cow<'a, str>,
    /// From 0.
    pub(crate) line: u32,
}

#[derive(Debug, Clone, Copy)]
enum State {
    StreamStart,
    ImplicitDocumentStart,
    DocumentStart,
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockSequenceFirst,
    BlockSequenceEntry,
    IndentlessEntry,
    BlockMappingFirst,
    BlockMappingKey,
    BlockMappingValue,
    FlowSequenceFirst,
    FlowSequenceEntry,
    FlowPairKey,
    FlowPairValue,
    FlowPairEnd,
    FlowMappingFirst,
    FlowMappingKey,
    FlowMappingValue,
    FlowMappingEmptyValue,
    End,
}

#[derive(Debug)]
pub(crate) struct Parser<'a> {
    scanner: Scanner<'a>,
    state: State,
    states: Vec<State>,
    tag_directives: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Parser errors name the line before the one they mean, as the original does.
fn fail<T>(line: u32, message: &str) -> Step<T> {
    Err(Problem::yaml(line, message))
}

impl<'a> Parser<'a> {
    pub(crate) fn new(scanner: Scanner<'a>) -> Self {
        Self {
            scanner,
            state: State::StreamStart,
            states: Vec::new(),
            tag_directives: Vec::new(),
        }
    }

    pub(crate) fn next(&mut self) -> Step<Event<'a>> {
        match self.state {
            State::StreamStart => {
                self.scanner.peek()?;
                self.scanner.take();
                self.state = State::ImplicitDocumentStart;
                Ok(Event::StreamStart)
            }
            State::ImplicitDocumentStart => self.document_start(true),
            State::DocumentStart => self.document_start(false),
            State::DocumentContent => self.document_content(),
            State::DocumentEnd => self.document_end(),
            State::BlockNode => self.node(true, false),
            State::BlockSequenceFirst => self.block_sequence_entry(true),
            State::BlockSequenceEntry => self.block_sequence_entry(false),
            State::IndentlessEntry => self.indentless_entry(),
            State::BlockMappingFirst => self.block_mapping_key(true),
            State::BlockMappingKey => self.block_mapping_key(false),
            State::BlockMappingValue => self.block_mapping_value(),
            State::FlowSequenceFirst => self.flow_sequence_entry(true),
            State::FlowSequenceEntry => self.flow_sequence_entry(false),
            State::FlowPairKey => self.flow_pair_key(),
            State::FlowPairValue => self.flow_pair_value(),
            State::FlowPairEnd => {
                self.scanner.peek()?;
                self.state = State::FlowSequenceEntry;
                Ok(Event::MappingEnd)
            }
            State::FlowMappingFirst => self.flow_mapping_key(true),
            State::FlowMappingKey => self.flow_mapping_key(false),
            State::FlowMappingValue => self.flow_mapping_value(false),
            State::FlowMappingEmptyValue => self.flow_mapping_value(true),
            State::End => Ok(Event::StreamEnd),
        }
    }

    fn peek(&mut self) -> Step<(Kind, u32)> {
        let token = self.scanner.peek()?;
        Ok((token.kind, token.line))
    }

    /// Takes the token in front, and looks at the one after it.
    fn take_and_peek(&mut self) -> Step<(Kind, u32)> {
        self.scanner.take();
        self.peek()
    }

    fn take(&mut self) -> Step<Token<'a>> {
        self.scanner.peek()?;
        self.scanner
            .take()
            .map_or_else(|| fail(0, "unknown problem parsing YAML content"), Ok)
    }

    fn pop(&mut self) {
        self.state = self.states.pop().unwrap_or(State::End);
    }

    /// A node now, this state after it.
    fn node_then(&mut self, state: State, block: bool, indentless: bool) -> Step<Event<'a>> {
        self.states.push(state);
        self.node(block, indentless)
    }

    /// A node that is not there, this state after it.
    fn empty_then(&mut self, state: State, line: u32) -> Event<'a> {
        self.state = state;
        Event::Scalar {
            node: Properties {
                line,
                ..Properties::default()
            },
            value: Cow::Borrowed(""),
            implicit: true,
        }
    }

    fn document_start(&mut self, implicit: bool) -> Step<Event<'a>> {
        let (mut kind, _) = self.peek()?;
        while !implicit && kind == Kind::DocumentEnd {
            (kind, _) = self.take_and_peek()?;
        }
        let is_explicit = matches!(
            kind,
            Kind::VersionDirective { .. } | Kind::TagDirective | Kind::DocumentStart
        );
        if kind == Kind::StreamEnd {
            self.scanner.take();
            self.state = State::End;
            return Ok(Event::StreamEnd);
        }
        self.directives()?;
        self.states.push(State::DocumentEnd);
        if implicit && !is_explicit {
            self.state = State::BlockNode;
            return Ok(Event::DocumentStart);
        }
        let (kind, line) = self.peek()?;
        if kind != Kind::DocumentStart {
            return fail(line, "did not find expected <document start>");
        }
        self.scanner.take();
        self.state = State::DocumentContent;
        Ok(Event::DocumentStart)
    }

    fn directives(&mut self) -> Step {
        let mut has_version = false;
        loop {
            match self.peek()? {
                (Kind::VersionDirective { major, minor }, line) => {
                    if has_version {
                        return fail(line, "found duplicate %YAML directive");
                    }
                    if (major, minor) != (1, 1) {
                        return fail(line, "found incompatible YAML document");
                    }
                    has_version = true;
                    self.scanner.take();
                }
                (Kind::TagDirective, line) => {
                    let token = self.take()?;
                    if self.tag_prefix(&token.value).is_some() {
                        return fail(line, "found duplicate %TAG directive");
                    }
                    self.tag_directives.push((token.value, token.suffix));
                }
                _ => break,
            }
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            if self.tag_prefix(handle).is_none() {
                self.tag_directives
                    .push((Cow::Borrowed(handle), Cow::Borrowed(prefix)));
            }
        }
        Ok(())
    }

    fn tag_prefix(&self, handle: &str) -> Option<&str> {
        self.tag_directives
            .iter()
            .find(|(known, _)| known == handle)
            .map(|(_, prefix)| &**prefix)
    }

    fn document_content(&mut self) -> Step<Event<'a>> {
        let (kind, line) = self.peek()?;
        if matches!(
            kind,
            Kind::VersionDirective { .. }
                | Kind::TagDirective
                | Kind::DocumentStart
                | Kind::DocumentEnd
                | Kind::StreamEnd
        ) {
            let state = self.states.pop().unwrap_or(State::End);
            return Ok(self.empty_then(state, line));
        }
        self.node(true, false)
    }

    fn document_end(&mut self) -> Step<Event<'a>> {
        if self.peek()?.0 == Kind::DocumentEnd {
            self.scanner.take();
        }
        self.tag_directives.clear();
        self.state = State::DocumentStart;
        Ok(Event::DocumentEnd)
    }

    fn node(&mut self, block: bool, indentless: bool) -> Step<Event<'a>> {
        let (mut kind, start_line) = self.peek()?;
        if kind == Kind::Alias {
            self.pop();
            return Ok(Event::Alias(self.take()?.value));
        }
        let mut node = Properties {
            line: start_line,
            ..Properties::default()
        };
        let mut tag = None;
        if kind == Kind::Anchor {
            node.anchor = Some(self.take()?.value);
            (kind, _) = self.peek()?;
            if kind == Kind::Tag {
                tag = Some(self.take()?);
                (kind, _) = self.peek()?;
            }
        } else if kind == Kind::Tag {
            tag = Some(self.take()?);
            (kind, _) = self.peek()?;
            if kind == Kind::Anchor {
                node.anchor = Some(self.take()?.value);
                (kind, _) = self.peek()?;
            }
        }
        if let Some(tag) = tag {
            node.tag = self.resolve_tag(tag)?;
        }

        let next = match kind {
            Kind::BlockEntry if indentless => State::IndentlessEntry,
            Kind::Scalar { plain } => return self.scalar(node, plain),
            Kind::FlowSequenceStart => State::FlowSequenceFirst,
            Kind::FlowMappingStart => State::FlowMappingFirst,
            Kind::BlockSequenceStart if block => State::BlockSequenceFirst,
            Kind::BlockMappingStart if block => State::BlockMappingFirst,
            _ if node.anchor.is_some() || !node.tag.is_empty() => {
                self.pop();
                let implicit = node.tag.is_empty();
                return Ok(Event::Scalar {
                    node,
                    value: Cow::Borrowed(""),
                    implicit,
                });
            }
            _ => {
                let (_, line) = self.peek()?;
                return fail(line, "did not find expected node content");
            }
        };
        self.state = next;
        Ok(match next {
            State::FlowMappingFirst | State::BlockMappingFirst => Event::MappingStart(node),
            _ => Event::SequenceStart(node),
        })
    }

    fn resolve_tag(&self, tag: Token<'a>) -> Step<Cow<'a, str>> {
        if tag.value.is_empty() {
            return Ok(tag.suffix);
        }
        let resolved = self
            .tag_prefix(&tag.value)
            .map(|prefix| format!("{prefix}{}", tag.suffix));
        match resolved {
            Some(resolved) if !resolved.is_empty() => Ok(Cow::Owned(resolved)),
            _ => fail(tag.line, "found undefined tag handle"),
        }
    }

    fn scalar(&mut self, node: Properties<'a>, plain: bool) -> Step<Event<'a>> {
        self.pop();
        let implicit = (plain && node.tag.is_empty()) || node.tag == "!";
        Ok(Event::Scalar {
            node,
            value: self.take()?.value,
            implicit,
        })
    }

    fn block_sequence_entry(&mut self, first: bool) -> Step<Event<'a>> {
        if first {
            self.take()?;
        }
        let (kind, line) = self.peek()?;
        match kind {
            Kind::BlockEntry => {
                let line = self.take()?.end_line;
                let (kind, _) = self.peek()?;
                if matches!(kind, Kind::BlockEntry | Kind::BlockEnd) {
                    return Ok(self.empty_then(State::BlockSequenceEntry, line));
                }
                self.node_then(State::BlockSequenceEntry, true, false)
            }
            Kind::BlockEnd => {
                self.scanner.take();
                self.pop();
                Ok(Event::SequenceEnd)
            }
            _ => fail(line, "did not find expected '-' indicator"),
        }
    }

    fn indentless_entry(&mut self) -> Step<Event<'a>> {
        if self.peek()?.0 != Kind::BlockEntry {
            self.pop();
            return Ok(Event::SequenceEnd);
        }
        let line = self.take()?.end_line;
        let (kind, _) = self.peek()?;
        if matches!(
            kind,
            Kind::BlockEntry | Kind::Key | Kind::Value | Kind::BlockEnd
        ) {
            return Ok(self.empty_then(State::IndentlessEntry, line));
        }
        self.node_then(State::IndentlessEntry, true, false)
    }

    fn block_mapping_key(&mut self, first: bool) -> Step<Event<'a>> {
        if first {
            self.take()?;
        }
        let (kind, line) = self.peek()?;
        match kind {
            Kind::Key => self.block_mapping_part(State::BlockMappingValue),
            Kind::BlockEnd => {
                self.scanner.take();
                self.pop();
                Ok(Event::MappingEnd)
            }
            _ => fail(line, "did not find expected key"),
        }
    }

    fn block_mapping_value(&mut self) -> Step<Event<'a>> {
        let (kind, line) = self.peek()?;
        if kind == Kind::Value {
            return self.block_mapping_part(State::BlockMappingKey);
        }
        Ok(self.empty_then(State::BlockMappingKey, line))
    }

    /// A key or a value, its indicator being in front.
    fn block_mapping_part(&mut self, next: State) -> Step<Event<'a>> {
        let line = self.take()?.end_line;
        let (kind, _) = self.peek()?;
        if matches!(kind, Kind::Key | Kind::Value | Kind::BlockEnd) {
            return Ok(self.empty_then(next, line));
        }
        self.node_then(next, true, true)
    }

    fn flow_sequence_entry(&mut self, first: bool) -> Step<Event<'a>> {
        if first {
            self.take()?;
        }
        let (mut kind, mut line) = self.peek()?;
        if kind != Kind::FlowSequenceEnd && !first {
            if kind != Kind::FlowEntry {
                return fail(line, "did not find expected ',' or ']'");
            }
            (kind, line) = self.take_and_peek()?;
        }
        match kind {
            Kind::FlowSequenceEnd => {
                self.scanner.take();
                self.pop();
                Ok(Event::SequenceEnd)
            }
            Kind::Key => {
                self.scanner.take();
                self.state = State::FlowPairKey;
                Ok(Event::MappingStart(Properties {
                    line,
                    ..Properties::default()
                }))
            }
            _ => self.node_then(State::FlowSequenceEntry, false, false),
        }
    }

    fn flow_pair_key(&mut self) -> Step<Event<'a>> {
        let (kind, _) = self.peek()?;
        if matches!(kind, Kind::Value | Kind::FlowEntry | Kind::FlowSequenceEnd) {
            // The original drops the token it found here.
            let line = self.take()?.end_line;
            return Ok(self.empty_then(State::FlowPairValue, line));
        }
        self.node_then(State::FlowPairValue, false, false)
    }

    fn flow_pair_value(&mut self) -> Step<Event<'a>> {
        let (kind, line) = self.peek()?;
        if kind == Kind::Value {
            let (kind, _) = self.take_and_peek()?;
            if !matches!(kind, Kind::FlowEntry | Kind::FlowSequenceEnd) {
                return self.node_then(State::FlowPairEnd, false, false);
            }
        }
        Ok(self.empty_then(State::FlowPairEnd, line))
    }

    fn flow_mapping_key(&mut self, first: bool) -> Step<Event<'a>> {
        if first {
            self.take()?;
        }
        let (mut kind, line) = self.peek()?;
        if kind != Kind::FlowMappingEnd && !first {
            if kind != Kind::FlowEntry {
                return fail(line, "did not find expected ',' or '}'");
            }
            (kind, _) = self.take_and_peek()?;
        }
        match kind {
            Kind::FlowMappingEnd => {
                self.scanner.take();
                self.pop();
                Ok(Event::MappingEnd)
            }
            Kind::Key => {
                let (kind, line) = self.take_and_peek()?;
                if matches!(kind, Kind::Value | Kind::FlowEntry | Kind::FlowMappingEnd) {
                    return Ok(self.empty_then(State::FlowMappingValue, line));
                }
                self.node_then(State::FlowMappingValue, false, false)
            }
            _ => self.node_then(State::FlowMappingEmptyValue, false, false),
        }
    }

    fn flow_mapping_value(&mut self, empty: bool) -> Step<Event<'a>> {
        let (mut kind, mut line) = self.peek()?;
        if !empty && kind == Kind::Value {
            (kind, line) = self.take_and_peek()?;
            if !matches!(kind, Kind::FlowEntry | Kind::FlowMappingEnd) {
                return self.node_then(State::FlowMappingKey, false, false);
            }
        }
        Ok(self.empty_then(State::FlowMappingKey, line))
    }
}
