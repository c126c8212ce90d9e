//! The part of the parser that reads tokens and puts up to three back, as Go's does.

use super::parse::Parser;
use super::token::{Kind, Token};

impl<'a> Parser<'_, 'a> {
    pub(super) fn next(&mut self) -> Token<'a> {
        if self.peeked > 0 {
            self.peeked -= 1;
        } else if let Some(first) = self.token.first_mut() {
            *first = self.shared.lexer.next_token();
        }
        self.current()
    }

    fn current(&self) -> Token<'a> {
        let [first, second, third] = &self.token;
        match self.peeked {
            0 => first.clone(),
            1 => second.clone(),
            _ => third.clone(),
        }
    }

    pub(super) fn backup(&mut self) {
        self.peeked += 1;
    }

    /// Goes back before `before`, which came right before the last token read.
    pub(super) fn backup2(&mut self, before: Token<'a>) {
        let [_, second, _] = &mut self.token;
        *second = before;
        self.peeked = 2;
    }

    /// Goes back before `first`, which was followed by `second` and the last token read.
    pub(super) fn backup3(&mut self, first: Token<'a>, second: Token<'a>) {
        let [_, middle, last] = &mut self.token;
        *middle = second;
        *last = first;
        self.peeked = 3;
    }

    pub(super) fn peek(&mut self) -> Token<'a> {
        let token = self.next();
        self.backup();
        token
    }

    pub(super) fn peek_kind(&mut self) -> Kind {
        if self.peeked == 0 {
            if let Some(first) = self.token.first_mut() {
                *first = self.shared.lexer.next_token();
            }
            self.peeked = 1;
        }
        let [first, second, third] = &self.token;
        match self.peeked {
            1 => first.kind,
            2 => second.kind,
            _ => third.kind,
        }
    }

    pub(super) fn next_non_space(&mut self) -> Token<'a> {
        while self.peek_kind() == Kind::Space {
            self.next();
        }
        self.next()
    }

    pub(super) fn peek_non_space(&mut self) -> Token<'a> {
        let token = self.next_non_space();
        self.backup();
        token
    }

    pub(super) fn peek_kind_non_space(&mut self) -> Kind {
        while self.peek_kind() == Kind::Space {
            self.next();
        }
        self.peek_kind()
    }
}
