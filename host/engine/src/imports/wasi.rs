//! WASI with nothing in it, for guests in languages that cannot do without: no files, environment, arguments or network;
//! clock and dice are the world's, output is the bounded log.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use optikon_core::ports::World;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView,
    cli::{IsTerminal, StdoutStream},
};

use super::log::Lines;
use crate::{bindings::host::optikon::host::log::Level, state::Ctx};

/// A line longer than this is written in parts.
const MAX_LINE_BYTES: usize = 4 * 1024;
/// Random bytes in one call.
const MAX_RANDOM_BYTES: u64 = 65_536;

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (shared, lines) = (&self.shared, &self.serving.lines);
        let ctx = self.wasi.get_or_insert_with(|| empty(&shared.world, lines));
        WasiCtxView {
            ctx,
            table: &mut self.table,
        }
    }
}

fn empty(world: &Arc<dyn World>, lines: &Arc<Lines>) -> WasiCtx {
    let mut seed = [0; 16];
    world.random(&mut seed);
    WasiCtx::builder()
        .stdout(Output::new(lines, Level::Info))
        .stderr(Output::new(lines, Level::Warn))
        .secure_random(Dice(Arc::clone(world)))
        .insecure_random(Dice(Arc::clone(world)))
        .insecure_random_seed(u128::from_le_bytes(seed))
        .max_random_size(MAX_RANDOM_BYTES)
        .wall_clock(Wall(Arc::clone(world)))
        .monotonic_clock(Monotonic(Instant::now()))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

struct Dice(Arc<dyn World>);

impl rand_core::TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.random(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.random(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        self.0.random(buffer);
        Ok(())
    }
}

struct Wall(Arc<dyn World>);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now_ms())
    }
}

struct Monotonic(Instant);

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Output becomes log lines.
#[derive(Clone)]
struct Output {
    lines: Arc<Lines>,
    level: Level,
    begun: Arc<Mutex<Vec<u8>>>,
}

impl Output {
    fn new(lines: &Arc<Lines>, level: Level) -> Self {
        Self {
            lines: Arc::clone(lines),
            level,
            begun: Arc::default(),
        }
    }

    fn write(&self, bytes: &[u8]) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            if *byte != b'\n' {
                begun.push(*byte);
            }
            if *byte == b'\n' || begun.len() >= MAX_LINE_BYTES {
                let line = std::mem::take(&mut *begun);
                self.lines
                    .write(self.level, &String::from_utf8_lossy(&line), &[]);
            }
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
