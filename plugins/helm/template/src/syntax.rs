//! From text to trees.

pub(crate) mod lex;
pub(crate) mod literal;
mod lookahead;
pub(crate) mod node;
pub(crate) mod parse;
mod pipeline;
mod print;
mod token;
