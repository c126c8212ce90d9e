//! The gateway as the command line sees it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use futures::StreamExt;
use optikon_core::words::Secret;
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

/// Where the gateway is and how to get in. `--server --ca --token-file` always mean a member.
#[derive(Debug, Clone, Args)]
pub(crate) struct GatewayArgs {
    /// The gateway's URL. Default: http://127.0.0.1:7700.
    #[arg(
        long,
        global = true,
        env = "OPTIKON_SERVER",
        value_name = "URL",
        help_heading = "Gateway"
    )]
    gateway: Option<String>,
    /// A file that holds the gateway's token and nothing else.
    #[arg(
        long,
        global = true,
        env = "OPTIKON_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Gateway"
    )]
    gateway_token_file: Option<PathBuf>,
    /// A PEM file with the CA of the gateway's certificate. Default: the system's.
    #[arg(
        long,
        global = true,
        env = "OPTIKON_CA_FILE",
        value_name = "FILE",
        help_heading = "Gateway"
    )]
    gateway_ca: Option<PathBuf>,
    /// A profile of `profiles.toml` in the user's configuration folder (server, token_file, ca_file).
    #[arg(
        long,
        global = true,
        env = "OPTIKON_PROFILE",
        value_name = "NAME",
        help_heading = "Gateway"
    )]
    profile: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    server: Option<String>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

const DEFAULT_GATEWAY: &str = "http://127.0.0.1:7700";
/// Larger answers are not read whole.
const MAX_ANSWER: usize = 256 << 20;

/// A client of one gateway.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<Secret<String>>,
    ca: Option<String>,
}

/// An answer that is not 2xx: what the gateway said, for people.
#[derive(Debug)]
pub(crate) struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Client {
    /// From flags, environment and profile, in this order.
    pub(crate) fn new(args: &GatewayArgs) -> Result<Self> {
        let profile = match &args.profile {
            None => Profile::default(),
            Some(name) => read_profile(name)?,
        };
        let base = args
            .gateway
            .clone()
            .or(profile.server)
            .unwrap_or_else(|| DEFAULT_GATEWAY.into());
        let base = base.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            bail!("the gateway's URL must start with http:// or https://, \"{base}\" does not");
        }
        let given = std::env::var("OPTIKON_TOKEN")
            .ok()
            .filter(|t| !t.is_empty());
        let file = args.gateway_token_file.clone().or(profile.token_file);
        let token = match (given, file) {
            (Some(token), _) => Some(Secret::new(token)),
            (None, Some(file)) => Some(Secret::new(read_token(&file)?)),
            (None, None) => None,
        };
        let ca = match args.gateway_ca.clone().or(profile.ca_file) {
            None => None,
            Some(file) => Some(std::fs::read_to_string(&file).with_context(|| {
                format!("cannot read the gateway's CA from {}", file.display())
            })?),
        };
        // Already installed: another client of this process did.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("optikon/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(pem) = &ca {
            for certificate in reqwest::Certificate::from_pem_bundle(pem.as_bytes())? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(Self {
            http: builder.build()?,
            base,
            token,
            ca,
        })
    }

    /// Where the gateway is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The CA of its certificate, PEM.
    pub(crate) fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// The token that is sent.
    pub(crate) fn token(&self) -> Option<&Secret<String>> {
        self.token.as_ref()
    }

    /// `GET`, as JSON.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value> {
        self.send(Method::GET, path, query, None, None).await
    }

    /// Any method with a JSON body, as JSON.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Value>,
        content_type: Option<&str>,
    ) -> Result<Value> {
        let kind = content_type.unwrap_or("application/json");
        let body = body.map(|body| (body.to_string().into_bytes(), kind));
        let response = self.open(method, path, query, body, &[]).await?;
        self.json(response).await
    }

    /// `POST` of bytes, as JSON.
    pub(crate) async fn upload(&self, path: &str, bytes: Vec<u8>, kind: &str) -> Result<Value> {
        let body = Some((bytes, kind));
        let response = self.open(Method::POST, path, &[], body, &[]).await?;
        self.json(response).await
    }

    /// The same in parts, as `multipart/form-data`.
    pub(crate) async fn upload_parts(
        &self,
        path: &str,
        parts: &[(&str, Vec<u8>)],
    ) -> Result<Value> {
        // Nothing in a part can be this.
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|e| anyhow!("no random bytes: {e}"))?;
        let boundary = format!("optikon-{:032x}", u128::from_ne_bytes(random));
        let mut body = Vec::new();
        for (name, bytes) in parts {
            let head = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={boundary}");
        self.upload(path, body, &kind).await
    }

    async fn json(&self, response: Response) -> Result<Value> {
        let bytes = bounded(response).await?;
        serde_json::from_slice(&bytes).with_context(|| {
            format!(
                "{} did not answer with JSON; is it an Optikon gateway?",
                self.base
            )
        })
    }

    /// Server-sent events after a number: the data of each as it comes, until the gateway ends the
    /// stream or it breaks off; the caller asks again with the last number it saw.
    pub(crate) async fn events(
        &self,
        path: &str,
        after: u64,
        mut each: impl FnMut(Value) -> Result<()>,
    ) -> Result<()> {
        let headers = [
            ("accept", "text/event-stream".to_owned()),
            ("last-event-id", after.to_string()),
        ];
        let response = self.open(Method::GET, path, &[], None, &headers).await?;
        line_by_line(response, |line| match line.strip_prefix(b"data:") {
            Some(data) => each(
                serde_json::from_slice(data)
                    .context("the gateway sent an event that is no JSON")?,
            ),
            None => Ok(()),
        })
        .await
    }

    /// The body in lines, as it comes.
    pub(crate) async fn lines(
        &self,
        path: &str,
        query: &[(&str, String)],
        mut each: impl FnMut(Value) -> Result<()>,
    ) -> Result<()> {
        let response = self.open(Method::GET, path, query, None, &[]).await?;
        line_by_line(response, |line| {
            each(serde_json::from_slice(line).context("the gateway sent a line that is no JSON")?)
        })
        .await
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<(Vec<u8>, &str)>,
        headers: &[(&str, String)],
    ) -> Result<Response> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .query(query);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some((body, kind)) = body {
            request = request.header("content-type", kind).body(body);
        }
        let response = request.send().await.map_err(|error| {
            let error = error.without_url();
            anyhow::Error::new(error).context(format!(
                "cannot reach the gateway at {}; is it running? (--gateway or OPTIKON_SERVER names another)",
                self.base
            ))
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(response).await.into())
    }

    async fn refused(&self, response: Response) -> Refused {
        let status = response.status();
        let problem: Value = bounded(response)
            .await
            .ok()
            .and_then(|b| serde_json::from_slice(&b).ok())
            .unwrap_or_default();
        let detail = problem.get("detail").and_then(Value::as_str);
        let mut message = match detail {
            Some(detail) => detail.to_owned(),
            None => format!("{} answered {status}", self.base),
        };
        if status == StatusCode::UNAUTHORIZED && self.token.is_none() {
            message = format!(
                "{} wants a token: set OPTIKON_TOKEN_FILE or OPTIKON_TOKEN, or give --gateway-token-file",
                self.base
            );
        }
        Refused(message)
    }
}

