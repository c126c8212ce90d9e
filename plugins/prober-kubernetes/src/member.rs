//! Asks one member, within the time that is left and within bounds.

use optikon_plugin_sdk::{Fault, Method, Request, Requester, Response};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{problem::Problem, time::Time};

/// Kept back to put the answer together.
const RESERVE_MS: u64 = 300;
/// Less than this is not worth a request.
const LEAST_MS: u64 = 50;
/// For one list, also when its pages have to be small.
const MAX_REQUESTS: u32 = 160;
/// Items a page.
const PAGE_ITEMS: u32 = 500;

/// A connection with a clock.
#[derive(Debug)]
pub struct Member<'a, C, T> {
    /// The API server.
    pub connection: &'a C,
    /// The time.
    pub time: &'a T,
}

impl<C, T> Clone for Member<'_, C, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C, T> Copy for Member<'_, C, T> {}

/// What to ask for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    /// The path.
    pub path: &'a str,
    /// Query parameters beside those of paging.
    pub query: &'a [(&'a str, &'a str)],
    /// Forms that are smaller than the plain objects; a server that knows none of them is asked for those.
    pub accept: Option<&'a str>,
    /// The most time for one request; none for all that is left.
    pub at_most_ms: Option<u64>,
    /// The most items of a list, counted as asked for; 0 for one page.
    pub items: u64,
}

/// `metadata` of a list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMeta {
    /// Where the next page begins.
    pub r#continue: Option<String>,
    /// How many follow, where the server says so.
    pub remaining_item_count: Option<u64>,
}

/// One page of a list in any form.
pub trait Page: DeserializeOwned {
    /// Its `metadata`.
    fn metadata(&self) -> &ListMeta;
}

/// How far a list was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    /// Whether at least one page came.
    pub is_answered: bool,
    /// Why not all of it came.
    pub problem: Option<Problem>,
}

impl<C: Requester, T: Time> Member<'_, C, T> {
    /// One request; any status is an answer. Out of time is a fault as well.
    ///
    /// # Errors
    /// The connection's faults.
    pub async fn request(&self, ask: Ask<'_>) -> Result<Response, Fault> {
        let mut request = Request {
            method: Method::Get,
            path: ask.path.to_owned(),
            query: ask
                .query
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            accept: ask.accept.map(str::to_owned),
            content_type: None,
            body: Vec::new(),
            timeout_ms: Some(self.timeout_ms(ask)?),
        };
        let answer = self.connection.request(request.clone()).await?;
        if answer.status == 406 && request.accept.take().is_some() {
            request.timeout_ms = Some(self.timeout_ms(ask)?);
            return self.connection.request(request).await;
        }
        Ok(answer)
    }

    fn timeout_ms(&self, ask: Ask<'_>) -> Result<u32, Fault> {
        let left = self
            .time
            .remaining_ms()
            .map_or(u64::MAX, |left| left.saturating_sub(RESERVE_MS));
        if left < LEAST_MS {
            let problem = Problem::out_of_time(&format!("GET {}", ask.path));
            return Err(Fault {
                reason: "timeout".into(),
                message: problem.message,
                phase_ms: Vec::new(),
            });
        }
        let most = ask.at_most_ms.unwrap_or(left).min(left);
        Ok(u32::try_from(most).unwrap_or(u32::MAX))
    }

    /// One request that must be answered 2xx.
    ///
    /// # Errors
    /// What was wrong.
    pub async fn get(&self, ask: Ask<'_>) -> Result<Response, Problem> {
        let answer = self
            .request(ask)
            .await
            .map_err(|fault| Problem::of_fault(&fault))?;
        if (200..300).contains(&answer.status) {
            Ok(answer)
        } else {
            Err(Problem::of_status(&format!("GET {}", ask.path), &answer))
        }
    }

    /// One object or page, parsed.
    ///
    /// # Errors
    /// What was wrong.
    pub async fn read<P: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<P, Problem> {
        let answer = self.get(ask).await?;
        serde_json::from_slice(&answer.body).map_err(|e| {
            Problem::new(
                "NotKubernetes",
                &format!("the answer to GET {} cannot be read: {e}", ask.path),
            )
        })
    }

    /// A list, page by page; what came before a problem counts. A page that is too large is asked for in smaller ones.
    pub async fn list<P: Page>(&self, ask: Ask<'_>, mut take: impl FnMut(P)) -> Read {
        let (mut read, mut limit, mut next) = (Read::default(), PAGE_ITEMS, None::<String>);
        let (mut asked, mut requests) = (0, 0);
        loop {
            let text = limit.to_string();
            let mut query = ask.query.to_vec();
            query.push(("limit", &text));
            query.extend(next.as_deref().map(|token| ("continue", token)));
            let page: P = match self
                .read(Ask {
                    query: &query,
                    ..ask
                })
                .await
            {
                Ok(page) => page,
                Err(problem) if problem.reason == "TooLarge" && limit > 4 => {
                    limit /= 2;
                    continue;
                }
                Err(problem) => {
                    read.problem = Some(problem);
                    return read;
                }
            };
            read.is_answered = true;
            asked += u64::from(limit);
            requests += 1;
            let following = page
                .metadata()
                .r#continue
                .clone()
                .filter(|token| !token.is_empty());
            take(page);
            let is_enough = asked >= ask.items || requests >= MAX_REQUESTS;
            if following.is_some() && is_enough {
                let said = format!(
                    "GET {} has more items than {asked}: the rest is left out",
                    ask.path
                );
                read.problem = Some(Problem::new("TooLarge", &said));
                return read;
            }
            if following.is_none() {
                return read;
            }
            next = following;
        }
    }
}
