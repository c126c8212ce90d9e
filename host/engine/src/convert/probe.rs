//! One look at a member.

use optikon_core::words::{Depth, Observation, Verdict};

use crate::{
    bindings::prober::exports::optikon::prober::probes as wit,
    check::{self, Broken},
    escape,
};

/// A message for people; what is longer is cut, as a member's own words may be in it.
const MAX_MESSAGE_BYTES: usize = 1_024;

pub(crate) fn to_depth(depth: Depth) -> wit::Depth {
    match depth {
        Depth::Reach => wit::Depth::Reach,
        Depth::Nodes => wit::Depth::Nodes,
        Depth::Workloads => wit::Depth::Workloads,
    }
}

pub(crate) fn from_observation(observation: wit::Observation) -> Result<Observation, Broken> {
    check::reason(&observation.reason)?;
    Ok(Observation {
        verdict: match observation.verdict {
            wit::Verdict::Ready => Verdict::Ready,
            wit::Verdict::NotReady => Verdict::NotReady,
            wit::Verdict::Unreachable => Verdict::Unreachable,
            wit::Verdict::Unknown => Verdict::Unknown,
        },
        reason: observation.reason,
        message: escape::line(&observation.message, MAX_MESSAGE_BYTES),
        status: check::json_object("status", &observation.status)?.into(),
    })
}
