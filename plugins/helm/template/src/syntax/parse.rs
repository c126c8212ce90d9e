//! Builds trees from tokens, by the rules of Go's template parser.

use std::collections::HashMap;
use std::rc::Rc;

use super::lex::Lexer;
use super::node::{
    Branch, Call, Callee, Node, Pipe, ROOT_VARIABLE, Source, Special, Tree, Variable,
};
use super::token::{Kind, Token};
use crate::error::Error;
use crate::function::{Function, Functions};
use crate::strconv::{quote, unquote};
use crate::text::Str;

/// Deepest nesting of blocks and parentheses together. Go allows 10,000 parentheses, which no chart
/// needs and which a small stack does not bear.
const MAX_NESTING: usize = 250;

/// Where names of functions are looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) functions: &'a Functions,
    pub(crate) builtins: &'a Functions,
}

impl Scope<'_> {
    pub(super) fn find(&self, name: &str) -> Option<Callee> {
        let callee = |function: Rc<Function>, special| Callee {
            name: name.into(),
            function,
            special,
        };
        if let Some(function) = self.functions.get(name) {
            return Some(callee(function, None));
        }
        let special = match name {
            "and" => Some(Special::And),
            "or" => Some(Special::Or),
            "call" => Some(Special::Call),
            "len" => Some(Special::Len),
            _ => None,
        };
        self.builtins
            .get(name)
            .map(|function| callee(function, special))
    }
}

/// A text's own tree, and those of its definitions.
pub(crate) type Parsed = (Rc<Tree>, Vec<Rc<Tree>>);

/// Parses a text.
///
/// # Errors
/// `template: NAME:LINE: MESSAGE`.
pub(crate) fn parse(name: &str, text: &str, scope: Scope<'_>) -> Result<Parsed> {
    let mut shared = Shared {
        lexer: Lexer::new(text),
        scope,
        source: Rc::new(Source::new(name, text)),
        ids: HashMap::from([(Rc::from("$"), ROOT_VARIABLE)]),
        trees: Vec::new(),
        nesting: 0,
    };
    let mut parser = Parser::new(&mut shared);
    let root = parser.parse_all()?;
    let main = parser.add(name.into(), root)?;
    let mut definitions = shared.trees;
    definitions.retain(|tree| *tree.name != *name);
    Ok((main, definitions))
}

/// What the trees of one text have in common.
pub(super) struct Shared<'a> {
    pub(super) lexer: Lexer<'a>,
    scope: Scope<'a>,
    source: Rc<Source>,
    ids: HashMap<Rc<str>, u32>,
    trees: Vec<Rc<Tree>>,
    nesting: usize,
}

/// Parses one tree: the text itself or one definition in it.
pub(super) struct Parser<'p, 'a> {
    pub(super) shared: &'p mut Shared<'a>,
    /// Tokens looked at; the first is the last one read, whose line errors show.
    pub(super) token: [Token<'a>; 3],
    pub(super) peeked: usize,
    /// Names of the variables known at this place.
    pub(super) variables: Vec<Variable>,
    shadows_root: bool,
    action_line: usize,
    range_depth: usize,
}

type Result<T> = std::result::Result<T, Error>;

/// What ended a list of nodes.
enum Ending {
    End,
    /// With the kind of the token that makes it `else if` or `else with`.
    Else,
}

impl Ending {
    fn describe(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    Ending(Ending),
}

/// The blocks that share their shape.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Control {
    If,
    With,
    Range,
}

impl Control {
    fn context(self) -> &'static str {
        match self {
            Self::If => "if",
            Self::With => "with",
            Self::Range => "range",
        }
    }
}

impl<'p, 'a> Parser<'p, 'a> {
    fn new(shared: &'p mut Shared<'a>) -> Self {
        let nothing = || Token {
            kind: Kind::Eof,
            pos: 0,
            line: 0,
            text: "".into(),
        };
        let root = Variable {
            id: ROOT_VARIABLE,
            name: "$".into(),
        };
        Self {
            shared,
            token: [nothing(), nothing(), nothing()],
            peeked: 0,
            variables: vec![root],
            shadows_root: false,
            action_line: 0,
            range_depth: 0,
        }
    }

    // Errors.

