//! Tells a central cluster that leads back to this very gateway: what is sent there comes in here.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The parameter that carries the word.
pub const PARAMETER: &str = "optikon-echo";

/// Words that were sent out, and whether they came in.
#[derive(Debug, Default)]
pub struct Echo {
    words: Mutex<HashMap<String, bool>>,
}

impl Echo {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens for a word, which nobody can guess.
    pub fn expect(&self, word: &str) {
        self.lock().insert(word.to_owned(), false);
    }

    /// Whether it came in; listens for it no more.
    pub fn came_back(&self, word: &str) -> bool {
        self.lock().remove(word).unwrap_or_default()
    }

    /// Looks at the query of a request.
    pub(crate) fn listen(&self, query: &str) {
        let words = query.split('&').filter_map(|pair| pair.split_once('='));
        for (_, word) in words.filter(|(key, _)| *key == PARAMETER) {
            if let Some(is_back) = self.lock().get_mut(word) {
                *is_back = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_that_was_sent_comes_back() {
        let echo = Echo::default();
        echo.expect("a1");
        echo.listen("limit=1&optikon-echo=other");
        echo.listen("echo=a1");
        assert!(!echo.came_back("a1"));
        echo.expect("a1");
        echo.listen("limit=1&optikon-echo=a1");
        assert!(echo.came_back("a1") && !echo.came_back("a1"));
    }
}
