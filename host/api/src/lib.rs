//! The REST API: the only crate that names axum.
//!
//! `router` has a line per endpoint with the role it needs; `layers` is what every request passes
//! (request id, host check, authentication and roles, metrics); `handlers` has a file per noun,
//! each handler extracts, calls one use-case and renders; `problem` is the one table from error to
//! status; `listen` accepts connections and ends them in order, those that rest included (`idle`).

mod echo;
mod handlers;
mod idle;
mod layers;
mod listen;
mod metrics;
mod multipart;
mod negotiate;
mod openapi;
mod problem;
mod router;
mod state;
mod strict;

pub use echo::{Echo, PARAMETER};
pub use listen::{Listener, Serving, TlsFiles, TlsProblem};
pub use metrics::Metrics;
pub use openapi::document as openapi_document;
pub use problem::Problem;
pub use router::{Access, ENDPOINTS, router, v0_router};
pub use state::{Check, Gateway, ReadyChecks, Served, Version};
