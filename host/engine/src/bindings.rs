//! Generated from `wit/`: the host's interfaces once, each role's world on top of them.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    clippy::allow_attributes_without_reason,
    clippy::large_futures,
    reason = "generated code"
)]

/// What plugins import.
pub(crate) mod host {
    wasmtime::component::bindgen!({
        path: ["../../wit/common", "../../wit/host"],
        inline: r#"
            package optikon:engine@0.1.0;
            world host {
                import optikon:common/types@0.1.0;
                import optikon:host/log@0.1.0;
                import optikon:host/config@0.1.0;
                import optikon:host/call@0.1.0;
                import optikon:host/clock@0.1.0;
                import optikon:host/random@0.1.0;
                import optikon:host/kv@0.1.0;
                import optikon:host/kube@0.1.0;
                import optikon:host/central@0.1.0;
                import optikon:host/upstream@0.1.0;
                import optikon:host/keys@0.1.0;
                import optikon:host/progress@0.1.0;
                import optikon:host/facts@0.1.0;
                import optikon:host/grpc@0.1.0;
            }
        "#,
        world: "optikon:engine/host",
        imports: {
            "optikon:host/clock.sleep": async | store | trappable,
            "optikon:host/kv.get": async | store | trappable,
            "optikon:host/kv.scan": async | store | trappable,
            "optikon:host/kv.put": async | store | trappable,
            "optikon:host/kv.delete": async | store | trappable,
            "optikon:host/kv.watch": async | store | trappable,
            "optikon:host/kube.[method]connection.request": async | store | trappable,
            "optikon:host/kube.[method]connection.lines": async | store | trappable,
            "optikon:host/kube.[method]connection.mapping": async | store | trappable,
            "optikon:host/central.connect": async | store | trappable,
            "optikon:host/upstream.connect": async | store | trappable,
            "optikon:host/keys.generate": async | store | trappable,
            "optikon:host/keys.public-key": async | store | trappable,
            "optikon:host/keys.sign": async | store | trappable,
            "optikon:host/grpc.dial": async | store | trappable,
            "optikon:host/grpc.[method]channel.unary": async | store | trappable,
            "optikon:host/grpc.[method]channel.server-stream": async | store | trappable,
            default: trappable,
        },
        with: {
            "optikon:host/kube.connection": crate::state::Link,
            "optikon:host/facts.target": crate::noted::Target,
            "optikon:host/grpc.channel": crate::imports::grpc::Dialled,
        },
    });
}

/// The registry's world.
pub(crate) mod registry {
    wasmtime::component::bindgen!({
        path: ["../../wit/common", "../../wit/host", "../../wit/registry"],
        world: "optikon:registry/registry",
        with: {
            "optikon:common": crate::bindings::host::optikon::common,
            "optikon:host": crate::bindings::host::optikon::host,
        },
        exports: { "optikon:registry/clusters.supported": async | store, default: async },
    });
}

/// The prober's world.
pub(crate) mod prober {
    wasmtime::component::bindgen!({
        path: ["../../wit/common", "../../wit/host", "../../wit/prober"],
        world: "optikon:prober/prober",
        with: {
            "optikon:common": crate::bindings::host::optikon::common,
            "optikon:host": crate::bindings::host::optikon::host,
        },
        exports: { default: async },
    });
}

/// The world of charts backends.
pub(crate) mod charts {
    wasmtime::component::bindgen!({
        path: ["../../wit/common", "../../wit/host", "../../wit/charts"],
        world: "optikon:charts/charts",
        with: {
            "optikon:common": crate::bindings::host::optikon::common,
            "optikon:host": crate::bindings::host::optikon::host,
        },
        exports: { default: async },
    });
}
