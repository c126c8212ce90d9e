//! One look at a member.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Call, Connection};
use crate::{
    error::Result,
    words::{Depth, Observation},
};

/// Looks at one member over the connection it is given, and nothing else.
#[async_trait]
pub trait Prober: Send + Sync + std::fmt::Debug {
    /// What it saw before the call's deadline; in part rather than not at all.
    ///
    /// # Errors
    /// Only failures of the plugin or the slot: a member that does not answer is an observation.
    async fn probe(
        &self,
        call: Call,
        connection: Arc<dyn Connection>,
        depth: Depth,
    ) -> Result<Observation>;
}
