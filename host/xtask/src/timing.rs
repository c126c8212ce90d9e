//! Minutes per part: what a long command prints at its end.

use std::time::{Duration, Instant};

use crate::say;

/// The parts of one command, in order, with what each took.
#[derive(Debug)]
pub struct Parts {
    begun: Instant,
    parts: Vec<(String, Duration)>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            parts: Vec::new(),
        }
    }
}

impl Parts {
    /// Does the part, and notes its time also when it fails.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn part<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        say(name);
        let begun = Instant::now();
        let outcome = work();
        self.parts.push((name.to_owned(), begun.elapsed()));
        outcome
    }

    /// Prints the table.
    pub fn print(&self) {
        println!();
        println!("minutes  part");
        for (name, took) in &self.parts {
            println!("{:>7.1}  {name}", minutes(*took));
        }
        println!("{:>7.1}  all", minutes(self.begun.elapsed()));
    }
}

fn minutes(time: Duration) -> f64 {
    time.as_secs_f64() / 60.0
}
