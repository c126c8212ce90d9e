//! What callers ask of `/charts`, checked before anything happens.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    error::{Error, FieldError, Result},
    words::{ClusterName, Selector},
};

/// Helm's own bound.
const MAX_RELEASE_BYTES: usize = 53;

/// Which chart: one of `digest`, `url`, `repository` and `oci`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChartSource {
    /// `sha256:…` of an archive that is kept.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// `https://…` of an archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A repository's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The chart's name in that repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A version or a range of versions, with `repository` and `oci`; absent = the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `oci://host/path/name[:tag|@digest]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oci: Option<String>,
}

/// Which release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseName {
    /// At most 53 bytes.
    pub name: String,
    /// Default `default`.
    #[serde(default = "default_namespace")]
    pub namespace: String,
}

fn default_namespace() -> String {
    "default".into()
}

/// Which clusters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Targets {
    /// By name.
    pub names: Vec<String>,
    /// By label.
    pub selector: String,
    /// Every one.
    pub all: bool,
}

/// Values for some clusters only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// By label.
    #[serde(default)]
    pub selector: String,
    /// By name.
    #[serde(default)]
    pub names: Vec<String>,
    /// Merged over the request's.
    pub values: Map<String, Value>,
}

/// How a release is applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Options {
    /// Waits until everything is ready; a Job is when it has started.
    pub wait: bool,
    /// With `wait` or `atomic`: a Job is ready when it is complete, and one that failed fails the change.
    pub wait_for_jobs: bool,
    /// Per target; default 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Undoes on failure.
    pub atomic: bool,
    /// Takes fields that other managers own; also makes a new revision of what is unchanged.
    pub force: bool,
    /// Creates the release's namespace.
    pub create_namespace: bool,
    /// Revisions kept; default 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_max: Option<u32>,
    /// An upgrade of what is not there installs it.
    pub install: bool,
    /// Adopts objects of others.
    pub take_ownership: bool,
    /// Runs no hooks.
    pub no_hooks: bool,
    /// Forgets the values of the revision before.
    pub reset_values: bool,
    /// Merges over the values of the revision before.
    pub reuse_values: bool,
    /// Uninstall only: keeps the history.
    pub keep_history: bool,
}

/// What follows a target's failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// No further target is begun.
    #[default]
    Stop,
    /// The others go on.
    Continue,
    /// The failed cluster goes back; the others go on.
    Rollback,
    /// Every cluster that this operation changed goes back.
    RollbackAll,
}

/// A count or a percentage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// So many.
    Count(u64),
    /// As in `"25%"`.
    Percent(String),
}

impl Amount {
    /// How many of `total`; a percentage is rounded up, and at least one.
    ///
    /// # Errors
    /// `Invalid` on `field`.
    pub fn of(&self, total: usize, field: &str) -> Result<usize> {
        match self {
            Self::Count(n) => Ok(usize::try_from(*n).unwrap_or(usize::MAX)),
            Self::Percent(text) => {
                let percent = text
                    .strip_suffix('%')
                    .and_then(|n| n.trim().parse::<usize>().ok());
                let percent = percent.filter(|p| *p <= 100).ok_or_else(|| {
                    Error::invalid(field, "must be a number, or a percentage as in \"25%\"")
                })?;
                Ok((total * percent).div_ceil(100))
            }
        }
    }
}

/// Some of the clusters, before the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Wave {
    /// By label.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// The next so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The next so many of a hundred of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u64>,
    /// After it: wait so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_seconds: Option<u64>,
    /// After it: wait until resumed.
    pub manual: bool,
}

/// In which order, how many at once, and when to give up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Strategy {
    /// In this order; what no wave takes comes last.
    pub waves: Vec<Wave>,
    /// Default 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// More failures than this and `onFailure` acts on the whole. Default 0. Clusters that could not even be looked at
    /// count before anything is begun when it is given, else when the others of their wave have been begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<Amount>,
    /// For the whole: after so many seconds no further target is begun, and what is under way has to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
    /// Default stop.
    pub on_failure: OnFailure,
}

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DryRun {
    /// It is.
    #[default]
    None,
    /// Rendered only.
    Render,
    /// The members say what would change.
    Server,
}

