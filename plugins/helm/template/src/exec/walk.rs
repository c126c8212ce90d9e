//! Goes through the nodes of a tree and writes what they give.

use super::frame::{At, Frame, execute_into};
use super::run::Operand;
use crate::error::Error;
use crate::fmt;
use crate::strconv::quote;
use crate::syntax::node::{Branch, Call, Node, Pipe};
use crate::text::Str;
use crate::value::{Kind, Value};

/// How a list of nodes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

impl<'t> Frame<'t, '_> {
    pub(super) fn walk(&mut self, dot: &Operand, nodes: &'t [Node]) -> Result<Flow, Error> {
        self.run.enter()?;
        for node in nodes {
            self.run.step(1)?;
            let flow = match node {
                Node::Text(text) => {
                    self.run.spend(text.len())?;
                    self.out.extend_from_slice(text.as_bytes());
                    continue;
                }
                Node::Action(pipe) => {
                    self.walk_action(dot, pipe)?;
                    continue;
                }
                Node::If(branch) => self.walk_if(dot, branch)?,
                Node::With(branch) => self.walk_with(dot, branch)?,
                Node::Range(branch) => self.walk_range(dot, branch)?,
                Node::Template(call) => {
                    self.walk_call(dot, call)?;
                    continue;
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                self.run.leave();
                return Ok(flow);
            }
        }
        self.run.leave();
        Ok(Flow::Next)
    }

    fn walk_action(&mut self, dot: &Operand, pipe: &'t Pipe) -> Result<(), Error> {
        let operand = self.eval_pipe(dot, pipe)?;
        if !pipe.variables.is_empty() {
            return Ok(());
        }
        let before = self.out.len();
        match &operand.value {
            Value::Nil => self.out.extend_from_slice(b"<no value>"),
            Value::Str(text) => self.out.extend_from_slice(text.as_bytes()),
            value => match addressed_text(value) {
                Some(text) => self.out.extend_from_slice(text.as_bytes()),
                None => fmt::write_value(self.out, value)?,
            },
        }
        let spent = self.run.spend(self.out.len() - before);
        spent.inspect_err(|_| self.at = At::Pipe(pipe))
    }

    fn walk_if(&mut self, dot: &Operand, branch: &'t Branch) -> Result<Flow, Error> {
        let mark = self.run.variables.len();
        let truth = self.eval_pipe(dot, &branch.pipe)?.value.is_true();
        let flow = match (truth, &branch.otherwise) {
            (true, _) => self.walk(dot, &branch.body)?,
            (false, Some(nodes)) => self.walk(dot, nodes)?,
            (false, None) => Flow::Next,
        };
        self.run.variables.truncate(mark);
        Ok(flow)
    }

    fn walk_with(&mut self, dot: &Operand, branch: &'t Branch) -> Result<Flow, Error> {
        let mark = self.run.variables.len();
        let operand = self.eval_pipe(dot, &branch.pipe)?;
        let flow = match (operand.value.is_true(), &branch.otherwise) {
            (true, _) => self.walk(&operand, &branch.body)?,
            (false, Some(nodes)) => self.walk(dot, nodes)?,
            (false, None) => Flow::Next,
        };
        self.run.variables.truncate(mark);
        Ok(flow)
    }

    fn walk_range(&mut self, dot: &Operand, branch: &'t Branch) -> Result<Flow, Error> {
        let mark = self.run.variables.len();
        let over = self.eval_pipe(dot, &branch.pipe)?;
        let mut flow = Flow::Next;
        if !self.range(branch, &over.value)?
            && let Some(nodes) = &branch.otherwise
        {
            // A break here belongs to the loop around, but Go ends this one with it.
            if self.walk(dot, nodes)? == Flow::Continue {
                flow = Flow::Continue;
            }
        }
        self.run.variables.truncate(mark);
        Ok(flow)
    }

    /// Runs the body for each element; false when there is none.
    fn range(&mut self, branch: &'t Branch, over: &Value) -> Result<bool, Error> {
        if let Some(plain) = over.behind() {
            return self.range(branch, &plain);
        }
        match over {
            Value::Nil => return Ok(false),
            Value::List(list) => {
                let interface = list.ty().holds_interfaces();
                for (at, value) in list.items().iter().enumerate() {
                    let value = value.clone();
                    let key = || Value::Int(i64::try_from(at).unwrap_or(i64::MAX));
                    if !self.round(branch, key, &Operand { value, interface })? {
                        break;
                    }
                }
                return Ok(!list.is_empty());
            }
            Value::Map(map) => {
                let interface = map.ty().holds_interfaces();
                let entries = map.to_vec();
                let any = !entries.is_empty();
                for (key, value) in entries {
                    if !self.round(branch, || Value::Str(key), &Operand { value, interface })? {
                        break;
                    }
                }
                return Ok(any);
            }
            Value::Bytes(bytes) => {
                for (at, byte) in bytes.iter().enumerate() {
                    let key = || Value::Int(i64::try_from(at).unwrap_or(i64::MAX));
                    if !self.round(branch, key, &Operand::concrete(Value::Uint8(*byte)))? {
                        break;
                    }
                }
                return Ok(!bytes.is_empty());
            }
            Value::Object(object) if object.kind() == Kind::Map => {
                let interface = object.element() == "interface {}";
                let entries = object.entries();
                let any = !entries.is_empty();
                for (key, value) in entries {
                    if !self.round(branch, || Value::Str(key), &Operand { value, interface })? {
                        break;
                    }
                }
                return Ok(any);
            }
            _ => {}
        }
        if let Some(count) = over.as_signed() {
            return self.range_numbers(branch, over, count, |at| match over {
                Value::Int64(_) => Value::Int64(at),
                Value::Int32(_) => i32::try_from(at).map_or(Value::Int64(at), Value::Int32),
                Value::Duration(_) => Value::Duration(at),
                _ => Value::Int(at),
            });
        }
        if let Some(count) = over.as_unsigned() {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            return self.range_numbers(branch, over, count, |at| match over {
                Value::Uint8(_) => u8::try_from(at).map_or(Value::Int64(at), Value::Uint8),
                Value::Uint32(_) => u32::try_from(at).map_or(Value::Int64(at), Value::Uint32),
                _ => u64::try_from(at).map_or(Value::Int64(at), Value::Uint64),
            });
        }
        let shown = fmt::sprint(std::slice::from_ref(over))?;
        Err(self.fail(format_args!("range can't iterate over {shown}")))
    }

    fn range_numbers(
        &mut self,
        branch: &'t Branch,
        over: &Value,
        count: i64,
        element: impl Fn(i64) -> Value,
    ) -> Result<bool, Error> {
        if branch.pipe.variables.len() > 1 {
            let shown = fmt::sprint(std::slice::from_ref(over))?;
            return Err(self.fail(format_args!(
                "can't use {shown} to iterate over more than one variable"
            )));
        }
        for at in 0..count {
            if !self.round(branch, || Value::Nil, &Operand::concrete(element(at)))? {
                break;
            }
        }
        Ok(count > 0)
    }

    /// One round of a loop; false after a break.
    fn round(
        &mut self,
        branch: &'t Branch,
        key: impl FnOnce() -> Value,
        element: &Operand,
    ) -> Result<bool, Error> {
        self.run.step(1)?;
        let pipe = &branch.pipe;
        match pipe.variables.as_slice() {
            [] => {}
            [only] if pipe.assigns => self.assign(only.id, &only.name, element.clone())?,
            [first, second, ..] if pipe.assigns => {
                self.assign(first.id, &first.name, Operand::concrete(key()))?;
                self.assign(second.id, &second.name, element.clone())?;
            }
            [_] => self.set_from_top(1, element.clone()),
            [..] => {
                self.set_from_top(1, element.clone());
                self.set_from_top(2, Operand::concrete(key()));
            }
        }
        let mark = self.run.variables.len();
        let flow = self.walk(element, &branch.body)?;
        self.run.variables.truncate(mark);
        Ok(flow != Flow::Break)
    }

    fn set_from_top(&mut self, from_top: usize, operand: Operand) {
        if let Some((_, slot)) = self.run.variables.iter_mut().nth_back(from_top - 1) {
            *slot = operand;
        }
    }

    fn walk_call(&mut self, dot: &Operand, call: &'t Call) -> Result<(), Error> {
        self.at = At::Call(call);
        let Some(template) = call.name.as_str().and_then(|name| self.set.lookup(name)) else {
            let name = quote(call.name.as_bytes());
            return Err(self.fail(format_args!("template {name} not defined")));
        };
        let dot = match &call.pipe {
            Some(pipe) => self.eval_pipe(dot, pipe)?,
            None => Operand::invalid(),
        };
        execute_into(self.run, self.out, self.set, template.tree(), &dot)
    }
}

/// See [`crate::Object::addressed_text`].
fn addressed_text(value: &Value) -> Option<Str> {
    match value {
        Value::Object(object) => object.addressed_text(),
        _ => None,
    }
}
