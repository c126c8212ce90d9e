//! Every row of the limit table: a guest crosses it, and a lowered key moves the end.

use std::{sync::atomic::Ordering, time::Duration};

use futures::FutureExt;
use optikon_core::{
    Error,
    ports::{Call, Plugins as _},
};
use optikon_engine::{EngineConfig, Limits};

use crate::{
    fakes::Log,
    harness::{Bench, config, name},
};

fn default() -> Limits {
    Limits::default()
}

fn timeout(error: Error) -> String {
    match error {
        Error::Timeout(message) => message,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_loop_ends_when_its_cpu_time_is_used() {
    for cpu_ms in [20, 60] {
        let bench = Bench::new(
            "spin",
            Limits {
                cpu_ms,
                ..default()
            },
        )
        .await;
        let message = timeout(bench.get().await.unwrap_err());
        assert!(message.contains(&format!("cpu-ms = {cpu_ms}")), "{message}");
        bench.is_unharmed().await;
    }
}

#[tokio::test]
async fn a_loop_in_the_allocation_callback_ends_as_any_other() {
    let limits = Limits {
        cpu_ms: 30,
        ..default()
    };
    let bench = Bench::new("allocate-forever", limits).await;
    let message = timeout(bench.get().await.unwrap_err());
    assert!(message.contains("cpu-ms = 30"), "{message}");
    bench.is_unharmed().await;
}

#[tokio::test]
async fn a_sleeper_ends_at_its_wall_time_or_at_the_callers_deadline() {
    for wall_ms in [10, 40] {
        let bench = Bench::new(
            "sleep",
            Limits {
                wall_ms,
                ..default()
            },
        )
        .await;
        let message = timeout(bench.get().await.unwrap_err());
        assert!(
            message.contains(&format!("wall-ms = {wall_ms}")),
            "{message}"
        );
        bench.is_unharmed().await;
    }
    let bench = Bench::new("sleep", default()).await;
    let hasty = Call::client().within(Duration::from_millis(10));
    timeout(
        bench
            .registry
            .get(hasty, &name("edge-1"))
            .await
            .unwrap_err(),
    );
}

#[tokio::test]
async fn a_plugin_sees_how_long_it_has() {
    let bench = Bench::new(
        "remaining",
        Limits {
            wall_ms: 5_000,
            ..default()
        },
    )
    .await;
    let left: u64 = bench.says().await.parse().unwrap();
    assert!((1..=5_000).contains(&left), "{left}");
}

#[tokio::test]
async fn memory_ends_at_the_slots_limit() {
    for memory_bytes in [default().memory_bytes, 8 << 20] {
        let bench = Bench::new(
            "memory",
            Limits {
                memory_bytes,
                ..default()
            },
        )
        .await;
        assert_eq!(
            bench.crossed().await,
            ("memory-bytes".into(), memory_bytes.to_string())
        );
    }
}

#[tokio::test]
async fn calls_queue_for_the_memory_of_all_guests() {
    let config = EngineConfig {
        memory_total_bytes: 24 << 20,
        ..config()
    };
    let limits = Limits {
        wall_ms: 300,
        ..default()
    };
    let bench = Bench::with(config, "hold-memory", limits).await;
    let (first, second) = tokio::join!(bench.get(), bench.get());
    // Both want 16 of 24 MiB: one holds them until its time is over, the other waits for them, and neither traps.
    timeout(first.unwrap_err());
    timeout(second.unwrap_err());
    assert!(
        bench
            .engine
            .metrics()
            .iter()
            .all(|slot| slot.memory_bytes == 0),
        "given back"
    );
    bench.is_unharmed().await;
}

#[tokio::test]
async fn connections_of_a_call_are_counted() {
    for resources in [default().resources, 10] {
        // Each connection is a component handle as well.
        let limits = Limits {
            resources,
            handles: 2 * default().handles,
            ..default()
        };
        let bench = Bench::new("many-connections", limits).await;
        assert_eq!(
            bench.crossed().await,
            ("resources".into(), resources.to_string())
        );
    }
}

#[tokio::test]
async fn component_handles_are_counted() {
    for handles in [default().handles, 100] {
        let bench = Bench::new(
            "many-handles",
            Limits {
                handles,
                ..default()
            },
        )
        .await;
        assert_eq!(
            bench.crossed().await,
            ("handles".into(), handles.to_string())
        );
    }
}

#[tokio::test]
async fn bytes_from_guest_to_host_are_counted_in_calls_and_results() {
    for behaviour in ["big-request", "big-result"] {
        for hostcall_bytes in [default().hostcall_bytes, 1 << 20] {
            let bench = Bench::new(
                behaviour,
                Limits {
                    hostcall_bytes,
                    ..default()
                },
            )
            .await;
            assert_eq!(
                bench.crossed().await,
                ("hostcall-bytes".into(), hostcall_bytes.to_string())
            );
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_a_fault() {
    let bench = Bench::new("big-answer", default()).await;
    assert_eq!(bench.says().await, "too-large");
    let roomy = Limits {
        response_bytes: 20 << 20,
        ..default()
    };
    assert_eq!(
        Bench::new("big-answer", roomy).await.says().await,
        "answered"
    );
}

#[tokio::test]
async fn requests_at_once_queue() {
    for requests_at_once in [default().requests_at_once, 3] {
        let bench = Bench::new(
            "requests-at-once",
            Limits {
                requests_at_once,
                ..default()
            },
        )
        .await;
        assert_eq!(bench.says().await, "200", "all are answered");
        let most = bench.peers.peer.most_at_once.load(Ordering::SeqCst);
        assert_eq!(most as u64, requests_at_once);
    }
}

#[tokio::test]
async fn requests_of_a_call_are_counted() {
    for requests_per_call in [default().requests_per_call, 7] {
        let bench = Bench::new(
            "many-requests",
            Limits {
                requests_per_call,
                ..default()
            },
        )
        .await;
        let expected = ("requests-per-call".into(), requests_per_call.to_string());
        assert_eq!(bench.crossed().await, expected);
    }
}

#[tokio::test]
async fn bytes_that_the_host_holds_are_counted() {
    for held_bytes in [default().held_bytes, 8 << 20] {
        let bench = Bench::new(
            "held-bytes",
            Limits {
                held_bytes,
                ..default()
            },
        )
        .await;
        assert_eq!(
            bench.crossed().await,
            ("held-bytes".into(), held_bytes.to_string())
        );
        let most = bench.peers.peer.most_at_once.load(Ordering::SeqCst) as u64;
        assert!(
            most * (3 << 20) <= held_bytes,
            "{most} bodies were under way"
        );
    }
    let roomy = Limits {
        held_bytes: 200 << 20,
        ..default()
    };
    assert_eq!(Bench::new("held-bytes", roomy).await.says().await, "40");
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_said() {
    for (log_lines, log_bytes, kept) in [(200, 64 << 10, 200), (10, 64 << 10, 10), (200, 0, 0)] {
        let log = Log::capture();
        let limits = Limits {
            log_lines,
            log_bytes,
            ..default()
        };
        Bench::new("log-flood", limits).await.get().await.unwrap();
        let lines = log.lines();
        assert_eq!(
            lines.iter().filter(|l| l.starts_with("line ")).count(),
            kept
        );
        let dropped = format!("{} log lines of this call were dropped", 5_000 - kept);
        assert_eq!(lines.last(), Some(&dropped));
        assert!(
            lines.iter().all(|line| !line.contains(char::is_control)),
            "escaped"
        );
    }
}

#[tokio::test]
async fn random_bytes_in_one_call_are_bounded() {
    let bench = Bench::new("big-random", default()).await;
    let error = bench.get().await.unwrap_err().to_string();
    assert!(error.contains("at most 65536"), "{error}");
}

#[tokio::test]
async fn clients_beyond_the_queue_are_told_to_come_again_and_the_background_is_not() {
    let limits = Limits {
        client_calls: 1,
        client_queue: 0,
        background_calls: 1,
        ..default()
    };
    let bench = Bench::new("sleep", limits).await;
    let mut first = Box::pin(bench.get());
    assert!((&mut first).now_or_never().is_none(), "serves");
    assert!(matches!(bench.get().await, Err(Error::Busy { .. })));
    bench.registry.check(Call::background()).await.unwrap();
    drop(first);
    bench.is_unharmed().await;
}
