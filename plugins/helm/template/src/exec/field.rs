//! Fields, map keys and methods: everything behind a dot.

use std::rc::Rc;

use super::call::Target;
use super::frame::{At, Frame};
use super::run::Operand;
use crate::collections::{ListType, MapType, NamedType};
use crate::duration;
use crate::error::Error;
use crate::strconv::quote;
use crate::syntax::node::Expr;
use crate::templates::MissingKey;
use crate::value::{Kind, Method, Value};

impl<'t> Frame<'t, '_> {
    /// `.a.b.c` from a receiver; only the last may get arguments.
    pub(super) fn eval_fields(
        &mut self,
        dot: &Operand,
        receiver: &Operand,
        node: &'t Expr,
        names: &'t [Rc<str>],
        args: &'t [Expr],
        last: Option<Operand>,
    ) -> Result<Operand, Error> {
        let Some((final_name, inner)) = names.split_last() else {
            return Ok(receiver.clone());
        };
        let mut holder;
        let mut current = receiver;
        for name in inner {
            holder = self.eval_field(dot, name, node, &[], None, current)?;
            current = &holder;
        }
        self.eval_field(dot, final_name, node, args, last, current)
    }

    fn eval_field(
        &mut self,
        dot: &Operand,
        name: &'t str,
        node: &'t Expr,
        args: &'t [Expr],
        last: Option<Operand>,
        receiver: &Operand,
    ) -> Result<Operand, Error> {
        let value = &receiver.value;
        if let Value::Nil = value {
            return self.field_of_nil(name, receiver.interface);
        }
        if let Some(method) = method(value, name) {
            let target = Target::Method(value, method);
            return self.call(dot, name, target, At::Expr(node), args, last);
        }
        let has_args = !args.is_empty() || last.is_some();
        let interface;
        let found = match value {
            Value::Map(map) => {
                interface = map.ty().holds_interfaces();
                map.get(name)
            }
            Value::Object(object) if object.kind() == Kind::Map => {
                interface = object.element() == "interface {}";
                object.entry(name.as_bytes())
            }
            Value::Object(object) => {
                if let Some(value) = object.field(name) {
                    if has_args {
                        let message =
                            format_args!("{name} has arguments but cannot be invoked as function");
                        return Err(self.fail(message));
                    }
                    return Ok(Operand::concrete(value));
                }
                return Err(self.no_field(name, receiver));
            }
            _ => return Err(self.no_field(name, receiver)),
        };
        if has_args {
            return Err(self.fail(format_args!("{name} is not a method but has arguments")));
        }
        match found {
            Some(value) => Ok(Operand { value, interface }),
            None => self.missing(name, value, interface),
        }
    }

    fn field_of_nil(&self, name: &str, interface: bool) -> Result<Operand, Error> {
        if interface {
            return Err(self.fail(format_args!("nil pointer evaluating interface {{}}.{name}")));
        }
        if self.set.missing_key() == MissingKey::Error {
            let name = quote(name.as_bytes());
            return Err(self.fail(format_args!("nil data; no entry for key {name}")));
        }
        Ok(Operand::invalid())
    }

    fn missing(&self, name: &str, map: &Value, interface: bool) -> Result<Operand, Error> {
        match self.set.missing_key() {
            MissingKey::Invalid => Ok(Operand::invalid()),
            MissingKey::Zero => Ok(Operand {
                value: zero_element(map),
                interface,
            }),
            MissingKey::Error => {
                let name = quote(name.as_bytes());
                Err(self.fail(format_args!("map has no entry for key {name}")))
            }
        }
    }

    #[cold]
    fn no_field(&self, name: &str, receiver: &Operand) -> Error {
        if receiver.interface {
            return self.fail(format_args!(
                "can't evaluate field {name} in type interface {{}}"
            ));
        }
        let ty = receiver.value.type_name();
        self.fail(format_args!("can't evaluate field {name} in type {ty}"))
    }
}

/// The zero value of a map's elements.
pub(crate) fn zero_element(map: &Value) -> Value {
    let element = match map {
        Value::Map(map) => map.ty().element(),
        Value::Object(object) => object.element(),
        _ => return Value::Nil,
    };
    match element {
        "string" => Value::Str("".into()),
        "bool" => Value::Bool(false),
        "int" => Value::Int(0),
        "int64" => Value::Int64(0),
        "float64" => Value::Float(0.0),
        "[]uint8" => Value::Bytes([].into()),
        _ => Value::Nil,
    }
}

fn method(value: &Value, name: &str) -> Option<&'static Method> {
    let named = |named: &'static NamedType| named.methods;
    let methods = match value {
        Value::Object(object) => object.methods(),
        Value::Duration(_) => duration::METHODS,
        Value::Map(map) => match map.ty() {
            MapType::Named(ty) => named(ty),
            MapType::Any | MapType::Str | MapType::Of(_) => return None,
        },
        Value::List(list) => match list.ty() {
            ListType::Named(ty) => named(ty),
            ListType::Any | ListType::Str | ListType::Int | ListType::Of(_) => return None,
        },
        _ => return None,
    };
    methods.iter().find(|method| method.name == name)
}
