//! What the gateway relies on, whichever registry is plugged in: the contract of `wit/README.md`, each rule a test, against
//! the component in the real engine with the real store.
//!
//! Another registry joins with one line below. Rules about what `supported` may leave out check that it is refused then.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::large_futures,
    reason = "what panics here ends one test"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a task of a test ends with the runtime of its test"
)]

#[cfg(feature = "testbed")]
mod aggregated;
mod bed;
#[cfg(feature = "testbed")]
mod central;
#[cfg(feature = "testbed")]
mod crd;
#[cfg(feature = "testbed")]
mod crd_faults;
mod embedded;
mod lists;
#[cfg(feature = "testbed")]
mod old_server;
mod together;
mod watches;
mod writes;

use bed::Plugin;

/// One test for each rule, and for those of this plugin alone.
macro_rules! contract_suite {
    ($name:ident, $plugin:expr $(, also: [$($module:ident :: $extra:ident),* $(,)?])?) => {
        contract_suite!(@tests $name, $plugin,
            writes::a_new_cluster_gets_a_uid_and_is_never_overwritten,
            writes::what_is_not_there_is_not_found,
            writes::a_namesake_is_a_conflict,
            writes::an_old_revision_is_a_conflict_that_names_the_present_one,
            writes::a_change_that_changes_nothing_keeps_the_revision,
            writes::dry_runs_check_and_write_nothing,
            writes::fields_that_nobody_knows_survive,
            writes::conditions_are_written_and_nothing_else,
            writes::odd_texts_are_kept_and_large_ones_refused,
            lists::pages_are_one_snapshot_in_order_while_others_write,
            lists::selectors_select_as_kubernetes_does,
            lists::a_token_of_elsewhere_is_refused,
            watches::every_change_comes_once_and_in_order_while_others_write,
            watches::a_watch_from_nothing_begins_with_everything,
            watches::leaving_the_selection_is_a_deletion,
            watches::a_deletion_shows_the_last_state,
            watches::a_revision_of_elsewhere_is_expired,
            together::fifty_writers_lose_no_update,
            together::of_fifty_creators_one_wins,
            together::a_restart_keeps_everything
            $($(, $module::$extra)*)?
        );
    };
    (@tests $name:ident, $plugin:expr, $($module:ident :: $rule:ident),* $(,)?) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $rule() {
                    let bed = crate::bed::Bed::start($plugin).await.unwrap();
                    crate::$module::$rule(bed).await;
                }
            )*
        }
    };
}

contract_suite!(registry_embedded, crate::Plugin::shipped("registry-embedded"), also: [
    embedded::finalizers_hold_a_cluster,
    embedded::names_of_new_clusters_are_labels,
    embedded::what_is_too_old_is_expired,
]);

contract_suite!(own_registry, crate::Plugin::example("own-registry"));

#[cfg(feature = "testbed")]
contract_suite!(registry_crd, crate::Plugin::central("registry-crd"), also: [
    crd::finalizers_of_others_hold_a_cluster,
    crd::kubectl_and_the_gateway_see_the_same,
    crd::conditions_of_others_stay_theirs,
    crd::what_is_missing_is_named,
    crd::a_definition_of_another_shape_serves,
    crd_faults::a_definition_of_another_version_is_named,
    crd_faults::a_list_that_expires_half_way_starts_over,
    crd_faults::writers_here_and_there_lose_no_update,
]);

#[cfg(feature = "testbed")]
contract_suite!(registry_aggregated, crate::Plugin::aggregated("registry-aggregated"), also: [
    aggregated::dry_runs_are_answered_by_the_plugin,
    aggregated::what_the_server_quotes_goes_no_further,
    aggregated::what_old_tools_write_is_read,
    aggregated::a_finalizer_of_others_holds_a_cluster,
    aggregated::too_old_a_revision_is_expired,
    aggregated::what_is_missing_is_named,
    aggregated::by_itself_it_serves_as_well,
]);
