//! Nodes as text, for errors.

use std::fmt::{Display, Formatter, Result};

use super::node::{Call, Command, Expr, Names, Pipe, Term};
use crate::strconv::quote;

fn write_names(f: &mut Formatter<'_>, names: &Names) -> Result {
    for name in names {
        write!(f, ".{name}")?;
    }
    Ok(())
}

impl Display for Pipe {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (at, variable) in self.variables.iter().enumerate() {
            f.write_str(if at > 0 { ", " } else { "" })?;
            f.write_str(&variable.name)?;
        }
        if !self.variables.is_empty() {
            f.write_str(if self.assigns { " = " } else { " := " })?;
        }
        for (at, command) in self.commands.iter().enumerate() {
            f.write_str(if at > 0 { " | " } else { "" })?;
            command.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write_argument(f, &self.first)?;
        for arg in &self.args {
            f.write_str(" ")?;
            write_argument(f, arg)?;
        }
        Ok(())
    }
}

fn write_argument(f: &mut Formatter<'_>, expr: &Expr) -> Result {
    match &expr.term {
        Term::Pipe(pipe) => write!(f, "({pipe})"),
        _ => expr.fmt(f),
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.term {
            Term::Bool(value) => write!(f, "{value}"),
            Term::Dot => f.write_str("."),
            Term::Nil => f.write_str("nil"),
            Term::Number(number) => f.write_str(&number.text),
            Term::Str(literal) => f.write_str(&literal.written),
            Term::Field(names) => write_names(f, names),
            Term::Variable(variable, names) => {
                f.write_str(&variable.name)?;
                write_names(f, names)
            }
            Term::Function(callee) => f.write_str(&callee.name),
            Term::Chain(inner, names) => {
                write_argument(f, inner)?;
                write_names(f, names)
            }
            Term::Pipe(pipe) => pipe.fmt(f),
        }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{{{{template {}", quote(self.name.as_bytes()))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}
