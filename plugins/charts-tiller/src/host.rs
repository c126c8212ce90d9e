//! The host's functions behind the traits that everything else is written on.

use optikon_plugin_sdk::{
    Connection, Error, Fault, call, clock,
    grpc::{self, Call, PodTarget},
    progress,
};

use crate::world::{Ask, Channel, Failure, Settings, World};

/// The protocol's service.
const SERVICE: &str = "/hapi.services.tiller.ReleaseService";
/// Without it Tiller refuses every call but `GetVersion`.
const VERSION_HEADER: &str = "x-helm-api-client";

/// The call that is served, on one cluster.
#[derive(Debug)]
pub struct Host<'a> {
    cluster: &'a Connection,
    settings: Settings,
}

impl<'a> Host<'a> {
    /// With the slot's configuration.
    ///
    /// # Errors
    /// `invalid` when it does not fit.
    pub fn new(cluster: &'a Connection) -> Result<Self, Error> {
        Ok(Self {
            cluster,
            settings: optikon_plugin_sdk::configuration()?,
        })
    }

    /// The namespace of Tiller and of its records.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.settings.namespace
    }
}

impl World for Host<'_> {
    type Channel = grpc::Channel;

    async fn dial(&self) -> Result<grpc::Channel, Fault> {
        let settings = &self.settings;
        let target = PodTarget {
            namespace: settings.namespace.clone(),
            label_selector: settings.label_selector.clone(),
            port: settings.port,
            // Tiller locks releases in its own memory: two would not know of each other.
            only_one: true,
            tls_server_name: settings.tls.as_ref().map(|tls| tls.server_name.clone()),
        };
        grpc::dial(self.cluster, target).await
    }

    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }

    async fn sleep(&self, ms: u32) {
        clock::sleep(ms).await;
    }

    fn report(&self, phase: &str, message: &str) {
        progress::report(phase, message, 0, 0);
    }

    fn operation(&self) -> Option<String> {
        call::operation()
    }

    fn remaining_ms(&self) -> Option<u64> {
        call::remaining_ms()
    }
}

fn call_of(ask: Ask) -> Call {
    let version = ask.version.map(|v| (VERSION_HEADER.to_owned(), v));
    Call {
        method: format!("{SERVICE}/{}", ask.method),
        metadata: version.into_iter().collect(),
        message: ask.message,
        timeout_ms: Some(u32::try_from(ask.timeout_ms).unwrap_or(u32::MAX)),
    }
}

impl From<grpc::Failure> for Failure {
    fn from(failure: grpc::Failure) -> Self {
        match failure {
            grpc::Failure::Status(status) => Self::Status(status.code, status.message),
            grpc::Failure::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl Channel for grpc::Channel {
    async fn unary(&self, ask: Ask) -> Result<Vec<u8>, Failure> {
        Ok(Self::unary(self, call_of(ask)).await?)
    }

    async fn stream(
        &self,
        ask: Ask,
        each: &mut dyn FnMut(Vec<u8>) -> Result<(), Error>,
    ) -> Result<Result<(), Failure>, Error> {
        let mut messages = match self.server_stream(call_of(ask)).await {
            Ok(messages) => messages,
            Err(failure) => return Ok(Err(failure.into())),
        };
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => each(message)?,
                Err(failure) => return Ok(Err(failure.into())),
            }
        }
        Ok(Ok(()))
    }
}
