//! Charts of a size, fakes that keep objects, operations to their end, and what a gateway counted.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::stream::{self, TryStreamExt};
use helm_chart::File;
use optikon_tests::{FakeMember, Gateway, archive};
use reqwest::{Method, header};
use serde_json::{Value, json};

/// The background would share the members' and the machine's time.
pub(crate) const QUIET: &str =
    "[probing]\nreach_seconds = 3600\nnodes_seconds = 3600\nworkloads_seconds = 3600\n";
/// Registrations under way at once.
const AT_ONCE: usize = 16;

/// A chart of so many templates, an object each: ConfigMaps, and some of what a chart has besides.
pub(crate) fn chart(templates: usize) -> Result<Vec<u8>> {
    let mut files = vec![
        File::new(
            "Chart.yaml",
            b"apiVersion: v2\nname: sized\nversion: 1.0.0\nappVersion: \"1\"\n".to_vec(),
        ),
        File::new(
            "values.yaml",
            b"replicas: 1\nmessage: hello\nlabels: {team: shop, tier: front}\n".to_vec(),
        ),
        File::new("templates/_helpers.tpl", HELPERS),
    ];
    for number in 0..templates {
        let text = match number % 5 {
            0 => SERVICE,
            1 => ACCOUNT,
            2 => SECRET,
            _ => MAP,
        };
        files.push(File::new(
            format!("templates/object-{number:02}.yaml"),
            text.replace("NUMBER", &format!("{number:02}")).into_bytes(),
        ));
    }
    archive::pack("sized", &files)
}

const HELPERS: &str = r#"{{- define "sized.name" -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- define "sized.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}
"#;
const MAP: &str = r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "sized.name" . }}-NUMBER
  labels:
    {{- include "sized.labels" . | nindent 4 }}
data:
  message: {{ .Values.message | quote }}
  {{- range $i := until 5 }}
  key-{{ $i }}: {{ printf "%s %d" $.Values.message $i | quote }}
  {{- end }}
"#;
const SECRET: &str = r#"apiVersion: v1
kind: Secret
metadata:
  name: {{ include "sized.name" . }}-NUMBER
  labels:
    {{- include "sized.labels" . | nindent 4 }}
data:
  password: {{ .Values.message | b64enc }}
"#;
const SERVICE: &str = r#"apiVersion: v1
kind: Service
metadata:
  name: {{ include "sized.name" . }}-NUMBER
  labels:
    {{- include "sized.labels" . | nindent 4 }}
spec:
  selector:
    app.kubernetes.io/instance: {{ .Release.Name }}
  ports:
    - port: 80
"#;
const ACCOUNT: &str = r#"apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "sized.name" . }}-NUMBER
  labels:
    {{- include "sized.labels" . | nindent 4 }}
automountServiceAccountToken: false
"#;

/// Members that keep objects and take `latency` for each answer.
pub(crate) async fn members(count: usize, latency: Duration) -> Result<Vec<FakeMember>> {
    let mut members = Vec::with_capacity(count);
    for _ in 0..count {
        let member = FakeMember::start().await?;
        member.keep_objects();
        member.latency(latency);
        members.push(member);
    }
    Ok(members)
}

/// Registers members as `member-<number>`.
pub(crate) async fn register(gateway: &Gateway, members: &[FakeMember]) -> Result<()> {
    let client = gateway.client()?;
    let bodies = members.iter().enumerate().map(|(number, member)| {
        Ok(json!({
            "name": format!("member-{number:04}"), "server": member.url(), "ca": member.ca()?,
            "token": "t", "labels": {"fleet": "bench"},
        }))
    });
    stream::iter(bodies)
        .try_for_each_concurrent(AT_ONCE, |body: Value| async move {
            client.create("/cluster", &body).await?;
            Ok(())
        })
        .await
}

/// Keeps an archive; its digest.
pub(crate) async fn upload(gateway: &Gateway, bytes: Vec<u8>) -> Result<String> {
    let client = gateway.client()?;
    let request = client
        .request(Method::POST, "/archives")
        .header(header::CONTENT_TYPE, "application/gzip")
        .body(bytes);
    let kept = client.send(request).await?.success()?;
    let digest = kept["digest"].as_str();
    Ok(digest.context("an archive without digest")?.to_owned())
}

/// An install on every member, to its end; how long it took.
pub(crate) async fn install(
    gateway: &Gateway,
    digest: &str,
    release: &str,
    parallel: usize,
) -> Result<Duration> {
    let body = json!({
        "chart": {"digest": digest}, "release": {"name": release, "namespace": release},
        "targets": {"all": true}, "options": {"createNamespace": true},
        "strategy": {"maxParallel": parallel},
    });
    let client = gateway.client()?;
    let begun = Instant::now();
    let reply = client
        .json(Method::POST, "/charts?wait=true", &body)
        .await?;
    let took = begun.elapsed();
    let ended = reply.success()?;
    if ended["state"] != "succeeded" || ended["plans"] != 1 {
        bail!("the install ended otherwise: {ended:#}");
    }
    Ok(took)
}

/// The sum of a metric's series whose lines begin so.
pub(crate) async fn counted(gateway: &Gateway, beginning: &str) -> Result<f64> {
    let text = gateway.client()?.get("/metrics").await?.text;
    let lines = text.lines().filter(|line| line.starts_with(beginning));
    let values = lines.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>());
    Ok(values.collect::<Result<Vec<_>, _>>()?.into_iter().sum())
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