    pub(super) fn error(&self, message: impl std::fmt::Display) -> Error {
        let name = &self.shared.source.name;
        let line = self.token.first().map_or(0, |token| token.line);
        Error::parse(name, format!("template: {name}:{line}: {message}"))
    }

    pub(super) fn unexpected(&self, token: &Token<'_>, context: &str) -> Error {
        if token.kind != Kind::Error {
            return self.error(format_args!("unexpected {} in {context}", token.describe()));
        }
        let message = token.describe();
        if self.action_line == 0 || self.action_line == token.line {
            return self.error(message);
        }
        let lead = if message.ends_with(" action") {
            ""
        } else {
            " in action"
        };
        let (name, line) = (&self.shared.source.name, self.action_line);
        self.error(format_args!("{message}{lead} started at {name}:{line}"))
    }

    /// Counts one level of nesting in; [`Parser::leave`] counts it out.
    pub(super) fn enter(&mut self) -> Result<()> {
        if self.shared.nesting >= MAX_NESTING {
            return Err(self.error("max expression depth exceeded"));
        }
        self.shared.nesting += 1;
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.shared.nesting -= 1;
    }

    // Names.

    pub(super) fn find_function(&self, name: &str) -> Result<Callee> {
        self.shared.scope.find(name).ok_or_else(|| {
            self.error(format_args!(
                "function {} not defined",
                quote(name.as_bytes())
            ))
        })
    }

    pub(super) fn declare(&mut self, name: &str) -> Variable {
        self.shadows_root |= name == "$";
        let variable = self.variable(name);
        self.variables.push(variable.clone());
        variable
    }

    fn variable(&mut self, name: &str) -> Variable {
        let next = u32::try_from(self.shared.ids.len()).unwrap_or(u32::MAX);
        let name: Rc<str> = name.into();
        let id = *self.shared.ids.entry(Rc::clone(&name)).or_insert(next);
        Variable { id, name }
    }

    // Trees.

    /// Adds a tree to those of the text, and hands out the one that has its name afterwards.
    fn add(&mut self, name: Rc<str>, root: Vec<Node>) -> Result<Rc<Tree>> {
        let tree = Rc::new(Tree {
            name,
            source: Rc::clone(&self.shared.source),
            root,
            shadows_root: self.shadows_root,
        });
        let trees = &mut self.shared.trees;
        match trees.iter_mut().find(|other| other.name == tree.name) {
            None => trees.push(Rc::clone(&tree)),
            Some(other) if other.is_blank() => *other = Rc::clone(&tree),
            Some(other) if tree.is_blank() => return Ok(Rc::clone(other)),
            Some(_) => {
                let name = quote(tree.name.as_bytes());
                return Err(self.error(format_args!(
                    "template: multiple definition of template {name}"
                )));
            }
        }
        Ok(tree)
    }

    fn parse_all(&mut self) -> Result<Vec<Node>> {
        let mut root = Vec::new();
        loop {
            match self.peek_kind() {
                Kind::Eof => return Ok(root),
                Kind::LeftDelim => {
                    let delim = self.next();
                    if self.next_non_space().kind == Kind::Define {
                        Parser::new(self.shared).parse_definition()?;
                        continue;
                    }
                    self.backup2(delim);
                }
                _ => {}
            }
            match self.text_or_action()? {
                Item::Node(node) => root.push(node),
                Item::Ending(ending) => {
                    return Err(self.error(format_args!("unexpected {}", ending.describe())));
                }
            }
        }
    }

    fn parse_definition(mut self) -> Result<()> {
        let context = "define clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        self.expect_right_delim(context)?;
        self.parse_body(name.to_text().into(), context)?;
        Ok(())
    }

    fn parse_body(&mut self, name: Rc<str>, context: &str) -> Result<Rc<Tree>> {
        let (root, ending) = self.item_list()?;
        if let Ending::Else = ending {
            return Err(self.error(format_args!(
                "unexpected {} in {context}",
                ending.describe()
            )));
        }
        self.add(name, root)
    }

    fn expect_right_delim(&mut self, context: &str) -> Result<()> {
        let token = self.next_non_space();
        if token.kind == Kind::RightDelim {
            return Ok(());
        }
        Err(self.unexpected(&token, context))
    }

