//! A plan: everything about a revision that can be known before its cluster is touched.

use std::rc::Rc;

use futures::future::join_all;
use helm_chart::{Resolved, load_values, map_to_template, merge_maps};
use helm_engine::{ErrorKind, Facts, Hook as RenderedHook, Manifests, RenderLimits, Renderer};
use helm_functions::Environment;
use optikon_plugin_sdk::{Error, Requester, api::Api};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    chart,
    facts::{Lookup, RenderFacts},
    objects::{Kind, object_path},
    record::{Hook, Record},
    world::Target,
};

/// Of the bytes of a plan; another one is not read.
const MAGIC: &[u8; 8] = b"optplan1";
/// A chart whose lookups never come to an end is refused after so many renderings …
const MAX_ROUNDS: usize = 16;
/// … and one that looks up too much after so many objects.
const MAX_LOOKUPS: usize = 1_000;

/// What will be applied and written down.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// As Helm stores it.
    pub manifest: String,
    /// All hooks, tests included.
    pub hooks: Vec<Hook>,
    /// The rendered notes.
    pub notes: String,
    /// Path and text of the files below `crds/`.
    pub crds: Vec<(String, String)>,
    /// The chart as Helm stores it.
    pub chart: Value,
    /// The user's values.
    pub config: Map<String, Value>,
    /// How many documents the manifest has.
    pub objects: u32,
    /// The revision that templates were told, if any asked.
    pub revision: Option<u32>,
    /// Whether templates were told that it is an upgrade, if any asked.
    pub is_upgrade: Option<bool>,
    /// For people.
    pub warnings: Vec<String>,
    /// What it was rendered from, to render again where a cluster needs it.
    #[serde(skip)]
    pub archive: Vec<u8>,
}

/// What a rendering starts from.
#[derive(Debug)]
pub(crate) struct Input<'a, T> {
    /// The chart.
    pub(crate) archive: &'a [u8],
    /// The user's values.
    pub(crate) config: Map<String, Value>,
    /// Instead of the chart's own default values.
    pub(crate) defaults: Option<Map<String, Value>>,
    /// Who asks.
    pub(crate) target: Rc<T>,
    /// Instead of what the target says: is it an upgrade, and to which revision.
    pub(crate) action: Option<(bool, u32)>,
}

/// Renders an archive for a target; what the host's `prepare` is.
///
/// # Errors
/// `invalid` on `chart`, `values` or `kubeVersion`.
pub async fn prepare<C: Requester, T: Target + 'static>(
    archive: &[u8],
    values: &[String],
    target: Rc<T>,
    environment: Rc<dyn Environment>,
    cluster: Option<&C>,
) -> Result<Plan, Error> {
    let mut config = Map::new();
    for (index, text) in values.iter().enumerate() {
        let values = load_values(text.as_bytes()).map_err(|e| {
            Error::invalid(
                format!("values[{index}]"),
                format!("the values do not parse: {e}"),
            )
        })?;
        merge_maps(&mut config, values);
    }
    let input = Input {
        archive,
        config,
        defaults: None,
        target,
        action: None,
    };
    render(input, environment, cluster).await
}

/// Renders until no lookup is left open.
pub(crate) async fn render<C: Requester, T: Target + 'static>(
    input: Input<'_, T>,
    environment: Rc<dyn Environment>,
    cluster: Option<&C>,
) -> Result<Plan, Error> {
    let mut chart = chart::load(input.archive)?;
    let mut warnings = chart.warnings.clone();
    helm_engine::check_installable(&chart, &mut warnings)
        .map_err(|e| Error::invalid("chart", e))?;
    if let Some(defaults) = input.defaults {
        let content = std::sync::Arc::get_mut(&mut chart.content)
            .ok_or_else(|| Error::internal("the chart is shared while it is changed"))?;
        content.values = Some(defaults);
    }
    let given = map_to_template(&input.config);
    let resolved = Resolved::new(&chart, &given, &mut Vec::new())
        .map_err(|e| Error::invalid("values", e.to_string()))?;
    let stored = chart::stored(&chart, &resolved);
    let config = match helm_chart::map_to_json(&given) {
        Value::Object(config) => config,
        _ => Map::new(),
    };
    let renderer = Renderer::new(chart);
    let facts = Rc::new(RenderFacts::new(
        input.target,
        environment,
        input.action,
        cluster.is_some(),
    ));
    let dynamic: Rc<dyn Facts> = Rc::clone(&facts) as Rc<dyn Facts>;
    let mut looked_up = 0;
    for _ in 0..MAX_ROUNDS {
        let result = renderer.render(&input.config, &dynamic, &RenderLimits::default());
        let missing = facts.take_missing();
        if let Some(cluster) = cluster.filter(|_| !missing.is_empty()) {
            looked_up += missing.len();
            if looked_up > MAX_LOOKUPS {
                break;
            }
            let found = join_all(missing.iter().map(|lookup| look_up(cluster, lookup))).await;
            for (lookup, found) in missing.into_iter().zip(found) {
                facts.learn(lookup, found?);
            }
            continue;
        }
        let rendered = result.map_err(|e| render_error(&e))?;
        warnings.extend(rendered.warnings.iter().cloned());
        let files = rendered
            .files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()));
        let manifests = Manifests::sort(files, &mut warnings).map_err(|e| render_error(&e))?;
        let text = |(path, data): &(String, _)| {
            let data: &[u8] = AsRef::<[u8]>::as_ref(data);
            (path.clone(), String::from_utf8_lossy(data).into_owned())
        };
        return Ok(Plan {
            manifest: manifest(&manifests),
            hooks: manifests.hooks.iter().map(hook).collect(),
            notes: rendered.notes.clone().unwrap_or_default(),
            crds: rendered
                .crds
                .iter()
                .map(|(path, data)| text(&(path.clone(), data)))
                .collect(),
            chart: stored,
            config,
            objects: u32::try_from(manifests.documents.len()).unwrap_or(u32::MAX),
            revision: facts.revision_read(),
            is_upgrade: facts.is_upgrade_read(),
            warnings,
            archive: input.archive.to_vec(),
        });
    }
    Err(Error::invalid(
        "chart",
        format!(
            "the chart looks up too much: more than {MAX_LOOKUPS} objects, or {MAX_ROUNDS} times in a row"
        ),
    ))
}

