//! Renders a chart as `helm template` does, byte for byte.
//!
//! A [`Renderer`] holds a loaded chart and its parsed templates; [`Renderer::render`] gives the
//! rendered files, [`Manifests::sort`] the documents in install order with the hooks split off, and
//! [`template`] all of `helm template`. What a rendering depends on beside chart and values is asked
//! of one trait, [`Facts`], and only when a template really asks.

mod capabilities;
mod command;
mod errors;
mod facts;
mod glob;
mod manifest;
mod name;
mod objects;
mod record;
mod render;
mod show;
mod slot;

pub use capabilities::{DEFAULT_API_VERSIONS, HELM_VERSION, KubeVersion};
pub use command::{ChartSource, Output, OutputFile, TemplateArgs, check_installable, template};
pub use errors::{Error, ErrorKind};
pub use facts::{Facts, StaticFacts};
pub use manifest::{Document, Hook, HookEvent, INSTALL_ORDER, Manifests, split};
pub use name::name_from_template;
pub use record::{Read, Recorder};
pub use render::{RenderLimits, Rendered, Renderer};
