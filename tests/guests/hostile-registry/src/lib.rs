//! A registry that does what its configuration says, none of it good.

mod alloc;

use std::cell::RefCell;

use futures::future::join_all;
use optikon_plugin_sdk::{
    Connection, Error, HostKeys, Keys, Method, call, central, clock, config, configuration,
    export_registry,
    kv::Expectation,
    log, random,
    registry::{self, Event, EventReader, Events, Guest, Object, Page},
    upstream,
};

#[derive(serde::Deserialize)]
struct Config {
    #[serde(default)]
    behaviour: String,
}

thread_local! {
    static KEPT: RefCell<Vec<Connection>> = const { RefCell::new(Vec::new()) };
}

fn behaviour() -> String {
    configuration::<Config>()
        .map(|c| c.behaviour)
        .unwrap_or_default()
}

fn object(name: &str) -> Object {
    Object {
        name: name.to_owned(),
        revision: "1".to_owned(),
        json: format!(r#"{{"metadata":{{"name":"{name}","uid":"u-{name}"}}}}"#),
    }
}

/// What the test reads back: in the object's annotation.
fn says(name: &str, text: &str) -> Object {
    Object {
        json: format!(
            r#"{{"metadata":{{"name":"{name}","uid":"u","annotations":{{"says":"{text}"}}}}}}"#
        ),
        ..object(name)
    }
}

fn get_request(path: &str) -> optikon_plugin_sdk::Request {
    optikon_plugin_sdk::api::request(Method::Get, path)
}

fn spin() -> ! {
    loop {
        core::hint::black_box(0);
    }
}

/// Keeps nothing in memory, so that the call stack ends before the guest's own.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if depth == u64::MAX {
        return 0;
    }
    recurse(depth + 1).rotate_left(3) ^ depth
}

async fn behave(name: &str) -> Result<Object, Error> {
    match behaviour().as_str() {
        "spin" => spin(),
        "sleep" => {
            clock::sleep(u32::MAX).await;
            Ok(object(name))
        }
        "memory" => {
            let mut held: Vec<Vec<u8>> = Vec::new();
            loop {
                held.push(vec![1; 1 << 20]);
                core::hint::black_box(&held);
            }
        }
        "hold-memory" => {
            let held = core::hint::black_box(vec![1u8; 16 << 20]);
            clock::sleep(u32::MAX).await;
            core::hint::black_box(&held);
            Ok(object(name))
        }
        "recurse" => Ok(says(name, &recurse(0).to_string())),
        "panic" => panic!("the guest says \u{1b}[31mboom"),
        "allocate-forever" => {
            alloc::trap_next();
            // The host lowers the answer through the allocator, which does not return.
            let text = config::get();
            Ok(says(name, &text.len().to_string()))
        }
        "many-connections" => {
            let mut held = Vec::new();
            loop {
                held.push(central::connect().await?);
            }
        }
        "many-handles" => {
            join_all((0..10_000).map(|_| clock::sleep(u32::MAX))).await;
            Ok(object(name))
        }
        "big-request" => {
            HostKeys
                .put("k", vec![0; 17 << 20], Expectation::Any)
                .await?;
            Ok(object(name))
        }
        "big-result" => Ok(Object {
            json: "x".repeat(17 << 20),
            ..object(name)
        }),
        "big-random" => Ok(says(name, &random::bytes(65_537).len().to_string())),
        "many-requests" => {
            for _ in 0..10_001 {
                HostKeys.get("k").await?;
            }
            Ok(object(name))
        }
        "requests-at-once" => {
            let connection = central::connect().await?;
            let asked = join_all((0..200).map(|_| connection.request(get_request("/api")))).await;
            let answered = asked.iter().filter(|a| a.is_ok()).count();
            Ok(says(name, &answered.to_string()))
        }
        "held-bytes" => {
            let connection = central::connect().await?;
            // The bodies are made one after the other: the host holds them, not the guest.
            let asked = join_all((0..40).map(|_| async {
                let mut request = get_request("/api");
                request.body = vec![7; 3 << 20];
                connection.request(request).await
            }));
            let answered = asked.await.iter().filter(|a| a.is_ok()).count();
            Ok(says(name, &answered.to_string()))
        }
        "big-answer" => {
            let connection = central::connect().await?;
            let reason = match connection.request(get_request("/big")).await {
                Ok(_) => "answered".to_owned(),
                Err(fault) => fault.reason,
            };
            Ok(says(name, &reason))
        }
        "log-flood" => {
            for n in 0..5_000 {
                log::info!("line {n}\nsecond \u{1b}[31mline"; "key" = "value");
            }
            Ok(object(name))
        }
        "keep-connection" => {
            let had = KEPT.with_borrow(Vec::len);
            let fresh = central::connect().await?;
            KEPT.with_borrow_mut(|kept| kept.push(fresh));
            Ok(says(name, &had.to_string()))
        }
        "keep-lines" => {
            let connection = central::connect().await?;
            let lines = connection
                .lines(get_request("/watch"))
                .await
                .map_err(Error::from)?;
            std::mem::forget(lines);
            Ok(object(name))
        }
        "count-calls" => {
            use std::sync::atomic::{AtomicU32, Ordering};
            static CALLS: AtomicU32 = AtomicU32::new(0);
            let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(says(name, &calls.to_string()))
        }
        "config" => Ok(says(name, &config::get().replace('"', "'"))),
        "remaining" => Ok(says(name, &call::remaining_ms().unwrap_or(0).to_string())),
        "upstream" => {
            let reason = match upstream::connect("inventory".to_owned()).await {
                Ok(_) => "connected".to_owned(),
                Err(fault) => fault.reason,
            };
            Ok(says(name, &reason))
        }
        "other-name" => Ok(object("somebody-else")),
        "no-json" => Ok(Object {
            json: "[".repeat(100_000),
            ..object(name)
        }),
        "empty-revision" => Ok(Object {
            revision: String::new(),
            ..object(name)
        }),
        "internal" => Err(Error::internal("my fault\nindeed")),
        _ => Ok(object(name)),
    }
}

