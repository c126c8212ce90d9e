//! What one run shares, however many templates call each other in it.

use crate::error::Error;
use crate::limits::Limits;
use crate::value::Value;

/// A value and what Go knows of its type in that place.
#[derive(Clone, Debug, Default)]
pub(super) struct Operand {
    pub(super) value: Value,
    /// Whether the place has the type `interface {}`: an element of an untyped list or map. Decides
    /// what errors say, and whether nil is a nil value or no value at all.
    pub(super) interface: bool,
}

impl Operand {
    /// A value of known type; nil is no value at all.
    pub(super) fn concrete(value: Value) -> Self {
        Self {
            value,
            interface: false,
        }
    }

    /// No value at all, such as a missing key.
    pub(super) fn invalid() -> Self {
        Self::default()
    }
}

/// About where the stack ends now.
#[inline(always)]
fn stack_position() -> usize {
    let marker = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&marker)).addr()
}

/// The budget and the variables of a run.
#[derive(Debug)]
pub(crate) struct Run {
    limits: Limits,
    steps: u64,
    depth: u32,
    bytes: usize,
    stack_start: usize,
    /// Variables of all running templates, innermost last.
    pub(super) variables: Vec<(u32, Operand)>,
    /// Argument lists for using again.
    pub(super) spare: Vec<Vec<Value>>,
}

impl Run {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            steps: limits.steps,
            depth: limits.depth,
            bytes: limits.output_bytes,
            stack_start: stack_position(),
            variables: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Begins another run on the same budget, maybe from another place on the stack.
    pub(crate) fn restart(&mut self) {
        self.stack_start = stack_position();
        self.variables.clear();
    }

    pub(super) fn step(&mut self, count: u64) -> Result<(), Error> {
        match self.steps.checked_sub(count) {
            Some(steps) => {
                self.steps = steps;
                Ok(())
            }
            None => Err(Error::limit(format!(
                "the templates take more than {} steps",
                self.limits.steps
            ))),
        }
    }

    pub(super) fn enter(&mut self) -> Result<(), Error> {
        match self.depth.checked_sub(1) {
            Some(depth)
                if self.stack_start.abs_diff(stack_position()) < self.limits.stack_bytes =>
            {
                self.depth = depth;
                Ok(())
            }
            _ => Err(Error::limit("the templates are nested deeper than allowed")),
        }
    }

    pub(super) fn leave(&mut self) {
        self.depth += 1;
    }

    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                Ok(())
            }
            None => Err(Error::limit(format!(
                "the templates produce more than {} bytes of text",
                self.limits.output_bytes
            ))),
        }
    }
}
