//! What the host offers beside a connection, as parameters, so that everything else runs natively.

/// The call that is served.
pub trait World {
    /// Unix time in milliseconds.
    fn now_ms(&self) -> u64;
    /// Returns after at least that many milliseconds.
    async fn sleep(&self, ms: u32);
    /// Tells who follows the operation how far it is.
    fn report(&self, phase: &str, message: &str, done: usize, total: usize);
    /// The operation that this call belongs to.
    fn operation(&self) -> Option<String>;
    /// Milliseconds until the host gives up.
    fn remaining_ms(&self) -> Option<u64>;
}

/// The release and its cluster, asked fact by fact: the host notes what was asked.
#[allow(
    missing_docs,
    reason = "each is the function of that name in `wit/host/facts.wit`"
)]
pub trait Target {
    fn release(&self) -> String;
    fn namespace(&self) -> String;
    fn action(&self) -> String;
    fn revision(&self) -> u32;
    fn kube_version(&self) -> String;
    fn api_versions(&self) -> Vec<String>;
}