/// The body of `POST /charts` and `PUT /charts/{release}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ChartsRequest {
    /// Which chart.
    pub chart: ChartSource,
    /// Which release.
    pub release: ReleaseName,
    /// Which clusters.
    #[serde(default)]
    pub targets: Targets,
    /// The user's values.
    #[serde(default)]
    pub values: Map<String, Value>,
    /// Values for some clusters only, merged in this order.
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// `auto` (default) or a backend's name, as in `helm`.
    #[serde(default)]
    pub backend: Option<String>,
    /// How it is applied.
    #[serde(default)]
    pub options: Options,
    /// In which order.
    #[serde(default)]
    pub strategy: Strategy,
    /// Whether anything is changed.
    #[serde(default)]
    pub dry_run: DryRun,
}

/// The body of rollback, test, adopt and uninstall.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ActionRequest {
    /// Default `default`.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Which clusters.
    #[serde(default)]
    pub targets: Targets,
    /// 0 = the one before.
    #[serde(default)]
    pub to_revision: u32,
    /// How it is done.
    #[serde(default)]
    pub options: Options,
    /// In which order.
    #[serde(default)]
    pub strategy: Strategy,
    /// `auto` (default) or a backend's name.
    #[serde(default)]
    pub backend: Option<String>,
    /// `server`: what would change, of a rollback, an uninstall or an adoption.
    #[serde(default)]
    pub dry_run: DryRun,
}

/// A release's name, by Helm's own rule.
///
/// # Errors
/// `Invalid` on `field`.
pub fn check_release(name: &str, field: &str) -> Result<()> {
    if name.len() > MAX_RELEASE_BYTES || name.parse::<ClusterName>().is_err() {
        return Err(Error::invalid(
            field,
            format!(
                "must be at most {MAX_RELEASE_BYTES} lower-case letters, digits, '-' and '.', as Helm wants it"
            ),
        ));
    }
    Ok(())
}

impl ChartsRequest {
    /// Reads and checks a request; everything wrong that can be known from the text alone.
    ///
    /// # Errors
    /// `Invalid` with every field.
    pub fn read(value: Value) -> Result<Self> {
        let request: Self =
            serde_json::from_value(value).map_err(|e| Error::invalid("", e.to_string()))?;
        let mut problems = Vec::new();
        collect(
            &mut problems,
            check_release(&request.release.name, "release.name"),
        );
        collect(
            &mut problems,
            check_namespace(&request.release.namespace, "release.namespace"),
        );
        collect(
            &mut problems,
            check_common(&request.targets, &request.options, &request.strategy),
        );
        problems.extend(super::sources::check(&request.chart));
        for (i, each) in request.overrides.iter().enumerate() {
            if each.selector.is_empty() == each.names.is_empty() {
                let message = "give selector or names, one of them";
                problems.push(FieldError::new(format!("overrides[{i}]"), message));
            }
            if let Err(error) = Selector::parse(&each.selector) {
                problems.push(FieldError::new(
                    format!("overrides[{i}].selector"),
                    error.to_string(),
                ));
            }
        }
        if problems.is_empty() {
            Ok(request)
        } else {
            Err(Error::Invalid(problems))
        }
    }
}

impl ActionRequest {
    /// Reads and checks a request.
    ///
    /// # Errors
    /// `Invalid` with every field.
    pub fn read(value: Value, release: &str) -> Result<Self> {
        let request: Self =
            serde_json::from_value(value).map_err(|e| Error::invalid("", e.to_string()))?;
        let mut problems = Vec::new();
        collect(&mut problems, check_release(release, "release"));
        collect(
            &mut problems,
            check_namespace(&request.namespace, "namespace"),
        );
        collect(
            &mut problems,
            check_common(&request.targets, &request.options, &request.strategy),
        );
        if request.dry_run == DryRun::Render {
            let message = "must be none or server: nothing is rendered";
            problems.push(FieldError::new("dryRun", message));
        }
        if problems.is_empty() {
            Ok(request)
        } else {
            Err(Error::Invalid(problems))
        }
    }
}

