//! Finds the values of pipelines and operands.

use super::frame::{At, Frame};
use super::run::Operand;
use crate::error::Error;
use crate::function::Type;
use crate::syntax::literal::Number;
use crate::syntax::node::{Command, Expr, Pipe, Term};
use crate::value::Value;

impl<'t> Frame<'t, '_> {
    /// The value of a pipeline; the variables it declares stay until the end of the block.
    pub(super) fn eval_pipe(&mut self, dot: &Operand, pipe: &'t Pipe) -> Result<Operand, Error> {
        self.at = At::Pipe(pipe);
        let mut value = None;
        for command in &pipe.commands {
            let mut result = self.eval_command(dot, command, value.take())?;
            result.interface = false;
            value = Some(result);
        }
        let value = value.unwrap_or_default();
        for variable in &pipe.variables {
            if pipe.assigns {
                self.assign(variable.id, &variable.name, value.clone())?;
            } else {
                self.run.variables.push((variable.id, value.clone()));
            }
        }
        Ok(value)
    }

    /// A pipeline inside another.
    #[inline(never)]
    fn eval_nested(&mut self, dot: &Operand, pipe: &'t Pipe) -> Result<Operand, Error> {
        self.run.enter()?;
        self.run.step(1)?;
        let value = self.eval_pipe(dot, pipe)?;
        self.run.leave();
        Ok(value)
    }

    fn eval_command(
        &mut self,
        dot: &Operand,
        command: &'t Command,
        last: Option<Operand>,
    ) -> Result<Operand, Error> {
        let first = &command.first;
        let args = &command.args;
        match &first.term {
            Term::Field(names) => {
                self.at = At::Expr(first);
                self.eval_fields(dot, dot, first, names, args, last)
            }
            Term::Chain(inner, names) => {
                let receiver = self.eval_chain_start(dot, first, inner)?;
                self.eval_fields(dot, &receiver, first, names, args, last)
            }
            Term::Function(callee) => {
                self.at = At::Expr(first);
                self.eval_function(dot, callee, At::Command(command), args, last)
            }
            Term::Pipe(pipe) => {
                self.refuse_arguments(first, args, last.as_ref())?;
                self.eval_nested(dot, pipe)
            }
            Term::Variable(variable, names) => {
                self.at = At::Expr(first);
                let value = self.variable(variable.id, &variable.name)?;
                if names.is_empty() {
                    self.refuse_arguments(first, args, last.as_ref())?;
                    return Ok(value);
                }
                self.eval_fields(dot, &value, first, names, args, last)
            }
            Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::Str(_) => {
                self.at = At::Expr(first);
                self.refuse_arguments(first, args, last.as_ref())?;
                match &first.term {
                    Term::Dot => Ok(dot.clone()),
                    Term::Nil => Err(self.fail("nil is not a command")),
                    _ => self.literal(first).map(Operand::concrete),
                }
            }
        }
    }

    fn refuse_arguments(
        &self,
        first: &Expr,
        args: &[Expr],
        last: Option<&Operand>,
    ) -> Result<(), Error> {
        if args.is_empty() && last.is_none() {
            return Ok(());
        }
        Err(self.fail(format_args!("can't give argument to non-function {first}")))
    }

    fn eval_chain_start(
        &mut self,
        dot: &Operand,
        chain: &'t Expr,
        inner: &'t Expr,
    ) -> Result<Operand, Error> {
        self.at = At::Expr(chain);
        if let Term::Nil = inner.term {
            return Err(self.fail(format_args!("indirection through explicit nil in {chain}")));
        }
        self.at = At::Expr(inner);
        self.eval_operand(dot, inner)
    }

    /// An operand without arguments, of the type it has by itself.
    pub(super) fn eval_operand(&mut self, dot: &Operand, expr: &'t Expr) -> Result<Operand, Error> {
        match &expr.term {
            Term::Dot => Ok(dot.clone()),
            Term::Field(names) => self.eval_fields(dot, dot, expr, names, &[], None),
            Term::Variable(variable, names) => {
                let value = self.variable(variable.id, &variable.name)?;
                if names.is_empty() {
                    return Ok(value);
                }
                self.eval_fields(dot, &value, expr, names, &[], None)
            }
            Term::Pipe(pipe) => self.eval_nested(dot, pipe),
            Term::Function(callee) => self.eval_function(dot, callee, At::Expr(expr), &[], None),
            Term::Chain(inner, names) => {
                let receiver = self.eval_chain_start(dot, expr, inner)?;
                self.eval_fields(dot, &receiver, expr, names, &[], None)
            }
            Term::Bool(_) | Term::Nil | Term::Number(_) | Term::Str(_) => {
                self.literal(expr).map(Operand::concrete)
            }
        }
    }

    /// An argument for a parameter of the given type.
    pub(super) fn eval_arg(
        &mut self,
        dot: &Operand,
        ty: Type,
        expr: &'t Expr,
    ) -> Result<Value, Error> {
        self.at = At::Expr(expr);
        match &expr.term {
            Term::Str(literal) if matches!(ty, Type::Any | Type::Str | Type::Reflect) => {
                Ok(Value::Str(literal.text.clone()))
            }
            Term::Nil => ty
                .nil()
                .ok_or_else(|| self.fail(format_args!("cannot assign nil to {}", ty.name()))),
            Term::Bool(_) | Term::Number(_) | Term::Str(_) => self.typed_literal(ty, expr),
            _ => {
                let operand = self.eval_operand(dot, expr)?;
                self.validate(operand, ty)
            }
        }
    }

    fn typed_literal(&self, ty: Type, expr: &Expr) -> Result<Value, Error> {
        let expected = |what: &str| Err(self.fail(format_args!("expected {what}; found {expr}")));
        let number = match &expr.term {
            Term::Number(number) => Some(number),
            _ => None,
        };
        match ty {
            Type::Any | Type::Reflect => self.literal(expr),
            Type::Bool => match expr.term {
                Term::Bool(value) => Ok(Value::Bool(value)),
                _ => expected("bool"),
            },
            Type::Str => expected("string"),
            Type::Int | Type::Int64 | Type::Named("time.Duration") => {
                match number.and_then(|number| number.int) {
                    Some(int) if ty == Type::Int => Ok(Value::Int(int)),
                    Some(int) if ty == Type::Int64 => Ok(Value::Int64(int)),
                    Some(int) => Ok(Value::Duration(int)),
                    None => expected("integer"),
                }
            }
            Type::Float => match number.and_then(|number| number.float) {
                Some(float) => Ok(Value::Float(float)),
                None => expected("float"),
            },
            Type::Bytes
            | Type::List
            | Type::StrList
            | Type::Dict
            | Type::StrDict
            | Type::Named(_) => {
                let name = ty.name();
                Err(self.fail(format_args!("can't handle {expr} for arg of type {name}")))
            }
        }
    }

    /// A literal where any type fits: its spelling decides.
    fn literal(&self, expr: &Expr) -> Result<Value, Error> {
        match &expr.term {
            Term::Bool(value) => Ok(Value::Bool(*value)),
            Term::Str(literal) => Ok(Value::Str(literal.text.clone())),
            Term::Number(number) => self.ideal(number),
            Term::Nil
            | Term::Dot
            | Term::Field(_)
            | Term::Variable(..)
            | Term::Function(_)
            | Term::Chain(..)
            | Term::Pipe(_) => Ok(Value::Nil),
        }
    }

    fn ideal(&self, number: &Number) -> Result<Value, Error> {
        match (number.float, number.int) {
            (Some(float), _) if number.is_written_as_float() => Ok(Value::Float(float)),
            (_, Some(int)) => Ok(Value::Int(int)),
            _ => Err(self.fail(format_args!("{} overflows int", number.text))),
        }
    }

    /// Checks a value against the type of the parameter it is for.
    pub(super) fn validate(&self, operand: Operand, ty: Type) -> Result<Value, Error> {
        let Operand { value, interface } = operand;
        if matches!(ty, Type::Any | Type::Reflect) {
            return Ok(value);
        }
        if matches!(value, Value::Nil) {
            if interface {
                let name = ty.name();
                return Err(self.fail(format_args!(
                    "wrong type for value; expected {name}; got interface {{}}"
                )));
            }
            return ty
                .nil()
                .ok_or_else(|| self.fail(format_args!("invalid value; expected {}", ty.name())));
        }
        if ty.accepts(&value) {
            return Ok(value);
        }
        if let Some(plain) = value.behind().filter(|plain| ty.accepts(plain)) {
            return Ok(plain);
        }
        let (wanted, got) = (ty.name(), value.type_name());
        Err(self.fail(format_args!(
            "wrong type for value; expected {wanted}; got {got}"
        )))
    }
}
