//! Runs trees.
//!
//! `run` holds what a whole run shares, `frame` is one running template, `walk` goes through its nodes,
//! `eval` finds the values of operands, `call` passes them to functions.

mod call;
mod eval;
mod field;
mod frame;
mod run;
mod walk;

pub(crate) use field::zero_element;
pub(crate) use frame::execute;
pub(crate) use run::Run;
