//! A prober that looks around in WASI and says what it found.

use optikon_plugin_sdk::{
    Connection, Error, export_prober,
    prober::{Depth, Guest, Observation, Verdict},
};

mod wasi {
    wit_bindgen::generate!({
        inline: r#"
            package optikon:wasi-guest;
            world around {
                import wasi:cli/environment@0.2.0;
                import wasi:filesystem/preopens@0.2.0;
                import wasi:clocks/wall-clock@0.2.0;
                import wasi:random/random@0.2.0;
                import wasi:cli/stdout@0.2.0;
            }
            package wasi:cli@0.2.0 {
                interface environment {
                    get-environment: func() -> list<tuple<string, string>>;
                    get-arguments: func() -> list<string>;
                    initial-cwd: func() -> option<string>;
                }
                interface stdout {
                    use wasi:io/streams@0.2.0.{output-stream};
                    get-stdout: func() -> output-stream;
                }
            }
            package wasi:io@0.2.0 {
                interface error { resource error; }
                interface streams {
                    use error.{error};
                    variant stream-error { last-operation-failed(error), closed }
                    resource output-stream {
                        blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
                    }
                }
            }
            package wasi:filesystem@0.2.0 {
                interface types { resource descriptor; }
                interface preopens {
                    use types.{descriptor};
                    get-directories: func() -> list<tuple<descriptor, string>>;
                }
            }
            package wasi:clocks@0.2.0 {
                interface wall-clock {
                    record datetime { seconds: u64, nanoseconds: u32 }
                    now: func() -> datetime;
                }
            }
            package wasi:random@0.2.0 {
                interface random { get-random-bytes: func(len: u64) -> list<u8>; }
            }
        "#,
        world: "optikon:wasi-guest/around",
        generate_all,
    });
}

use wasi::wasi::{
    cli::{environment, stdout},
    clocks::wall_clock,
    filesystem::preopens,
    random::random,
};

struct Around;

impl Guest for Around {
    async fn probe(_: Connection, _: Depth) -> Result<Observation, Error> {
        let written = stdout::get_stdout().blocking_write_and_flush(b"hello from wasi\n");
        let message = format!(
            "environment {} arguments {} folders {} cwd {} seconds {} dice {:?} stdout {}",
            environment::get_environment().len(),
            environment::get_arguments().len(),
            preopens::get_directories().len(),
            environment::initial_cwd().is_some(),
            wall_clock::now().seconds,
            random::get_random_bytes(4),
            written.is_ok(),
        );
        Ok(Observation {
            verdict: Verdict::Ready,
            reason: String::new(),
            message,
            status: "{}".to_owned(),
        })
    }
}

export_prober!(Around);
