//! Limits that only hand-written components cross: what compilers emit has few tables and instances.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use optikon_core::{
    Error, Result,
    error::FailureKind,
    ports::{Call, ChangeStream, Entry, Expectation, Kv, Scan, World},
    words::SlotName,
};
use tokio::sync::Semaphore;
use wasmtime::{
    Engine, Store,
    component::{Component, InstancePre, Linker},
};

use crate::{
    Limits, NoPeers,
    call::{Loaded, Role},
    gate::Gate,
    pool,
    state::{Ctx, Shared},
    stats::Stats,
};

/// A component without a world.
struct Raw;

impl Role for Raw {
    type Pre = InstancePre<Ctx>;

    fn prepare(pre: InstancePre<Ctx>) -> wasmtime::Result<Self::Pre> {
        Ok(pre)
    }

    fn begin<'a>(
        pre: &'a Self::Pre,
        store: &'a mut Store<Ctx>,
    ) -> BoxFuture<'a, wasmtime::Result<Self>> {
        Box::pin(async move { pre.instantiate_async(store).await.map(|_| Self) })
    }
}

#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Kv for Nothing {
    async fn get(&self, _: &SlotName, _: &str) -> Result<Option<Entry>> {
        Ok(None)
    }
    async fn scan(&self, _: &SlotName, _: &str, _: u32, _: Option<String>) -> Result<Scan> {
        Err(Error::Unsupported("no keys".into()))
    }
    async fn put(&self, _: &SlotName, _: &str, _: Vec<u8>, _: Expectation) -> Result<u64> {
        Err(Error::Unsupported("no keys".into()))
    }
    async fn delete(&self, _: &SlotName, _: &str, _: Expectation) -> Result<u64> {
        Err(Error::Unsupported("no keys".into()))
    }
    async fn watch(&self, _: &SlotName, _: &str, _: Option<u64>) -> Result<ChangeStream> {
        Err(Error::Unsupported("no keys".into()))
    }
}

impl World for Nothing {
    fn now_ms(&self) -> u64 {
        0
    }
    fn random(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

/// Fails as often as it is told to because the kernel is busy.
struct Busy;

impl Role for Busy {
    type Pre = Arc<AtomicU32>;

    fn prepare(_: InstancePre<Ctx>) -> wasmtime::Result<Self::Pre> {
        Ok(Arc::default())
    }

    fn begin<'a>(
        left: &'a Self::Pre,
        _: &'a mut Store<Ctx>,
    ) -> BoxFuture<'a, wasmtime::Result<Self>> {
        let one_less = |left: u32| left.checked_sub(1);
        let left = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        let made = match left {
            Ok(_) => Err(io::Error::from(io::ErrorKind::ResourceBusy).into()),
            Err(_) => Ok(Self),
        };
        Box::pin(async { made })
    }
}

async fn instantiate(wat: &str, limits: Limits) -> Result<()> {
    let engine = pool::engine(4, limits.memory_bytes).unwrap();
    let component = Component::new(&engine, wat::parse_str(wat).unwrap()).unwrap();
    let pre = Linker::new(&engine).instantiate_pre(&component).unwrap();
    begin::<Raw>(engine, pre, limits).await
}

/// A call that makes an instance and nothing else.
async fn begin<R: Role>(engine: Engine, pre: R::Pre, limits: Limits) -> Result<()> {
    let _ticker = pool::tick(&engine).unwrap();
    let shared = Arc::new(Shared {
        slot: "prober".parse().unwrap(),
        plugin: "raw".parse().unwrap(),
        digest: "sha256:0".into(),
        config: "{}".into(),
        secrets: optikon_core::words::Secret::new(serde_json::Value::Null),
        central: Vec::new(),
        central_name: None,
        kv: Arc::new(Nothing),
        peers: Arc::new(NoPeers),
        world: Arc::new(Nothing),
        progress: Arc::default(),
        memory: Arc::new(Semaphore::new(1 << 14)),
        memory_total: 1 << 30,
        memory_held: 0.into(),
        limits,
    });
    let loaded = Arc::new(Loaded::<R> {
        pre,
        instances: Arc::new(Semaphore::new(4)),
        gate: Gate::new(&shared.limits),
        stats: Stats::default(),
        warm: Mutex::default(),
        engine,
        shared,
    });
    loaded
        .serve(Call::client(), "instantiate", |_, _| {
            Box::pin(async { Ok(Ok(())) })
        })
        .await
}

fn crossed(error: Error) -> (&'static str, String) {
    match error {
        Error::Plugin(failure) => match failure.kind {
            FailureKind::Limit { limit, value } => (limit, value),
            other => panic!("{other:?}: {}", failure.message),
        },
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn table_elements_are_counted() {
    let grows = |by: u64| {
        format!(
            "(component (core module $m (table $t 0 funcref)
               (func $start (drop (table.grow $t (ref.null func) (i32.const {by}))))
               (start $start)) (core instance (instantiate $m)))"
        )
    };
    for table_elements in [Limits::default().table_elements, 100] {
        let limits = || Limits {
            table_elements,
            ..Limits::default()
        };
        instantiate(&grows(table_elements), limits()).await.unwrap();
        let error = instantiate(&grows(table_elements + 1), limits())
            .await
            .unwrap_err();
        assert_eq!(
            crossed(error),
            ("table-elements", table_elements.to_string())
        );
    }
}

#[tokio::test]
async fn core_instances_are_counted() {
    let many = |count: u64| {
        let one = "(core instance (instantiate $m))";
        format!(
            "(component (core module $m) {})",
            one.repeat(count as usize)
        )
    };
    for instances in [Limits::default().instances, 3] {
        let limits = || Limits {
            instances,
            ..Limits::default()
        };
        instantiate(&many(instances), limits()).await.unwrap();
        let error = instantiate(&many(instances + 1), limits())
            .await
            .unwrap_err();
        assert_eq!(crossed(error), ("instances", instances.to_string()));
    }
}

#[tokio::test]
async fn a_component_that_loops_before_it_is_called_is_stopped() {
    let wat = "(component (core module $m (func $start (loop (br 0))) (start $start)) (core instance (instantiate $m)))";
    let limits = Limits {
        cpu_ms: 20,
        ..Limits::default()
    };
    let error = instantiate(wat, limits).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(message) if message.contains("cpu-ms = 20")));
}

#[tokio::test]
async fn several_memories_are_counted_together() {
    let one = "(core instance (instantiate $m))";
    let wat = |count: usize| {
        format!(
            "(component (core module $m (memory 16)) {})",
            one.repeat(count)
        )
    };
    let limits = || Limits {
        memory_bytes: 3 << 19,
        ..Limits::default()
    };
    instantiate(&wat(1), limits()).await.unwrap();
    let error = instantiate(&wat(2), limits()).await.unwrap_err();
    assert_eq!(crossed(error), ("memory-bytes", (3 << 19).to_string()));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_the_kernel_is_too_busy_for_is_tried_again_for_a_second() {
    let limits = Limits::default();
    for (failures, is_made) in [(0, true), (4, true), (5, false)] {
        let engine = pool::engine(4, limits.memory_bytes).unwrap();
        let left = Arc::new(AtomicU32::new(failures));
        let begun = begin::<Busy>(engine, left.clone(), limits.clone()).await;
        assert_eq!(begun.is_ok(), is_made, "{failures}: {begun:?}");
        assert_eq!(left.load(Ordering::SeqCst), 0, "{failures}");
    }
}
