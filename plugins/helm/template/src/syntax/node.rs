//! The parsed form of a template.

use std::rc::Rc;

use super::literal::Number;
use crate::function::Function;
use crate::text::Str;

/// Where a tree comes from: for the places in errors.
#[derive(Debug)]
pub(crate) struct Source {
    /// The name under which the text was parsed.
    pub(crate) name: Rc<str>,
    /// Byte offsets of the first byte of each line after the first.
    pub(crate) line_starts: Vec<usize>,
}

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            name: name.into(),
            line_starts: newlines.map(|(at, _)| at + 1).collect(),
        }
    }

    /// `NAME:LINE:COLUMN` of a byte offset; lines from 1, columns in bytes from 0.
    pub(crate) fn location(&self, pos: usize) -> String {
        let line = self.line_starts.partition_point(|start| *start <= pos);
        let start = line
            .checked_sub(1)
            .and_then(|at| self.line_starts.get(at))
            .copied()
            .unwrap_or(0);
        format!("{}:{}:{}", self.name, line + 1, pos - start)
    }
}

/// One template: its own text without what it defines.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) name: Rc<str>,
    pub(crate) source: Rc<Source>,
    pub(crate) root: Vec<Node>,
    /// Whether `$` is declared somewhere in it, so that `$` is not always what the template was given.
    pub(crate) shadows_root: bool,
}

impl Tree {
    /// Whether there is nothing but blanks; such a tree does not replace another.
    pub(crate) fn is_blank(&self) -> bool {
        self.root.iter().all(|node| match node {
            Node::Text(text) => text.trim().is_empty(),
            _ => false,
        })
    }
}

/// What a template consists of.
#[derive(Debug)]
pub(crate) enum Node {
    Text(Box<str>),
    Action(Pipe),
    If(Box<Branch>),
    With(Box<Branch>),
    Range(Box<Branch>),
    Template(Box<Call>),
    Break,
    Continue,
}

/// `if`, `with` or `range`.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Option<Vec<Node>>,
}

/// `template` and `block`.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) pos: usize,
    pub(crate) name: Str,
    pub(crate) pipe: Option<Pipe>,
}

/// Commands of which each gets the result of the one before, and the variables that get the last.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) pos: usize,
    /// Whether the variables are there already.
    pub(crate) assigns: bool,
    pub(crate) variables: Vec<Variable>,
    pub(crate) commands: Vec<Command>,
}

/// A variable's name, and the number that stands for it when running.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) id: u32,
    pub(crate) name: Rc<str>,
}

/// The number of `$` in every tree.
pub(crate) const ROOT_VARIABLE: u32 = 0;

/// An operand and its arguments. Never empty.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) pos: usize,
    pub(crate) first: Expr,
    pub(crate) args: Vec<Expr>,
}

/// An operand.
#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) pos: usize,
    pub(crate) term: Term,
}

/// What an operand is.
#[derive(Debug)]
pub(crate) enum Term {
    Bool(bool),
    Dot,
    Nil,
    Number(Box<Number>),
    Str(Box<StrLiteral>),
    /// `.a.b`
    Field(Names),
    /// `$x.a.b`
    Variable(Variable, Names),
    Function(Callee),
    /// `(pipe).a.b` or `function.a.b`
    Chain(Box<Expr>, Names),
    Pipe(Box<Pipe>),
}

/// Field names in order.
pub(crate) type Names = Box<[Rc<str>]>;

/// A string literal, as written and as meant.
#[derive(Debug)]
pub(crate) struct StrLiteral {
    pub(crate) written: Box<str>,
    pub(crate) text: Str,
}

/// A function, found when parsing.
#[derive(Clone, Debug)]
pub(crate) struct Callee {
    pub(crate) name: Rc<str>,
    pub(crate) function: Rc<Function>,
    pub(crate) special: Option<Special>,
}

/// Builtins that do not get their arguments as others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    And,
    Or,
    Call,
    /// Tells a nil element from no value at all.
    Len,
}