/// One object, or with an empty name a list; an empty object where there is none.
async fn look_up<C: Requester>(cluster: &C, lookup: &Lookup) -> Result<Value, Error> {
    let (api_version, kind, namespace, name) = lookup;
    let wanted = Kind::new(api_version, kind);
    let mapping = cluster
        .mapping(&wanted.group, &wanted.version, &wanted.kind)
        .await?;
    let Some(mapping) = mapping else {
        return Ok(json!({}));
    };
    let path = object_path(
        &mapping,
        Some(namespace.as_str()).filter(|n| !n.is_empty()),
        name,
    );
    match Api(cluster).get(&path).await {
        Ok(found) => Ok(found),
        Err(error) if error.code == optikon_plugin_sdk::ErrorCode::NotFound => Ok(json!({})),
        Err(error) => Err(error),
    }
}

fn render_error(error: &helm_engine::Error) -> Error {
    let field = match error.kind() {
        ErrorKind::Values => "values",
        ErrorKind::Incompatible => "kubeVersion",
        ErrorKind::Chart | ErrorKind::Template | ErrorKind::Limit => "chart",
    };
    Error::invalid(field, error.to_string())
}

fn manifest(manifests: &Manifests) -> String {
    let document =
        |one: &helm_engine::Document| format!("---\n# Source: {}\n{}\n", one.path, one.text);
    manifests.documents.iter().map(document).collect()
}

fn hook(hook: &RenderedHook) -> Hook {
    Hook {
        name: hook.name.clone(),
        kind: hook.kind.clone(),
        path: hook.path.clone(),
        manifest: hook.manifest.clone(),
        events: hook
            .events
            .iter()
            .map(|event| event.name().to_owned())
            .collect(),
        weight: hook.weight,
        delete_policies: hook.delete_policies.clone(),
        output_log_policies: hook.output_log_policies.clone(),
        ..Hook::default()
    }
}

impl Plan {
    /// The bytes that the host keeps.
    ///
    /// # Errors
    /// `internal` when it cannot be written.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let json = serde_json::to_vec(self)
            .map_err(|e| Error::internal(format!("the plan cannot be written: {e}")))?;
        let length = u32::try_from(json.len())
            .map_err(|_| Error::too_large("the plan has more than 4 GiB"))?;
        let mut bytes = Vec::with_capacity(MAGIC.len() + 4 + json.len() + self.archive.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&json);
        bytes.extend_from_slice(&self.archive);
        Ok(bytes)
    }

    /// Reads what [`Plan::encode`] wrote.
    ///
    /// # Errors
    /// `invalid` on `plan` when it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let foreign = || {
            Error::invalid(
                "plan",
                "the plan was not made by this version of charts-helm; prepare it again",
            )
        };
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(foreign)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(foreign)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (json, archive) = rest.split_at_checked(length).ok_or_else(foreign)?;
        let mut plan: Self = serde_json::from_slice(json).map_err(|_| foreign())?;
        plan.archive = archive.to_vec();
        Ok(plan)
    }

    /// What people are shown of it.
    #[must_use]
    pub fn shown(&self) -> Value {
        let hook = |hook: &Hook| json!({"name": hook.name, "kind": hook.kind, "path": hook.path, "events": hook.events, "manifest": hook.manifest});
        json!({
            "manifest": self.manifest,
            "hooks": self.hooks.iter().map(hook).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }

    /// Whether it holds for this action and revision: templates did not ask, or were told the same.
    #[must_use]
    pub fn fits(&self, is_upgrade: bool, revision: u32) -> bool {
        self.revision.is_none_or(|told| told == revision)
            && self.is_upgrade.is_none_or(|told| told == is_upgrade)
    }

    /// Whether a revision holds just what this would make.
    #[must_use]
    pub fn is_same_as(&self, record: &Record) -> bool {
        let hook = |hook: &Hook| (hook.path.clone(), hook.manifest.clone());
        let ours: Vec<_> = self.hooks.iter().map(hook).collect();
        let theirs: Vec<_> = record.hooks.iter().map(hook).collect();
        self.manifest == record.manifest
            && self.config == record.config
            && ours == theirs
            && chart::is_same(&self.chart, &record.chart)
    }
}
