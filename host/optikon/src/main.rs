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

/// `mi_option_purge_delay` of mimalloc.h, which the bindings leave out, and its default in milliseconds.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
const PURGE_DELAY_MS: i64 = 1000;

/// The allocator keeps what was freed for a while, and looks at it again when it is asked next. A gateway that was busy
/// and has nothing to do is not asked.
#[expect(unsafe_code, reason = "the allocator's options are C functions")]
fn give_back_at_once() {
    // SAFETY: both look up a number in the allocator's table of options; nothing else runs yet.
    unsafe {
        // Another value is that of whoever set MIMALLOC_PURGE_DELAY.
        if libmimalloc_sys::mi_option_get(PURGE_DELAY) == PURGE_DELAY_MS {
            libmimalloc_sys::mi_option_set(PURGE_DELAY, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A later version of the allocator may number its options otherwise.
    #[test]
    #[expect(unsafe_code, reason = "the allocator's options are C functions")]
    fn what_is_freed_is_given_back_unless_somebody_says_otherwise() {
        // SAFETY: it looks up a number.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        let before = delay();
        give_back_at_once();
        match std::env::var_os("MIMALLOC_PURGE_DELAY") {
            None => assert_eq!((before, delay()), (PURGE_DELAY_MS, 0)),
            Some(_) => assert_eq!(delay(), before),
        }
    }
}