struct Hostile;

impl Guest for Hostile {
    fn supported() -> Vec<String> {
        vec!["watch".to_owned(), "time-travel".to_owned()]
    }

    async fn check() -> Result<(), Error> {
        Ok(())
    }

    async fn list_clusters(_: String, limit: u32, _: Option<String>) -> Result<Page, Error> {
        let items = match behaviour().as_str() {
            "unsorted" => vec![object("b"), object("a")],
            "twice" => vec![object("a"), object("a")],
            "too-many" => (0..=limit).map(|n| object(&format!("c{n:05}"))).collect(),
            _ => vec![object("a"), object("b")],
        };
        Ok(Page {
            items,
            revision: "1".to_owned(),
            next: None,
            remaining: None,
        })
    }

    async fn get(name: String) -> Result<Object, Error> {
        behave(&name).await
    }

    async fn create(_: String, _: bool) -> Result<Object, Error> {
        Err(Error::already_exists("taken"))
    }

    async fn update(_: String, _: Option<String>, _: bool) -> Result<Object, Error> {
        Err(Error::conflict("changed", Some("7".to_owned())))
    }

    async fn set_status(
        _: String,
        _: String,
        _: String,
        _: Option<String>,
    ) -> Result<Object, Error> {
        Err(Error::unsupported("no status"))
    }

    async fn delete(
        _: String,
        _: Option<String>,
        _: Option<String>,
        _: bool,
    ) -> Result<Object, Error> {
        Err(Error::not_found("not here"))
    }

    async fn watch(_: String, _: Option<String>) -> Result<EventReader, Error> {
        let behaviour = behaviour();
        if behaviour == "watch-sleep" {
            clock::sleep(u32::MAX).await;
        }
        if behaviour == "watch-refused" {
            return Err(Error::expired("too old"));
        }
        Ok(registry::stream(async move |mut out| {
            let mut n = 0u64;
            while out.send(Ok(Event::Bookmark(n.to_string()))).await {
                n += 1;
                match behaviour.as_str() {
                    "watch-endless" => {}
                    "watch-spin" if n == 3 => spin(),
                    "watch-panic" if n == 3 => panic!("in the middle"),
                    "watch-expired" if n == 3 => {
                        out.send(Err(Error::expired("list again"))).await;
                        return;
                    }
                    _ if n == 3 => return,
                    _ => {}
                }
            }
        }))
    }
}

export_registry!(Hostile);
