//! An HTTP client that trusts one authority and speaks JSON.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

/// Nothing in a test takes longer to answer unless it hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Speaks to one server.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    token: Option<String>,
    inner: reqwest::Client,
}

/// An answer read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: header::HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text)
            .with_context(|| format!("no JSON with status {}: {}", self.status, self.text))
    }

    /// The body as JSON when the status is a success.
    ///
    /// # Errors
    /// When it is not.
    pub fn success(&self) -> Result<Value> {
        if !self.status.is_success() {
            bail!("status {}: {}", self.status, self.text);
        }
        if self.text.is_empty() {
            return Ok(Value::Null);
        }
        self.json()
    }
}

impl Client {
    /// A client for `base` (scheme, host, port), which trusts only `ca_pem` and nothing without it.
    ///
    /// # Errors
    /// When the authority is no certificate.
    pub fn new(base: &str, ca_pem: Option<&str>, token: Option<&str>) -> Result<Self> {
        let inner = reqwest::Client::builder()
            .tls_backend_preconfigured(trusting(ca_pem)?)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            // A kept connection belongs to the runtime of the test that opened it.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            token: token.map(ToOwned::to_owned),
            inner,
        })
    }

    /// The same with another token, or none.
    #[must_use]
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self {
            token: token.map(ToOwned::to_owned),
            ..self.clone()
        }
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request to build on: path and query after the base, token included.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.inner.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request and reads the answer, whatever its status.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Reply> {
        let response = request.send().await?;
        Ok(Reply {
            status: response.status(),
            headers: response.headers().clone(),
            text: response.text().await?,
        })
    }

    /// GET, whatever the status.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Any method with a JSON body, whatever the status.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn json(&self, method: Method, path: &str, body: &Value) -> Result<Reply> {
        self.send(self.request(method, path).json(body)).await
    }

    /// GET; the JSON of a success.
    ///
    /// # Errors
    /// When it is no success.
    pub async fn read(&self, path: &str) -> Result<Value> {
        self.get(path)
            .await?
            .success()
            .with_context(|| format!("GET {path}"))
    }

    /// POST; the JSON of a success.
    ///
    /// # Errors
    /// When it is no success.
    pub async fn create(&self, path: &str, body: &Value) -> Result<Value> {
        self.json(Method::POST, path, body)
            .await?
            .success()
            .with_context(|| format!("POST {path}"))
    }

    /// PUT; the JSON of a success.
    ///
    /// # Errors
    /// When it is no success.
    pub async fn replace(&self, path: &str, body: &Value) -> Result<Value> {
        self.json(Method::PUT, path, body)
            .await?
            .success()
            .with_context(|| format!("PUT {path}"))
    }

    /// PATCH with a merge patch; the JSON of a success.
    ///
    /// # Errors
    /// When it is no success.
    pub async fn merge(&self, path: &str, patch: &Value) -> Result<Value> {
        let request = self
            .request(Method::PATCH, path)
            .header(header::CONTENT_TYPE, "application/merge-patch+json")
            .json(patch);
        self.send(request)
            .await?
            .success()
            .with_context(|| format!("PATCH {path}"))
    }

    /// DELETE; the JSON of a success.
    ///
    /// # Errors
    /// When it is no success.
    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.send(self.request(Method::DELETE, path))
            .await?
            .success()
            .with_context(|| format!("DELETE {path}"))
    }
}

/// TLS that trusts one authority (PEM), and nothing without it.
///
/// # Errors
/// When it is no certificate.
pub fn trusting(ca_pem: Option<&str>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.unwrap_or_default().as_bytes()) {
        roots.add(certificate.context("read the authority")?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