    fn template_name(&self, token: &Token<'_>, context: &str) -> Result<Str> {
        match token.kind {
            Kind::String | Kind::RawString => {
                unquote(&token.text).ok_or_else(|| self.error("invalid syntax"))
            }
            _ => Err(self.unexpected(token, context)),
        }
    }

    fn item_list(&mut self) -> Result<(Vec<Node>, Ending)> {
        let mut nodes = Vec::new();
        while self.peek_kind_non_space() != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => nodes.push(node),
                Item::Ending(ending) => return Ok((nodes, ending)),
            }
        }
        Err(self.error("unexpected EOF"))
    }

    fn text_or_action(&mut self) -> Result<Item> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text.into()))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let item = self.action();
                self.action_line = 0;
                item
            }
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Result<Item> {
        let token = self.next_non_space();
        let node = match token.kind {
            Kind::End => {
                self.expect_right_delim("end")?;
                return Ok(Item::Ending(Ending::End));
            }
            Kind::Else => {
                // `else if` and `else with` leave their keyword to the block that has the else.
                if !matches!(self.peek_kind_non_space(), Kind::If | Kind::With) {
                    self.expect_right_delim("else")?;
                }
                return Ok(Item::Ending(Ending::Else));
            }
            Kind::If => self.control(Control::If)?,
            Kind::With => self.control(Control::With)?,
            Kind::Range => self.control(Control::Range)?,
            Kind::Block => self.block()?,
            Kind::Template => self.template()?,
            Kind::Break => self.loop_control("{{break}}", Node::Break)?,
            Kind::Continue => self.loop_control("{{continue}}", Node::Continue)?,
            _ => {
                self.backup();
                Node::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        };
        Ok(Item::Node(node))
    }

    fn loop_control(&mut self, written: &str, node: Node) -> Result<Node> {
        self.expect_right_delim(written)?;
        if self.range_depth == 0 {
            return Err(self.error(format_args!("{written} outside {{{{range}}}}")));
        }
        Ok(node)
    }

    fn control(&mut self, control: Control) -> Result<Node> {
        self.enter()?;
        let known = self.variables.len();
        let pipe = self.pipeline(control.context(), Kind::RightDelim)?;
        let branch = Box::new(self.branch(control, pipe)?);
        self.variables.truncate(known);
        self.leave();
        Ok(match control {
            Control::If => Node::If(branch),
            Control::With => Node::With(branch),
            Control::Range => Node::Range(branch),
        })
    }

    fn branch(&mut self, control: Control, pipe: Pipe) -> Result<Branch> {
        let in_range = usize::from(control == Control::Range);
        self.range_depth += in_range;
        let (body, ending) = self.item_list()?;
        self.range_depth -= in_range;
        let otherwise = match ending {
            Ending::End => None,
            Ending::Else => Some(self.else_list(control)?),
        };
        Ok(Branch {
            pipe,
            body,
            otherwise,
        })
    }

    /// What stands for the else; the end of `else if` is the end of its `if` too.
    fn else_list(&mut self, control: Control) -> Result<Vec<Node>> {
        match (control, self.peek_kind()) {
            (Control::If, Kind::If) | (Control::With, Kind::With) => {
                self.next();
                Ok(vec![self.control(control)?])
            }
            _ => match self.item_list()? {
                (nodes, Ending::End) => Ok(nodes),
                (_, ending) => {
                    Err(self.error(format_args!("expected end; found {}", ending.describe())))
                }
            },
        }
    }

    fn block(&mut self) -> Result<Node> {
        let context = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        self.enter()?;
        Parser::new(self.shared).parse_body(name.to_text().into(), context)?;
        self.leave();
        Ok(Node::Template(Box::new(Call {
            pos: token.pos,
            name,
            pipe: Some(pipe),
        })))
    }

    fn template(&mut self) -> Result<Node> {
        let context = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        let pipe = if self.next_non_space().kind == Kind::RightDelim {
            None
        } else {
            self.backup();
            Some(self.pipeline(context, Kind::RightDelim)?)
        };
        Ok(Node::Template(Box::new(Call {
            pos: token.pos,
            name,
            pipe,
        })))
    }
}