/// Each line of a body without its end, as it comes.
async fn line_by_line(response: Response, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut stream = response.bytes_stream();
    let mut rest = Vec::new();
    while let Some(chunk) = stream.next().await {
        rest.extend_from_slice(&chunk.context("the gateway ended the stream")?);
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            each(line.trim_ascii_end())?;
        }
        if rest.len() > MAX_ANSWER {
            bail!("the gateway sent a line without end");
        }
    }
    Ok(())
}

async fn bounded(response: Response) -> Result<Vec<u8>> {
    let mut stream = response.bytes_stream();
    let mut out = Vec::new();
    while let Some(chunk) = stream.next().await {
        out.extend_from_slice(&chunk.context("the gateway broke off its answer")?);
        if out.len() > MAX_ANSWER {
            bail!("the gateway's answer is larger than {MAX_ANSWER} bytes");
        }
    }
    Ok(out)
}

/// A file with a token and nothing else; `-` is stdin.
pub(crate) fn read_token(file: &Path) -> Result<String> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin().lock())
            .context("cannot read the token from stdin")?
    } else {
        std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the token from {}", file.display()))?
    };
    let token = text.trim();
    if token.is_empty() {
        bail!("the token file {} is empty", file.display());
    }
    Ok(token.to_owned())
}

fn read_profile(name: &str) -> Result<Profile> {
    let folder = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))
        .context("a profile needs HOME or XDG_CONFIG_HOME")?;
    let file = folder.join("optikon/profiles.toml");
    use figment::providers::{Format, Toml};
    figment::Figment::from(Toml::file(&file))
        .extract_inner(name)
        .with_context(|| format!("cannot read profile \"{name}\" from {}", file.display()))
}

/// One path segment, with everything encoded that could end it.
pub(crate) fn segment(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|b| {
            if is_plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}
