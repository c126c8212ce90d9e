//! An API server of recorded answers.

use std::{cell::RefCell, collections::BTreeMap, collections::VecDeque};

use crate::{Fault, Lines, Mapping, Method, Refusal, Request, Requester, Response};

/// Answers what it was told to, 404 to everything else, and remembers what it was asked.
#[derive(Debug, Default)]
pub struct FakeApi {
    answers: BTreeMap<(String, String), Result<Response, Fault>>,
    asked: RefCell<Vec<Request>>,
}

fn word(method: Method) -> String {
    let word = match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    };
    word.to_owned()
}

impl FakeApi {
    /// Nothing but 404.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers `method` (as in `GET`) on `path` with a status and a JSON body, whatever the query is.
    #[must_use]
    pub fn answer(
        mut self,
        method: &str,
        path: &str,
        status: u16,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        let response = Response {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.into(),
            phase_ms: Vec::new(),
        };
        self.answers
            .insert((method.to_owned(), path.to_owned()), Ok(response));
        self
    }

    /// Fails `method` on `path` with a fault of this reason.
    #[must_use]
    pub fn fail(mut self, method: &str, path: &str, reason: &str) -> Self {
        let fault = Fault {
            reason: reason.to_owned(),
            message: format!("{method} {path} failed"),
            phase_ms: Vec::new(),
        };
        self.answers
            .insert((method.to_owned(), path.to_owned()), Err(fault));
        self
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Request> {
        self.asked.borrow().clone()
    }
}

impl Requester for FakeApi {
    type Lines = VecDeque<Result<Vec<u8>, Fault>>;

    async fn request(&self, request: Request) -> Result<Response, Fault> {
        let key = (word(request.method), request.path.clone());
        self.asked.borrow_mut().push(request);
        self.answers.get(&key).cloned().unwrap_or_else(|| {
            Ok(Response {
                status: 404,
                headers: Vec::new(),
                body: br#"{"kind":"Status","reason":"NotFound","message":"not found"}"#.to_vec(),
                phase_ms: Vec::new(),
            })
        })
    }

    async fn lines(&self, request: Request) -> Result<Self::Lines, Refusal> {
        match self.request(request).await {
            Err(fault) => Err(Refusal::Fault(fault)),
            Ok(answer) if !(200..300).contains(&answer.status) => Err(Refusal::Refused(answer)),
            Ok(answer) => {
                let lines = answer.body.split(|b| *b == b'\n');
                let lines = lines.filter(|l| !l.is_empty());
                Ok(lines.map(|l| Ok(l.to_vec())).collect())
            }
        }
    }

    async fn mapping(
        &self,
        _group: &str,
        _version: &str,
        _kind: &str,
    ) -> Result<Option<Mapping>, Fault> {
        Ok(None)
    }
}

impl Lines for VecDeque<Result<Vec<u8>, Fault>> {
    async fn next(&mut self) -> Option<Result<Vec<u8>, Fault>> {
        self.pop_front()
    }
}
