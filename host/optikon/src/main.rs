//! The gateway and its command line.

mod args;
mod cli;
mod config;
mod keyring;
mod serve;
mod telemetry;
mod world;

use std::process::ExitCode;

use clap::Parser;

// See DESIGN.md, "Why another allocator?".
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(args.run()),
        Err(error) => Err(anyhow::Error::new(error).context("the runtime cannot start")),
    };
    ended.unwrap_or_else(|error| {
        cli::output::complain(&error);
        ExitCode::from(1)
    })
}
