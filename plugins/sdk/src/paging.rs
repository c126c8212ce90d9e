//! Pages whose items are filtered after they were fetched.

use crate::Error;

/// A fetched page before its items were looked at.
#[derive(Debug, Clone)]
pub struct Fetched<R> {
    /// At most as many as were asked for.
    pub items: Vec<R>,
    /// The snapshot's revision.
    pub revision: String,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// What is left of one or several fetched pages.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept<T> {
    /// At most `limit`.
    pub items: Vec<T>,
    /// The snapshot's revision.
    pub revision: String,
    /// The source's own token: no raw item was fetched that this page does not account for.
    pub next: Option<String>,
}

/// The most items of one page, whatever was asked for.
pub const MAX_PAGE: u32 = 1_000;

/// Fetches until the page is at least half full, or the source ends. Never asks for more raw items than still fit, so that
/// the source's token is the page's token.
///
/// # Errors
/// Those of `fetch` and `keep`.
pub async fn filtered<R, T>(
    limit: u32,
    next: Option<String>,
    fetch: impl AsyncFn(u32, Option<String>) -> Result<Fetched<R>, Error>,
    mut keep: impl FnMut(R) -> Result<Option<T>, Error>,
) -> Result<Kept<T>, Error> {
    let limit = limit.clamp(1, MAX_PAGE);
    let mut items = Vec::new();
    let mut token = next;
    loop {
        let taken = u32::try_from(items.len()).unwrap_or(limit);
        let page = fetch(limit.saturating_sub(taken).max(1), token).await?;
        for raw in page.items {
            items.extend(keep(raw)?);
        }
        let is_full_enough = items.len() * 2 >= limit as usize;
        if page.next.is_none() || is_full_enough {
            return Ok(Kept {
                items,
                revision: page.revision,
                next: page.next,
            });
        }
        token = page.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    async fn numbers(limit: u32, next: Option<String>) -> Result<Fetched<u32>, Error> {
        let from: u32 = next.map_or(0, |n| n.parse().unwrap());
        let to = (from + limit).min(100);
        Ok(Fetched {
            items: (from..to).collect(),
            revision: "7".into(),
            next: (to < 100).then(|| to.to_string()),
        })
    }

    #[test]
    fn every_match_is_on_exactly_one_page() {
        for limit in [1, 2, 7, 100, 5_000] {
            let (mut seen, mut next) = (Vec::new(), None);
            loop {
                let keep = |n: u32| Ok(n.is_multiple_of(9).then_some(n));
                let page = filtered(limit, next, numbers, keep)
                    .now_or_never()
                    .unwrap()
                    .unwrap();
                assert!(page.items.len() <= limit as usize);
                seen.extend(page.items);
                next = page.next;
                if next.is_none() {
                    break;
                }
            }
            assert_eq!(
                seen,
                (0..100)
                    .filter(|n: &u32| n.is_multiple_of(9))
                    .collect::<Vec<_>>()
            );
        }
    }
}
