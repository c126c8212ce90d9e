//! `cargo xtask`: the only tool a newcomer needs.
#![allow(clippy::print_stderr, reason = "the command line speaks to people")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use optikon_xtask::commands::{bench, check, demo, parity, plugins, run, test, testbed};
use optikon_xtask::folders::Folders;

/// Builds, runs, tests and checks Optikon.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    Run(run::Args),
    Demo(demo::Args),
    Test(test::Args),
    Check(check::Args),
    Plugins(plugins::Args),
    Testbed(testbed::Args),
    Bench(bench::Args),
    Parity(parity::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let folders = Folders::here();
    let outcome = match &cli.command {
        Task::Run(args) => run::run(&folders, args),
        Task::Demo(args) => demo::run(&folders, args),
        Task::Test(args) => test::run(&folders, args),
        Task::Check(args) => check::run(&folders, args),
        Task::Plugins(args) => plugins::run(&folders, args),
        Task::Testbed(args) => testbed::run(&folders, args),
        Task::Bench(args) => bench::run(&folders, args),
        Task::Parity(args) => parity::run(&folders, args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
