//! From files to a chart, in Helm's order and words.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::archive::{ArchiveLimits, Budget, is_gzip, refuse, unpack_within};
use crate::decode::unmarshal;
use crate::error::{Error, ErrorKind};
use crate::file::File;
use crate::gotext::log_line;
use crate::metadata::{BASE, LOCK, METADATA, Metadata};
use crate::values::load_values;

/// A chart as loaded: nothing about values, conditions or aliases has been decided yet. Immutable,
/// cheap to clone, and free to be rendered any number of times.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What the chart says about itself.
    pub metadata: Metadata,
    /// Its files and default values.
    pub content: Arc<Content>,
    /// The charts below `charts/`, by the name of their file or folder there.
    pub dependencies: Vec<Chart>,
    /// Warnings of loading it and the charts inside, as lines of a log.
    pub warnings: Vec<String>,
}

/// The files of one chart, sorted out.
#[derive(Debug, Default)]
pub struct Content {
    /// Everything below `templates/`.
    pub templates: Vec<File>,
    /// Everything that templates may read: neither templates, metadata, values, schema nor charts.
    pub files: Vec<File>,
    /// `values.yaml`, its documents merged; `None` without that file.
    pub values: Option<Map<String, Value>>,
    /// `values.yaml` as it is.
    pub values_text: Option<Bytes>,
    /// `values.schema.json` as it is.
    pub schema: Option<Bytes>,
    /// `Chart.lock` or `requirements.lock` as decoded.
    pub lock: Option<Value>,
}

impl Chart {
    /// Loads a chart from an archive's bytes.
    ///
    /// # Errors
    /// See [`crate::unpack`]; and whatever is wrong with the chart's own files.
    pub fn from_archive(bytes: &[u8], limits: &ArchiveLimits) -> Result<Self, Error> {
        let mut budget = Budget::new(*limits);
        let files = unpack_within(bytes, &mut budget)?;
        check_version(&files)?;
        load(files, &mut budget, 0)
    }

    /// Loads a chart from files, e.g. those of a folder, with paths relative to the folder.
    ///
    /// # Errors
    /// Whatever is wrong with the chart's own files, or a crossed limit.
    pub fn from_files(files: Vec<File>, limits: &ArchiveLimits) -> Result<Self, Error> {
        let mut budget = Budget::new(*limits);
        budget.take_files(&files)?;
        if files.iter().any(|file| file.name == "Chart.yaml") {
            check_version(&files)?;
        }
        load(files, &mut budget, 0)
    }

    /// The chart's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.metadata.name
    }
}

/// Refuses what is no chart, or one of a version that nobody renders.
fn check_version(files: &[File]) -> Result<(), Error> {
    let Some(file) = files.iter().find(|file| file.name == "Chart.yaml") else {
        return Err(Error::chart(
            "unable to detect chart version, no Chart.yaml found",
        ));
    };
    let mut base = Value::Null;
    unmarshal(&file.data, BASE, &mut base)
        .map_err(|error| Error::chart(format!("cannot load Chart.yaml: {error}")))?;
    match base
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default()
    {
        "" | "v1" | "v2" => Ok(()),
        "v3" => Err(Error::chart("invalid chart apiVersion")),
        _ => Err(Error::chart("unsupported chart version")),
    }
}

fn is_version_one(fields: &Value) -> bool {
    fields.get("apiVersion").and_then(Value::as_str) == Some("v1")
}

