//! Calls of functions and methods: arguments counted, evaluated, checked.

use super::frame::{At, Frame};
use super::run::Operand;
use crate::builtins;
use crate::error::Error;
use crate::function::{Function, Signature, Type};
use crate::syntax::node::{Callee, Expr, Special};
use crate::value::{Method, Value};

/// What is called.
#[derive(Clone, Copy)]
pub(super) enum Target<'v> {
    Function(&'v Function),
    Method(&'v Value, &'static Method),
}

impl Target<'_> {
    fn signature(self) -> Signature {
        match self {
            Self::Function(function) => function.signature,
            Self::Method(_, method) => method.signature,
        }
    }
}

impl<'t> Frame<'t, '_> {
    pub(super) fn eval_function(
        &mut self,
        dot: &Operand,
        callee: &'t Callee,
        node: At<'t>,
        args: &'t [Expr],
        last: Option<Operand>,
    ) -> Result<Operand, Error> {
        let target = Target::Function(&callee.function);
        match callee.special {
            None => self.call(dot, &callee.name, target, node, args, last),
            Some(special) => {
                self.check_count(&callee.name, target.signature(), args.len(), last.is_some())?;
                match special {
                    Special::And => self.short_circuit(dot, false, args, last),
                    Special::Or => self.short_circuit(dot, true, args, last),
                    Special::Call => self.call_value(dot, node, args, last),
                    Special::Len => self.length(dot, node, args, last),
                }
            }
        }
    }

    /// `and` and `or`: evaluates no argument after the one that decides.
    fn short_circuit(
        &mut self,
        dot: &Operand,
        decisive: bool,
        args: &'t [Expr],
        last: Option<Operand>,
    ) -> Result<Operand, Error> {
        let mut value = Value::Nil;
        for arg in args {
            value = self.eval_arg(dot, Type::Reflect, arg)?;
            if value.is_true() == decisive {
                return Ok(Operand::concrete(value));
            }
        }
        Ok(last.unwrap_or_else(|| Operand::concrete(value)))
    }

    /// `call`: no value of a template is a function, so it ends in Go's refusal.
    fn call_value(
        &mut self,
        dot: &Operand,
        node: At<'t>,
        args: &'t [Expr],
        last: Option<Operand>,
    ) -> Result<Operand, Error> {
        let mut values = Vec::with_capacity(args.len() + 1);
        for arg in args {
            values.push(self.eval_arg(dot, Type::Reflect, arg)?);
        }
        values.extend(last.map(|last| last.value));
        let name = match (args.first(), values.first()) {
            (Some(arg), _) => arg.to_string(),
            (None, Some(Value::Str(text))) => text.to_string(),
            (None, Some(value)) => format!("<{} Value>", value.type_name()),
            (None, None) => String::new(),
        };
        let refusal = builtins::refuse_call(&name, values.first());
        self.at = node;
        Err(self.fail_with(
            format_args!("error calling call: {refusal}"),
            Some(refusal.clone()),
        ))
    }

    /// `len`, whose refusal of nil depends on where the nil comes from.
    fn length(
        &mut self,
        dot: &Operand,
        node: At<'t>,
        args: &'t [Expr],
        last: Option<Operand>,
    ) -> Result<Operand, Error> {
        let operand = match args.first() {
            Some(arg) => {
                self.at = At::Expr(arg);
                self.eval_operand(dot, arg)?
            }
            None => last.unwrap_or_default(),
        };
        let length = if operand.interface || !matches!(operand.value, Value::Nil) {
            builtins::length(&operand.value)
        } else {
            Err(Error::new(
                "reflect: call of reflect.Value.Type on zero Value",
            ))
        };
        length.map(Operand::concrete).map_err(|error| {
            self.at = node;
            self.fail_with(
                format_args!("error calling len: {error}"),
                Some(error.clone()),
            )
        })
    }

    fn check_count(
        &self,
        name: &str,
        signature: Signature,
        args: usize,
        piped: bool,
    ) -> Result<(), Error> {
        let given = args + usize::from(piped);
        let wanted = signature.params.len();
        if signature.variadic {
            let least = wanted.saturating_sub(1);
            if given < least {
                let message = format_args!(
                    "wrong number of args for {name}: want at least {least} got {args}"
                );
                return Err(self.fail(message));
            }
        } else if given != wanted {
            return Err(self.fail(format_args!(
                "wrong number of args for {name}: want {wanted} got {given}"
            )));
        }
        Ok(())
    }

    pub(super) fn call(
        &mut self,
        dot: &Operand,
        name: &str,
        target: Target<'_>,
        node: At<'t>,
        args: &'t [Expr],
        last: Option<Operand>,
    ) -> Result<Operand, Error> {
        let signature = target.signature();
        self.check_count(name, signature, args.len(), last.is_some())?;
        let mut values = self.run.spare.pop().unwrap_or_default();
        self.eval_args(dot, signature, args, last, &mut values)?;
        self.run.step(1)?;
        let result = match target {
            Target::Function(function) => (function.body)(self, &values),
            Target::Method(receiver, method) => (method.call)(self, receiver, &values),
        };
        values.clear();
        self.run.spare.push(values);
        match result {
            Ok(value) => {
                let spent = self.run.spend(value.fresh_bytes());
                spent.inspect_err(|_| self.at = node)?;
                Ok(Operand::concrete(value))
            }
            Err(error) => {
                self.at = node;
                Err(self.fail_with(
                    format_args!("error calling {name}: {error}"),
                    Some(error.clone()),
                ))
            }
        }
    }

    fn eval_args(
        &mut self,
        dot: &Operand,
        signature: Signature,
        args: &'t [Expr],
        last: Option<Operand>,
        values: &mut Vec<Value>,
    ) -> Result<(), Error> {
        let params = signature.params;
        let repeated = params.last().copied().unwrap_or(Type::Any);
        let ty = |at: usize| params.get(at).copied().unwrap_or(repeated);
        for (at, arg) in args.iter().enumerate() {
            let value = self.eval_arg(dot, ty(at), arg)?;
            values.push(value);
        }
        if let Some(last) = last {
            let value = self.validate(last, ty(args.len()))?;
            values.push(value);
        }
        Ok(())
    }
}
