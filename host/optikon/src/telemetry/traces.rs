//! Traces: spans of [`optikon_core::trace`], sent to an OTLP/HTTP collector in the background.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use async_trait::async_trait;
use opentelemetry::{
    propagation::{Extractor, TextMapPropagator},
    trace::TracerProvider,
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use optikon_core::trace::TARGET;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use crate::config::Telemetry;

/// A collector that takes longer loses what it was sent.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// What was not sent by then, at the end, is lost.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// The way to the collector.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// As configured; nothing is connected yet.
    pub(super) fn new(config: &Telemetry) -> Result<Option<Self>> {
        let Some(endpoint) = &config.otlp_endpoint else {
            return Ok(None);
        };
        // Already installed: another client of this process did.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("optikon/", env!("CARGO_PKG_VERSION")))
            .timeout(EXPORT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(file) = &config.otlp_ca {
            let pem = std::fs::read(file).with_context(|| {
                format!("cannot read the collector's CA from {}", file.display())
            })?;
            for certificate in reqwest::Certificate::from_pem_bundle(&pem)? {
                http = http.add_root_certificate(certificate);
            }
        }
        let headers = config.otlp_headers.iter();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector {
                http: http.build()?,
                runtime: tokio::runtime::Handle::current(),
            })
            .with_protocol(Protocol::HttpJson)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(EXPORT_TIMEOUT)
            .with_headers(
                headers
                    .map(|(k, v)| (k.clone(), v.0.clone()))
                    .collect::<HashMap<_, _>>(),
            )
            .build()
            .context("telemetry.otlp_endpoint")?;
        let sampler =
            Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(Resource::builder().with_service_name("optikon").build())
            .build();
        Ok(Some(Self(provider)))
    }

    /// What makes traces of spans.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("optikon"))
            .with_location(false)
            .with_threads(false)
            .with_filter(Targets::new().with_target(TARGET, Level::DEBUG))
    }

    /// Sends what is still here.
    pub(crate) async fn close(self) {
        let last = move || self.0.shutdown_with_timeout(LAST_EXPORT);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(last).await {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// One `traceparent`, as the propagator reads headers.
struct Parent<'a>(&'a str);

impl Extractor for Parent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

/// Puts a span below its caller's; one that cannot be read counts as none.
pub(crate) fn parent(span: &Span, traceparent: &str) {
    let caller = TraceContextPropagator::new().extract(&Parent(traceparent));
    // Fails for a span that nobody collects.
    let _ = span.set_parent(caller);
}

/// Speaks HTTP from the exporter's own thread by way of the runtime.
#[derive(Debug)]
struct Collector {
    http: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move {
            let (head, body) = request.into_parts();
            let asked = http
                .request(head.method, head.uri.to_string())
                .headers(head.headers)
                .body(body);
            let mut answer = asked.send().await?;
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = answer.status();
            *response.headers_mut() = std::mem::take(answer.headers_mut());
            *response.body_mut() = answer.bytes().await?;
            Ok::<_, reqwest::Error>(response)
        });
        let answer = match sent.await? {
            Ok(answer) => answer,
            Err(error) => {
                let error = anyhow::Error::new(error.without_url());
                tracing::warn!(error = %format!("{error:#}"), "the collector of traces cannot be reached");
                return Err(error.into());
            }
        };
        if !answer.status().is_success() {
            tracing::warn!(
                status = answer.status().as_u16(),
                "the collector of traces refuses them"
            );
        }
        Ok(answer)
    }
}