fn load(files: Vec<File>, budget: &mut Budget, depth: usize) -> Result<Chart, Error> {
    if depth > budget.depth() {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("charts are nested deeper than {}", budget.depth()),
        ));
    }
    let wrong = |file: &str, error: String| Error::chart(format!("cannot load {file}: {error}"));
    let mut fields = Value::Null;
    for file in files.iter().filter(|file| file.name == "Chart.yaml") {
        if fields.is_null() {
            fields = Value::Object(Map::new());
        }
        unmarshal(&file.data, METADATA, &mut fields).map_err(|error| wrong("Chart.yaml", error))?;
        let stated = fields.get("apiVersion").and_then(Value::as_str);
        if stated.unwrap_or_default().is_empty()
            && let Some(map) = fields.as_object_mut()
        {
            // Helm 2 took charts without a version.
            map.insert("apiVersion".into(), "v1".into());
        }
    }
    let mut content = Content::default();
    let mut warnings = Vec::new();
    let mut subcharts: BTreeMap<String, Vec<File>> = BTreeMap::new();
    for file in files {
        let name = file.name.as_str();
        match name {
            "Chart.yaml" => {}
            "Chart.lock" => {
                content.lock = Some(lock(&file).map_err(|error| wrong(name, error))?);
            }
            "values.yaml" => {
                let values = load_values(&file.data).map_err(|error| wrong(name, error))?;
                content.values = Some(values);
                content.values_text = Some(file.data);
            }
            "values.schema.json" => content.schema = Some(file.data),
            "requirements.yaml" => {
                if !is_version_one(&fields) {
                    warnings.push(log_line("INFO", "Warning: Dependencies are handled in Chart.yaml since apiVersion \"v2\". We recommend migrating dependencies to Chart.yaml.", &[]));
                }
                unmarshal(&file.data, METADATA, &mut fields).map_err(|error| wrong(name, error))?;
                if is_version_one(&fields) {
                    content.files.push(file);
                }
            }
            "requirements.lock" => {
                content.lock = Some(lock(&file).map_err(|error| wrong(name, error))?);
                if is_version_one(&fields) {
                    content.files.push(file);
                } else {
                    warnings.push(log_line("INFO", "Warning: Dependency locking is handled in Chart.lock since apiVersion \"v2\". We recommend migrating to Chart.lock.", &[]));
                }
            }
            _ if name.starts_with("templates/") => content.templates.push(file),
            _ => match name.strip_prefix("charts/") {
                Some(rest) if extension(rest) != ".prov" => {
                    let folder = rest.split('/').next().unwrap_or_default().to_owned();
                    let name = rest.to_owned();
                    subcharts
                        .entry(folder)
                        .or_default()
                        .push(File { name, ..file });
                }
                _ => content.files.push(file),
            },
        }
    }
    if fields.is_null() {
        return Err(Error::chart("Chart.yaml file is missing"));
    }
    let metadata = Metadata::from_fields(&fields)?;
    let mut dependencies = Vec::new();
    for (folder, files) in subcharts {
        if folder.starts_with(['_', '.']) {
            continue;
        }
        let mut chart = load_inner(&folder, files, budget, depth, &metadata.name)?;
        warnings.append(&mut chart.warnings);
        dependencies.push(chart);
    }
    Ok(Chart {
        metadata,
        content: Arc::new(content),
        dependencies,
        warnings,
    })
}

fn load_inner(
    folder: &str,
    files: Vec<File>,
    budget: &mut Budget,
    depth: usize,
    parent: &str,
) -> Result<Chart, Error> {
    let chart = if extension(folder) == ".tgz" {
        match files.first() {
            Some(file) if file.name == folder => {
                if is_gzip(&file.data) {
                    unpack_within(&file.data, budget)
                        .and_then(|files| load(files, budget, depth + 1))
                } else {
                    Err(refuse("gzip: invalid header"))
                }
            }
            other => {
                let found = other.map(|file| file.name.as_str()).unwrap_or_default();
                return Err(Error::chart(format!(
                    "error unpacking subchart tar in {parent}: expected {folder}, got {found}"
                )));
            }
        }
    } else {
        let below = files.into_iter().filter_map(|file| {
            let name = file.name.split_once('/')?.1.to_owned();
            Some(File { name, ..file })
        });
        load(below.collect(), budget, depth + 1)
    };
    chart.map_err(|error| error.within(&format!("error unpacking subchart {folder} in {parent}")))
}

fn lock(file: &File) -> Result<Value, String> {
    let mut lock = Value::Null;
    unmarshal(&file.data, LOCK, &mut lock)?;
    Ok(lock)
}

/// Go's `filepath.Ext`.
fn extension(path: &str) -> &str {
    let last = path.rsplit('/').next().unwrap_or_default();
    last.rfind('.')
        .and_then(|at| last.get(at..))
        .unwrap_or_default()
}
