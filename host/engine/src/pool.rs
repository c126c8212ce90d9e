//! The wasmtime engine and its settings. What each costs and why stands beside it.

use std::{sync::mpsc, thread, time::Duration};

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits::to_usize;

/// How often a running guest yields. Shorter costs throughput, longer lets a loop run over its budget by as much.
const TICK: Duration = Duration::from_millis(5);
/// Pages that stay mapped in a freed slot: what a small plugin touches.
const KEEP_MEMORY_BYTES: usize = 256 * 1024;
/// … of tables and stacks.
const KEEP_OTHER_BYTES: usize = 16 * 1024;

/// What a guest's calls may nest, in native frames. Address space; memory only where it was touched.
const WASM_STACK_BYTES: usize = 4 * 1024 * 1024;
/// … and what the host's side of a call gets beyond it.
const HOST_STACK_BYTES: usize = 1024 * 1024;

/// Core instances of one component. What wit-component makes has up to four, other tools make more; the slot's limit
/// `instances` is usually below.
const CORE_INSTANCES: u32 = 64;
/// Memories of one component; compilers make one.
const MEMORIES: u32 = 2;
/// Tables of one component; compilers make one, and wit-component one for its shims.
const TABLES: u32 = 8;

/// The thread that makes running guests yield. Ends with its owner.
#[derive(Debug)]
pub(crate) struct Ticker {
    _stop: mpsc::Sender<()>,
}

fn config() -> Config {
    let mut config = Config::new();
    // Epochs, not fuel: a tenth instead of a third of a guest's speed, and CPU time is measured outside anyway.
    config.epoch_interruption(true);
    // Templates may include each other 1,000 levels deep before Helm refuses them; the usual 512 KiB end before.
    config.max_wasm_stack(WASM_STACK_BYTES);
    config.async_stack_size(WASM_STACK_BYTES + HOST_STACK_BYTES);
    config
}

fn pooling(instances: u32, memory_bytes: u64) -> PoolingAllocationConfig {
    let of_all = |each: u32| instances.saturating_mul(each);
    let mut pool = PoolingAllocationConfig::new();
    // Totals are the maxima of one component times all instances: whatever one plugin is made of, the others find their
    // place. Places cost address space, not memory.
    pool.total_component_instances(instances)
        .max_core_instances_per_component(CORE_INSTANCES)
        .total_core_instances(of_all(CORE_INSTANCES))
        .max_memories_per_component(MEMORIES)
        .total_memories(of_all(MEMORIES))
        .max_memory_size(to_usize(memory_bytes))
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .total_tables(of_all(TABLES))
        .total_stacks(of_all(2))
        .linear_memory_keep_resident(KEEP_MEMORY_BYTES)
        .table_keep_resident(KEEP_OTHER_BYTES)
        .async_stack_keep_resident(KEEP_OTHER_BYTES)
        // Resets a slot by what was touched; without it a fresh instance costs twice as much.
        .pagemap_scan(Enabled::Auto);
    pool
}

/// An engine with a pool of `instances`; without one where the address space does not suffice.
pub(crate) fn engine(instances: u32, memory_bytes: u64) -> wasmtime::Result<Engine> {
    let mut with_pool = config();
    let pool = pooling(instances, memory_bytes);
    with_pool.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&with_pool).or_else(|error| {
        tracing::warn!(error = %format!("{error:#}"), instances, "no pool of instances; each is mapped when it is needed");
        Engine::new(&config())
    })
}

/// Ticks on a thread of its own until the ticker is dropped: a busy runtime must not be able to stop it.
pub(crate) fn tick(engine: &Engine) -> std::io::Result<Ticker> {
    let (stop, stopped) = mpsc::channel();
    let engine = engine.weak();
    thread::Builder::new()
        .name("optikon-epoch".to_owned())
        .spawn(move || {
            while stopped.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })?;
    Ok(Ticker { _stop: stop })
}
