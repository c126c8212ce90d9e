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
    give_back_at_once();
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

/// The allocator keeps what was freed for a while, and looks at it again when it is asked next. A gateway that was busy
/// and has nothing to do is not asked.
#[expect(unsafe_code, reason = "the allocator's options are C functions")]
fn give_back_at_once() {
    /// `mi_option_purge_delay` of mimalloc.h, which the bindings leave out, and its default in milliseconds.
    const PURGE_DELAY: (libmimalloc_sys::mi_option_t, i64) = (15, 1000);
    let (option, default) = PURGE_DELAY;
    // SAFETY: both look up a number in the allocator's table of options; nothing else runs yet.
    unsafe {
        // Another value is that of whoever set MIMALLOC_PURGE_DELAY.
        if libmimalloc_sys::mi_option_get(option) == default {
            libmimalloc_sys::mi_option_set(option, 0);
        }
    }
}
