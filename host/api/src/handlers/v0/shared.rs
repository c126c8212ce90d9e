//! Answers that several askers share: the original's page asks twice a second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::body::Bytes;

/// No answer is older.
const FRESH: Duration = Duration::from_secs(2);
/// Selectors remembered at once; more are asked for each time.
const MAX_KEYS: usize = 256;

/// A list, and the clusters that are missing in it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) body: Bytes,
    pub(crate) errors: Vec<(String, String)>,
}

type Slot = Arc<tokio::sync::Mutex<Option<(Instant, Listed)>>>;

/// Lists of releases by what was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<HashMap<String, Slot>>>);

impl Shared {
    /// The list of that key: one asker makes it, the others wait for it or get the last one.
    pub(crate) async fn list<E>(
        &self,
        key: String,
        make: impl Future<Output = Result<Listed, E>>,
    ) -> Result<Listed, E> {
        let slot = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= MAX_KEYS {
                // Those that somebody waits for have a second owner.
                all.retain(|_, slot| Arc::strong_count(slot) > 1);
            }
            all.entry(key).or_default().clone()
        };
        let mut held = slot.lock().await;
        if let Some((at, listed)) = held.as_ref()
            && at.elapsed() < FRESH
        {
            return Ok(listed.clone());
        }
        // Its age counts from before it was made.
        let begun = Instant::now();
        let listed = make.await?;
        *held = Some((begun, listed.clone()));
        Ok(listed)
    }

    /// After a change: what was seen before it is not shown any more.
    pub(crate) fn forget(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn askers_at_once_share_one_look() {
        let (shared, looks) = (Shared::default(), AtomicUsize::new(0));
        let ask = || {
            shared.list("a".into(), async {
                looks.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok::<_, ()>(Listed {
                    body: Bytes::from_static(b"[]"),
                    errors: Vec::new(),
                })
            })
        };
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(looks.load(Ordering::Relaxed), 1);
        shared.forget();
        ask().await.unwrap();
        assert_eq!(looks.load(Ordering::Relaxed), 2);
    }
}
