//! One running template.

use super::run::{Operand, Run};
use crate::error::{Error, ErrorKind};
use crate::function::Context;
use crate::strconv::quote;
use crate::syntax::node::{Call, Command, Expr, Pipe, ROOT_VARIABLE, Tree};
use crate::templates::{Template, Templates};
use crate::text::Str;
use crate::value::Value;

/// The node at work, which an error names. It follows Go's state, so it is not always the innermost.
#[derive(Clone, Copy)]
pub(super) enum At<'t> {
    Start,
    Pipe(&'t Pipe),
    Command(&'t Command),
    Expr(&'t Expr),
    Call(&'t Call),
}

/// A template at work.
pub(super) struct Frame<'t, 'r> {
    pub(super) run: &'r mut Run,
    pub(super) out: &'r mut Vec<u8>,
    pub(super) set: &'t Templates,
    pub(super) tree: &'t Tree,
    pub(super) at: At<'t>,
    /// Where this template's variables begin: it sees none of its caller's.
    pub(super) base: usize,
}

/// Runs a tree on its own output.
pub(crate) fn execute(
    run: &mut Run,
    set: &Templates,
    tree: &Tree,
    data: &Value,
) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    execute_into(run, &mut out, set, tree, &Operand::concrete(data.clone()))?;
    Ok(out)
}

/// Runs a tree at the end of `out`.
pub(super) fn execute_into(
    run: &mut Run,
    out: &mut Vec<u8>,
    set: &Templates,
    tree: &Tree,
    dot: &Operand,
) -> Result<(), Error> {
    run.enter()?;
    let base = run.variables.len();
    run.variables.push((ROOT_VARIABLE, dot.clone()));
    let mut frame = Frame {
        run,
        out,
        set,
        tree,
        at: At::Start,
        base,
    };
    // A limit is met anywhere; who reads of it wants to know where.
    let result = frame.walk(dot, &tree.root).map_err(|error| {
        if error.kind() == ErrorKind::Limit && error.template().is_empty() {
            frame.fail_with(error.text().to_owned(), Some(error))
        } else {
            error
        }
    });
    run.variables.truncate(base);
    run.leave();
    result.map(|_| ())
}

impl<'t> Frame<'t, '_> {
    /// An error of this template at the node at work.
    #[cold]
    pub(super) fn fail(&self, message: impl std::fmt::Display) -> Error {
        self.fail_with(message, None)
    }

    /// An error of this template for which a function's is the cause.
    #[cold]
    pub(super) fn fail_with(&self, message: impl std::fmt::Display, cause: Option<Error>) -> Error {
        let name = &self.tree.name;
        let place = |pos, node: &dyn std::fmt::Display| {
            let location = self.tree.source.location(pos);
            let quoted = quote(name.as_bytes());
            format!("template: {location}: executing {quoted} at <{node}>: {message}")
        };
        let text = match self.at {
            At::Start => format!("template: {name}: {message}"),
            At::Pipe(pipe) => place(pipe.pos, pipe),
            At::Command(command) => place(command.pos, command),
            At::Expr(expr) => place(expr.pos, expr),
            At::Call(call) => place(call.pos, call),
        };
        let kind = match &cause {
            Some(cause) if cause.kind() == ErrorKind::Limit => ErrorKind::Limit,
            _ => ErrorKind::Exec,
        };
        Error::with(kind, name, text, cause)
    }

    pub(super) fn variable(&self, id: u32, name: &str) -> Result<Operand, Error> {
        let own = self.run.variables.get(self.base..).unwrap_or_default();
        if id == ROOT_VARIABLE
            && !self.tree.shadows_root
            && let Some((_, root)) = own.first()
        {
            return Ok(root.clone());
        }
        let found = own.iter().rev().find(|(other, _)| *other == id);
        found
            .map(|(_, operand)| operand.clone())
            .ok_or_else(|| self.fail(format_args!("undefined variable: {name}")))
    }

    pub(super) fn assign(&mut self, id: u32, name: &str, operand: Operand) -> Result<(), Error> {
        let own = self.run.variables.get_mut(self.base..).unwrap_or_default();
        match own.iter_mut().rev().find(|(other, _)| *other == id) {
            Some((_, slot)) => {
                *slot = operand;
                Ok(())
            }
            None => Err(self.fail(format_args!("undefined variable: {name}"))),
        }
    }
}

impl Context for Frame<'_, '_> {
    fn templates(&self) -> Templates {
        self.set.clone()
    }

    fn execute(&mut self, templates: &Templates, name: &str, data: &Value) -> Result<Str, Error> {
        let template = templates.find(name)?;
        self.execute_template(templates, &template, data)
    }

    fn execute_template(
        &mut self,
        templates: &Templates,
        template: &Template,
        data: &Value,
    ) -> Result<Str, Error> {
        execute(self.run, templates, template.tree(), data).map(Str::from)
    }

    fn charge(&mut self, steps: u64) -> Result<(), Error> {
        self.run.step(steps)
    }

    fn template_name(&self) -> &str {
        &self.tree.name
    }
}