fn collect(problems: &mut Vec<FieldError>, result: Result<()>) {
    match result {
        Ok(()) => {}
        Err(Error::Invalid(fields)) => problems.extend(fields),
        Err(other) => problems.push(FieldError::new("", other.to_string())),
    }
}

fn check_namespace(name: &str, field: &str) -> Result<()> {
    let is_label = name.parse::<ClusterName>().is_ok_and(|n| n.is_label());
    if is_label {
        Ok(())
    } else {
        Err(Error::invalid(field, ClusterName::label_rule()))
    }
}

fn check_common(targets: &Targets, options: &Options, strategy: &Strategy) -> Result<()> {
    let mut problems = Vec::new();
    let given = [
        !targets.names.is_empty(),
        !targets.selector.is_empty(),
        targets.all,
    ];
    if given.iter().filter(|g| **g).count() == 0 {
        problems.push(FieldError::new(
            "targets",
            "give names, selector or all; a change needs a selection",
        ));
    }
    if targets.all && (given[0] || given[1]) {
        problems.push(FieldError::new(
            "targets.all",
            "excludes names and selector",
        ));
    }
    if let Err(error) = Selector::parse(&targets.selector) {
        problems.push(FieldError::new("targets.selector", error.to_string()));
    }
    for (i, name) in targets.names.iter().enumerate() {
        if name.parse::<ClusterName>().is_err() {
            problems.push(FieldError::new(
                format!("targets.names[{i}]"),
                "is not a cluster name",
            ));
        }
    }
    if options
        .timeout_seconds
        .is_some_and(|s| !(1..=86_400).contains(&s))
    {
        problems.push(FieldError::new(
            "options.timeoutSeconds",
            "must be 1 to 86400",
        ));
    }
    if options.wait_for_jobs && !options.wait && !options.atomic {
        let message = "goes with wait or atomic: nothing is waited for without";
        problems.push(FieldError::new("options.waitForJobs", message));
    }
    if options.reset_values && options.reuse_values {
        problems.push(FieldError::new(
            "options.reuseValues",
            "excludes resetValues",
        ));
    }
    if strategy
        .max_parallel
        .is_some_and(|n| !(1..=1_000).contains(&n))
    {
        problems.push(FieldError::new("strategy.maxParallel", "must be 1 to 1000"));
    }
    if strategy
        .deadline_seconds
        .is_some_and(|s| !(1..=604_800).contains(&s))
    {
        let message = "must be 1 to 604800, a week";
        problems.push(FieldError::new("strategy.deadlineSeconds", message));
    }
    if let Some(amount) = &strategy.max_failures {
        collect(
            &mut problems,
            amount.of(1, "strategy.maxFailures").map(|_| ()),
        );
    }
    for (i, wave) in strategy.waves.iter().enumerate() {
        let given = [
            !wave.selector.is_empty(),
            wave.count.is_some(),
            wave.percent.is_some(),
        ];
        if given.iter().filter(|g| **g).count() != 1 {
            let message = "give one of selector, count and percent";
            problems.push(FieldError::new(format!("strategy.waves[{i}]"), message));
        }
        if wave.percent.is_some_and(|p| p > 100) {
            problems.push(FieldError::new(
                format!("strategy.waves[{i}].percent"),
                "must be 0 to 100",
            ));
        }
        if let Err(error) = Selector::parse(&wave.selector) {
            problems.push(FieldError::new(
                format!("strategy.waves[{i}].selector"),
                error.to_string(),
            ));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(problems))
    }
}

/// Merges `over` into `base`: maps merge, everything else replaces; null stays, it deletes a
/// chart's default.
pub fn merge_values(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => merge_values(base, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
