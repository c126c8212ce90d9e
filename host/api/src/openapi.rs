//! The OpenAPI document, made from the handlers.

use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use crate::handlers::{
    archives, audit, charts, clusters, health, operations, plugins, repositories, tokens, v0, watch,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Optikon",
        description = "One API in front of every Kubernetes cluster a team owns.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        watch::list_or_watch, clusters::create, clusters::read, clusters::replace, clusters::patch,
        clusters::delete, clusters::status, clusters::nodes, clusters::workloads,
        archives::list, archives::create, archives::read, archives::delete,
        repositories::list, repositories::read, repositories::put, repositories::delete,
        charts::list, charts::install, charts::read, charts::upgrade, charts::uninstall,
        charts::rollback, charts::test, charts::adopt, charts::history, charts::manifest, charts::values,
        charts::notes, charts::drift, operations::list, operations::read, operations::events,
        operations::cancel, operations::resume,
        plugins::slots, plugins::available, plugins::slot, plugins::swap, plugins::check, plugins::rollback,
        v0::clusters::list, v0::clusters::create, v0::clusters::read, v0::clusters::replace,
        v0::clusters::delete, v0::releases::list, v0::releases::create, v0::releases::read,
        v0::releases::replace, v0::releases::delete,
        tokens::list, tokens::create, tokens::revoke, audit::list,
        health::livez, health::readyz, health::version, health::metrics,
    ),
    components(schemas(tokens::NewToken, crate::problem::ProblemBody)),
    modifiers(&Security)
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("token", scheme);
        let needed = utoipa::openapi::security::SecurityRequirement::new("token", [""; 0]);
        document.security = Some(vec![needed]);
    }
}

/// The document; the same for every start of one version.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
