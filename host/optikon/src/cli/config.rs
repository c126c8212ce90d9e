//! `optikon config check`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use optikon_engine::{EngineConfig, check_filling};

use super::output::{say, warn};
use crate::{
    config::{self, Config},
    serve,
};

/// Lists every error with its line, then what keeps plugins from filling their slots.
pub(crate) async fn check(file: Option<&Path>, plugins: Option<&Path>) -> Result<ExitCode> {
    let config = match config::read(file) {
        Ok(config) => config,
        Err(problems) => {
            for problem in &problems {
                warn(problem);
            }
            return Ok(ExitCode::from(1));
        }
    };
    let folder = serve::plugins_folder(plugins, &config)?;
    let slots = tokio::task::spawn_blocking(move || slots(&config, &EngineConfig::new(folder)));
    let problems = slots.await??;
    for problem in &problems {
        warn(problem);
    }
    if !problems.is_empty() {
        return Ok(ExitCode::from(1));
    }
    say("the configuration is valid");
    Ok(ExitCode::SUCCESS)
}

fn slots(config: &Config, engine: &EngineConfig) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (slot, filling) in serve::fillings(config)? {
        let filling = filling.and_then(|filling| {
            let file = PathBuf::from(format!("{}.wasm", filling.plugin));
            Ok(serve::for_engine(&slot, &filling, &file)?)
        });
        match filling {
            Err(error) => found.push(format!("{error:#}")),
            Ok(filling) => {
                let problems = check_filling(engine, &slot, &filling);
                let line = |p: &optikon_core::ports::Invalidity| {
                    format!("plugins.slots.{slot}: {}: {}", p.what, p.message)
                };
                found.extend(problems.iter().map(line));
            }
        }
    }
    Ok(found)
}
