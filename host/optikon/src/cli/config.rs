//! `optikon config check`.

use std::{path::Path, process::ExitCode};

use super::output::{say, warn};
use crate::config;

/// Lists every error with its line.
pub(crate) fn check(file: Option<&Path>) -> ExitCode {
    match config::read(file) {
        Ok(_) => {
            say("the configuration is valid");
            ExitCode::SUCCESS
        }
        Err(problems) => {
            for problem in &problems {
                warn(problem);
            }
            ExitCode::from(1)
        }
    }
}
