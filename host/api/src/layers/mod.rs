//! What every request passes, from the outside in: [`mod@observe`] (id, log line, metrics, the text of
//! errors), then [`mod@admit`] (host, origin, authentication, role), or
//! [`mod@anonymous`] on the listener for `/v0`.

mod admit;
mod anonymous;
mod observe;

pub(crate) use admit::admit;
pub(crate) use anonymous::anonymous;
pub(crate) use observe::observe;

/// The common name of a verified client certificate; put there by the listener.
#[derive(Debug, Clone)]
pub(crate) struct PeerCertificate(pub(crate) String);
