//! The part of the parser that reads what stands in an action: pipelines, commands, operands.

use super::literal::Number;
use super::node::{Command, Expr, Names, Pipe, StrLiteral, Term};
use super::parse::Parser;
use super::token::{Kind, Token};
use crate::error::Error;
use crate::strconv::{quote, unquote};

type Result<T> = std::result::Result<T, Error>;

impl<'a> Parser<'_, 'a> {
    /// Reads up to and including a token of the kind `end`.
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe> {
        let mut pipe = Pipe {
            pos: self.peek_non_space().pos,
            assigns: false,
            variables: Vec::new(),
            commands: Vec::new(),
        };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.backup();
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return Err(self.unexpected(&token, context)),
            }
        }
        if pipe.commands.is_empty() {
            return Err(self.error(format_args!("missing value for {context}")));
        }
        // Only the first command may be something that cannot take the result of another.
        let literal = |command: &Command| {
            matches!(
                command.first.term,
                Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::Str(_)
            )
        };
        if let Some(at) = pipe.commands.iter().skip(1).position(literal) {
            return Err(self.error(format_args!(
                "non executable command in pipeline stage {}",
                at + 2
            )));
        }
        Ok(pipe)
    }

    /// Reads `$x :=`, `$x =` or, in a range, `$i, $x :=`.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<()> {
        while self.peek_non_space().kind == Kind::Variable {
            let name = self.next();
            let after = self.peek();
            let next = self.peek_non_space();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.assigns = next.kind == Kind::Assign;
                    self.next_non_space();
                    self.push_variable(pipe, &name);
                    return Ok(());
                }
                Kind::Char if next.text == "," => {
                    self.next_non_space();
                    self.push_variable(pipe, &name);
                    if context != "range" || pipe.variables.len() >= 2 {
                        return Err(self.error(format_args!("too many declarations in {context}")));
                    }
                    if !matches!(
                        self.peek_non_space().kind,
                        Kind::Variable | Kind::RightDelim | Kind::RightParen
                    ) {
                        return Err(self.error("range can only initialize variables"));
                    }
                }
                _ if after.kind == Kind::Space => {
                    self.backup3(name, after);
                    return Ok(());
                }
                _ => {
                    self.backup2(name);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn push_variable(&mut self, pipe: &mut Pipe, token: &Token<'_>) {
        let variable = self.declare(&token.text);
        pipe.variables.push(variable);
    }

    /// Reads operands up to a pipe symbol, which is taken, or the end of the pipeline, which is not.
    fn command(&mut self) -> Result<Command> {
        let pos = self.peek_non_space().pos;
        let mut operands = Vec::new();
        loop {
            self.peek_non_space();
            operands.extend(self.operand()?);
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.backup(),
                Kind::Pipe => {}
                _ => return Err(self.unexpected(&token, "operand")),
            }
            break;
        }
        let mut operands = operands.into_iter();
        let first = operands.next().ok_or_else(|| self.error("empty command"))?;
        let args = operands.collect();
        Ok(Command { pos, first, args })
    }

    /// A term and the fields behind it; `None` when the next token is no term.
    fn operand(&mut self) -> Result<Option<Expr>> {
        let Some(mut expr) = self.term()? else {
            return Ok(None);
        };
        if self.peek_kind() != Kind::Field {
            return Ok(Some(expr));
        }
        let pos = self.peek().pos;
        let mut fields = Vec::new();
        while self.peek_kind() == Kind::Field {
            fields.extend(names(&self.next().text));
        }
        let extended = |own: Names| {
            own.into_vec()
                .into_iter()
                .chain(fields.iter().cloned())
                .collect()
        };
        expr = match expr.term {
            Term::Field(own) => Expr {
                pos,
                term: Term::Field(extended(own)),
            },
            Term::Variable(variable, own) => Expr {
                pos,
                term: Term::Variable(variable, extended(own)),
            },
            Term::Bool(_) | Term::Str(_) | Term::Number(_) | Term::Nil | Term::Dot => {
                let term = quote(expr.to_string().as_bytes());
                return Err(self.error(format_args!("unexpected . after term {term}")));
            }
            Term::Function(_) | Term::Chain(..) | Term::Pipe(_) => Expr {
                pos,
                term: Term::Chain(Box::new(expr), fields.into()),
            },
        };
        Ok(Some(expr))
    }

    fn term(&mut self) -> Result<Option<Expr>> {
        let token = self.next_non_space();
        let term = match token.kind {
            Kind::Identifier => Term::Function(self.find_function(&token.text)?),
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Variable => self.known_variable(&token.text)?,
            Kind::Field => Term::Field(names(&token.text).collect()),
            Kind::Bool => Term::Bool(token.text == "true"),
            Kind::CharConstant => self.number(Number::from_char(&token.text))?,
            Kind::Number | Kind::Complex => self.number(Number::from_digits(&token.text))?,
            Kind::LeftParen => {
                self.enter()?;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.leave();
                return Ok(Some(Expr {
                    pos: pipe.pos,
                    term: Term::Pipe(Box::new(pipe)),
                }));
            }
            Kind::String | Kind::RawString => {
                let text = unquote(&token.text).ok_or_else(|| self.error("invalid syntax"))?;
                Term::Str(Box::new(StrLiteral {
                    written: token.text.into(),
                    text,
                }))
            }
            _ => {
                self.backup();
                return Ok(None);
            }
        };
        Ok(Some(Expr {
            pos: token.pos,
            term,
        }))
    }

    fn number(&self, number: std::result::Result<Number, String>) -> Result<Term> {
        let number = number.map_err(|message| self.error(message))?;
        Ok(Term::Number(Box::new(number)))
    }

    fn known_variable(&self, name: &str) -> Result<Term> {
        let known = self
            .variables
            .iter()
            .find(|variable| &*variable.name == name);
        let known = known.cloned();
        known
            .map(|variable| Term::Variable(variable, Names::default()))
            .ok_or_else(|| {
                self.error(format_args!(
                    "undefined variable {}",
                    quote(name.as_bytes())
                ))
            })
    }
}

/// The names in `.a.b`.
fn names(text: &str) -> impl Iterator<Item = std::rc::Rc<str>> {
    text.split('.').skip(1).map(Into::into)
}
