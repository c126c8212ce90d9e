//! Generated from `wit/`: the host's interfaces once, then one module per world that shares them.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::allow_attributes_without_reason,
    clippy::undocumented_unsafe_blocks,
    reason = "generated code"
)]

/// What the host offers. A plugin links only what it calls.
pub mod imports {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/host"],
        inline: r#"
            package optikon:sdk@0.1.0;
            world imports {
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
        world: "optikon:sdk/imports",
        // Called in the middle of a rendering, which is no async code: the guest waits, the host does not.
        async: [
            "-import:optikon:host/keys@0.1.0#generate",
            "-import:optikon:host/keys@0.1.0#public-key",
            "-import:optikon:host/keys@0.1.0#sign",
        ],
        generate_all,
        generate_unused_types: true,
        additional_derives: [Clone, PartialEq],
    });
}

/// The world of a plugin that keeps the registry.
#[cfg(feature = "registry")]
pub mod registry {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/host", "../../wit/registry"],
        world: "optikon:registry/registry",
        with: {
            "optikon:common/types@0.1.0": crate::bindings::imports::optikon::common::types,
            "optikon:host/log@0.1.0": crate::bindings::imports::optikon::host::log,
            "optikon:host/config@0.1.0": crate::bindings::imports::optikon::host::config,
            "optikon:host/call@0.1.0": crate::bindings::imports::optikon::host::call,
            "optikon:host/clock@0.1.0": crate::bindings::imports::optikon::host::clock,
            "optikon:host/random@0.1.0": crate::bindings::imports::optikon::host::random,
            "optikon:host/kv@0.1.0": crate::bindings::imports::optikon::host::kv,
            "optikon:host/kube@0.1.0": crate::bindings::imports::optikon::host::kube,
            "optikon:host/central@0.1.0": crate::bindings::imports::optikon::host::central,
            "optikon:host/upstream@0.1.0": crate::bindings::imports::optikon::host::upstream,
        },
        generate_unused_types: true,
        pub_export_macro: true,
        export_macro_name: "export_registry",
        default_bindings_module: "optikon_plugin_sdk::bindings::registry",
        additional_derives: [Clone, PartialEq],
    });
}

/// The world of a plugin that looks at members.
#[cfg(feature = "prober")]
pub mod prober {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/host", "../../wit/prober"],
        world: "optikon:prober/prober",
        with: {
            "optikon:common/types@0.1.0": crate::bindings::imports::optikon::common::types,
            "optikon:host/log@0.1.0": crate::bindings::imports::optikon::host::log,
            "optikon:host/config@0.1.0": crate::bindings::imports::optikon::host::config,
            "optikon:host/call@0.1.0": crate::bindings::imports::optikon::host::call,
            "optikon:host/clock@0.1.0": crate::bindings::imports::optikon::host::clock,
            "optikon:host/kube@0.1.0": crate::bindings::imports::optikon::host::kube,
        },
        generate_unused_types: true,
        pub_export_macro: true,
        export_macro_name: "export_prober",
        default_bindings_module: "optikon_plugin_sdk::bindings::prober",
        additional_derives: [Clone, PartialEq],
    });
}

/// The world of a plugin that keeps releases of charts.
#[cfg(feature = "charts")]
pub mod charts {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/host", "../../wit/charts"],
        world: "optikon:charts/charts",
        with: {
            "optikon:common/types@0.1.0": crate::bindings::imports::optikon::common::types,
            "optikon:host/log@0.1.0": crate::bindings::imports::optikon::host::log,
            "optikon:host/config@0.1.0": crate::bindings::imports::optikon::host::config,
            "optikon:host/call@0.1.0": crate::bindings::imports::optikon::host::call,
            "optikon:host/clock@0.1.0": crate::bindings::imports::optikon::host::clock,
            "optikon:host/random@0.1.0": crate::bindings::imports::optikon::host::random,
            "optikon:host/keys@0.1.0": crate::bindings::imports::optikon::host::keys,
            "optikon:host/progress@0.1.0": crate::bindings::imports::optikon::host::progress,
            "optikon:host/kube@0.1.0": crate::bindings::imports::optikon::host::kube,
            "optikon:host/facts@0.1.0": crate::bindings::imports::optikon::host::facts,
            "optikon:host/grpc@0.1.0": crate::bindings::imports::optikon::host::grpc,
        },
        generate_unused_types: true,
        pub_export_macro: true,
        export_macro_name: "export_charts",
        default_bindings_module: "optikon_plugin_sdk::bindings::charts",
        additional_derives: [Clone, PartialEq],
    });
}
