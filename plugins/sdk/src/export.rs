//! The one line that makes a component of a crate.

/// Run at the first call of an instance: a panic's text would be lost with the trap that it becomes.
#[doc(hidden)]
pub fn start() {
    use std::sync::Once;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            crate::log::write(crate::log::Level::Error, &format!("panic: {info}"), &[]);
        }));
    });
}

/// Exports a type that implements [`registry::Guest`](crate::registry::Guest) as a component. Does nothing natively.
#[cfg(feature = "registry")]
#[macro_export]
macro_rules! export_registry {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the component model's entry points")]
        const _: () = {
            struct Exported;
            impl $crate::registry::Guest for Exported {
                fn supported() -> Vec<String> {
                    $crate::__start();
                    <$plugin as $crate::registry::Guest>::supported()
                }
                async fn check() -> Result<(), $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::registry::Guest>::check().await
                }
                async fn list_clusters(selector: String, limit: u32, next: Option<String>) -> Result<$crate::registry::Page, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::registry::Guest>::list_clusters(selector, limit, next).await
                }
                async fn get(name: String) -> Result<$crate::registry::Object, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::registry::Guest>::get(name).await
                }
                async fn create(json: String, dry_run: bool) -> Result<$crate::registry::Object, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::registry::Guest>::create(json, dry_run).await
                }
                async fn update(json: String, expect: Option<String>, dry_run: bool) -> Result<$crate::registry::Object, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::registry::Guest>::update(json, expect, dry_run).await
                }
                async fn set_status(name: String, uid: String, conditions: String, expect: Option<String>) -> Result<$crate::registry::Object, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::registry::Guest>::set_status(name, uid, conditions, expect).await
                }
                async fn delete(name: String, uid: Option<String>, expect: Option<String>, dry_run: bool) -> Result<$crate::registry::Object, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::registry::Guest>::delete(name, uid, expect, dry_run).await
                }
                async fn watch(selector: String, after: Option<String>) -> Result<$crate::registry::EventReader, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::registry::Guest>::watch(selector, after).await
                }
            }
            $crate::bindings::registry::export_registry!(Exported with_types_in $crate::bindings::registry);
        };
    };
}

/// Exports a type that implements [`prober::Guest`](crate::prober::Guest) as a component. Does nothing natively.
#[cfg(feature = "prober")]
#[macro_export]
macro_rules! export_prober {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the component model's entry points")]
        const _: () = {
            struct Exported;
            impl $crate::prober::Guest for Exported {
                async fn probe(cluster: $crate::Connection, depth: $crate::prober::Depth) -> Result<$crate::prober::Observation, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::prober::Guest>::probe(cluster, depth).await
                }
            }
            $crate::bindings::prober::export_prober!(Exported with_types_in $crate::bindings::prober);
        };
    };
}

/// Exports a type that implements [`charts::Guest`](crate::charts::Guest) as a component. Does nothing natively.
#[cfg(feature = "charts")]
#[macro_export]
macro_rules! export_charts {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the component model's entry points")]
        const _: () = {
            struct Exported;
            impl $crate::charts::Guest for Exported {
                async fn describe(archive: Vec<u8>) -> Result<String, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::describe(archive).await
                }
                async fn prepare(archive: Vec<u8>, values: Vec<String>, target: $crate::charts::Target, cluster: Option<$crate::Connection>) -> Result<$crate::charts::Plan, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::prepare(archive, values, target, cluster).await
                }
                async fn install(cluster: $crate::Connection, target: $crate::charts::Target, plan: Vec<u8>, options: String) -> Result<$crate::charts::Outcome, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::install(cluster, target, plan, options).await
                }
                async fn upgrade(cluster: $crate::Connection, target: $crate::charts::Target, plan: Vec<u8>, options: String) -> Result<$crate::charts::Outcome, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::upgrade(cluster, target, plan, options).await
                }
                async fn preview(cluster: $crate::Connection, target: $crate::charts::Target, plan: Vec<u8>, options: String) -> Result<Vec<$crate::charts::Change>, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::preview(cluster, target, plan, options).await
                }
                async fn show(plan: Vec<u8>) -> Result<String, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::show(plan).await
                }
                async fn drift(cluster: $crate::Connection, target: $crate::charts::Target) -> Result<Vec<$crate::charts::Change>, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::drift(cluster, target).await
                }
                async fn rollback(cluster: $crate::Connection, target: $crate::charts::Target, revision: Option<u32>, options: String) -> Result<$crate::charts::Outcome, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::rollback(cluster, target, revision, options).await
                }
                async fn uninstall(cluster: $crate::Connection, target: $crate::charts::Target, options: String) -> Result<$crate::charts::Outcome, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::uninstall(cluster, target, options).await
                }
                async fn run_tests(cluster: $crate::Connection, target: $crate::charts::Target, options: String) -> Result<$crate::charts::Outcome, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::run_tests(cluster, target, options).await
                }
                async fn list_releases(cluster: $crate::Connection, namespace: Option<String>, filter: String) -> Result<Vec<$crate::charts::Release>, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::list_releases(cluster, namespace, filter).await
                }
                async fn records(cluster: $crate::Connection, namespace: Option<String>, name: String) -> Result<Vec<String>, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::records(cluster, namespace, name).await
                }
                async fn get(cluster: $crate::Connection, target: $crate::charts::Target, revision: Option<u32>) -> Result<$crate::charts::Content, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::get(cluster, target, revision).await
                }
                async fn history(cluster: $crate::Connection, target: $crate::charts::Target, limit: u32) -> Result<Vec<$crate::charts::Release>, $crate::Error> {
                    $crate::__start();
                    <$plugin as $crate::charts::Guest>::history(cluster, target, limit).await
                }
            }
            $crate::bindings::charts::export_charts!(Exported with_types_in $crate::bindings::charts);
        };
    };
}
