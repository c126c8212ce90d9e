//! From a chart, values and facts to rendered files.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use helm_chart::{Chart, Resolved, ResolvedChart, check_schemas, is_compatible, map_to_template};
use helm_functions::Environment;
use helm_template::{Limits, Map, MapType, MissingKey, Str, Templates, Value};
use serde_json::{Map as JsonMap, Value as Json};

use crate::errors::{Error, ErrorKind, exec_error, parse_error};
use crate::facts::Facts;
use crate::objects::{Capabilities, Release, VALUES, chart_map, files_map};
use crate::slot::Slot;

/// Bounds of one rendering.
#[derive(Clone, Copy, Debug, Default)]
pub struct RenderLimits {
    /// Steps, depth and output of all templates of the chart together.
    pub templates: Limits,
}

/// What a rendering gave, before documents are told apart.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Rendered text by the template's path, partials left out.
    pub files: BTreeMap<String, String>,
    /// The text of the chart's own `NOTES.txt`, if it has one.
    pub notes: Option<String>,
    /// Name and content of each file below `crds/`, subcharts' included, the chart's own first.
    pub crds: Vec<(String, Bytes)>,
    /// The values the templates were given.
    pub values: Json,
    /// Warnings, as lines of a log.
    pub warnings: Vec<String>,
}

/// Which template texts a set was parsed from: name, address and length of each.
type Shape = Vec<(String, usize, usize)>;

/// A loaded chart that can be rendered any number of times; templates are parsed once.
pub struct Renderer {
    chart: Chart,
    slot: Rc<Slot>,
    functions: Rc<helm_template::Functions>,
    parsed: RefCell<Option<(Shape, Templates)>>,
    files: RefCell<BTreeMap<usize, Map>>,
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renderer")
            .field("chart", &self.chart.name())
            .finish_non_exhaustive()
    }
}

/// A template, and what it will see.
struct Renderable {
    name: String,
    text: Bytes,
    dot: Map,
    base_path: String,
}

impl Renderer {
    /// Gets a chart ready.
    #[must_use]
    pub fn new(chart: Chart) -> Self {
        let slot = Rc::new(Slot::default());
        let environment: Rc<dyn Environment> = Rc::clone(&slot) as Rc<dyn Environment>;
        Self {
            chart,
            functions: Rc::new(helm_functions::functions(&environment)),
            slot,
            parsed: RefCell::new(None),
            files: RefCell::default(),
        }
    }

    /// The chart.
    #[must_use]
    pub fn chart(&self) -> &Chart {
        &self.chart
    }

    /// Renders all templates with the user's values (numbers as floats, those of `--set` whole).
    ///
    /// # Errors
    /// In Helm's words: dependencies, schema, version of the cluster, templates, limits.
    pub fn render(
        &self,
        values: &JsonMap<String, Json>,
        facts: &Rc<dyn Facts>,
        limits: &RenderLimits,
    ) -> Result<Rendered, Error> {
        let mut log = Vec::new();
        let (resolved, values) = self.prepare(values, true, &mut log)?;
        let mut rendered = self.run(&resolved, &values, facts, limits)?;
        rendered.warnings = log;
        Ok(rendered)
    }

    /// Decides about dependencies and coalesces the values. Warnings go to `log` as lines, those
    /// before an error too.
    pub(crate) fn prepare(
        &self,
        values: &JsonMap<String, Json>,
        has_schemas: bool,
        log: &mut Vec<String>,
    ) -> Result<(Resolved, Map), Error> {
        let values = map_to_template(values);
        let mut resolved = Resolved::new(&self.chart, &values, log)?;
        let values = resolved.coalesce(&values, log)?;
        if has_schemas {
            check_schemas(resolved.root(), &values)?;
        }
        Ok((resolved, values))
    }

    /// Runs the templates over prepared values.
    pub(crate) fn run(
        &self,
        resolved: &Resolved,
        values: &Map,
        facts: &Rc<dyn Facts>,
        limits: &RenderLimits,
    ) -> Result<Rendered, Error> {
        let root = resolved.root();
        check_kube_version(root, facts)?;
        let mut scope = Scope {
            release: Value::object(Release(Rc::clone(facts))),
            capabilities: Value::object(Capabilities(Rc::clone(facts))),
            renderer: self,
            templates: BTreeMap::new(),
        };
        let given = helm_chart::map_to_json(values);
        scope.collect(root, &Value::Map(values.retyped(MapType::Named(&VALUES))));
        let mut order: Vec<Renderable> = scope.templates.into_values().collect();
        order.sort_by(|a, b| by_depth(&b.name, &a.name));
        let templates = self.parse(&order)?;
        let _installed = self.slot.install(Rc::clone(facts));
        let mut files = BTreeMap::new();
        let mut budget = helm_template::Budget::new(&limits.templates);
        for template in order {
            if base_name(&template.name).starts_with('_') {
                continue;
            }
            template.dot.insert("Template", template_map(&template));
            let dot = Value::Map(template.dot.clone());
            let text = templates
                .execute_within(&template.name, &dot, &mut budget)
                .map_err(|error| exec_error(&template.name, &error))?;
            files.insert(template.name, without_no_value(&text));
        }
        let own_notes = format!("{}/templates/NOTES.txt", root.name());
        let mut notes = None;
        files.retain(|name, text| {
            let is_notes = name.ends_with("NOTES.txt");
            if is_notes && *name == own_notes {
                notes = Some(std::mem::take(text));
            }
            !is_notes
        });
        let mut crds = Vec::new();
        collect_crds(root, &mut crds);
        Ok(Rendered {
            files,
            notes,
            crds,
            values: given,
            warnings: Vec::new(),
        })
    }

    /// The parsed set of these templates; the last one is kept, as renderings of one chart mostly
    /// turn on the same subcharts.
    fn parse(&self, order: &[Renderable]) -> Result<Templates, Error> {
        let shape: Shape = order
            .iter()
            .map(|template| {
                let text = &template.text;
                (template.name.clone(), text.as_ptr().addr(), text.len())
            })
            .collect();
        if let Some((known, templates)) = &*self.parsed.borrow()
            && *known == shape
        {
            return Ok(templates.clone());
        }
        let templates = Templates::new("gotpl", Rc::clone(&self.functions), MissingKey::Zero);
        for template in order {
            let text = String::from_utf8_lossy(&template.text);
            templates
                .parse(&template.name, &text)
                .map_err(|error| parse_error(&template.name, &error))?;
        }
        *self.parsed.borrow_mut() = Some((shape, templates.clone()));
        Ok(templates)
    }

    /// The files of a chart as templates see them, made once for each chart.
    fn files(&self, chart: ResolvedChart<'_>) -> Map {
        let Some(content) = chart.content() else {
            return files_map(&[]);
        };
        let key = std::sync::Arc::as_ptr(content).addr();
        let mut known = self.files.borrow_mut();
        known
            .entry(key)
            .or_insert_with(|| files_map(&content.files))
            .clone()
    }
}

fn check_kube_version(root: ResolvedChart<'_>, facts: &Rc<dyn Facts>) -> Result<(), Error> {
    let wanted = &root.metadata().kube_version;
    if wanted.is_empty() {
        return Ok(());
    }
    let version = facts.kube_version();
    if is_compatible(wanted, &version.normalized) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Incompatible,
        format!(
            "chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {}",
            version.version
        ),
    ))
}

/// What is collected on the way through a chart and those below it.
struct Scope<'a> {
    release: Value,
    capabilities: Value,
    renderer: &'a Renderer,
    /// By name: two templates of one name are one.
    templates: BTreeMap<String, Renderable>,
}

impl Scope<'_> {
    /// Collects the templates of a chart and of those below it; gives what they see.
    fn collect(&mut self, chart: ResolvedChart<'_>, values: &Value) -> Map {
        let subcharts = Map::default();
        let dot: Map = [
            (
                "Chart",
                Value::Map(chart_map(chart.metadata(), chart.is_root())),
            ),
            ("Files", Value::Map(self.renderer.files(chart))),
            ("Release", self.release.clone()),
            ("Capabilities", self.capabilities.clone()),
            ("Values", values.clone()),
            ("Subcharts", Value::Map(subcharts.clone())),
        ]
        .into_iter()
        .collect();
        for sub in chart.dependencies() {
            let below = match values.as_map().and_then(|values| table(values, sub.name())) {
                Some(below) => below.retyped(MapType::Named(&VALUES)),
                None => Map::new(MapType::Named(&VALUES)),
            };
            let inner = self.collect(sub, &Value::Map(below));
            subcharts.insert(sub.name(), Value::Map(inner));
        }
        let path = chart.full_path();
        let content = chart.content();
        for file in content.iter().flat_map(|content| &content.templates) {
            if chart.metadata().is_library() && !base_name(&file.name).starts_with('_') {
                continue;
            }
            let name = clean(&format!("{path}/{}", file.name));
            self.templates.insert(
                name.clone(),
                Renderable {
                    name,
                    text: file.data.clone(),
                    dot: dot.retyped(MapType::Named(&VALUES)),
                    base_path: format!("{path}/templates"),
                },
            );
        }
        dot
    }
}

/// The map at a name, dots leading deeper.
fn table(values: &Map, name: &str) -> Option<Map> {
    let mut map = values.clone();
    for key in name.split('.') {
        map = match map.get(key) {
            Some(Value::Map(inner)) => inner,
            _ => return None,
        };
    }
    Some(map)
}

fn template_map(template: &Renderable) -> Value {
    let map: Map = [
        ("Name", Value::from(template.name.as_str())),
        ("BasePath", Value::from(template.base_path.as_str())),
    ]
    .into_iter()
    .collect();
    Value::Map(map.retyped(MapType::Named(&VALUES)))
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Go's `path.Join` on what is already joined: no empty and no `.` parts.
fn clean(path: &str) -> String {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    parts.join("/")
}

/// Fewer separators first, then by name.
fn by_depth(a: &str, b: &str) -> std::cmp::Ordering {
    let depth = |path: &str| path.bytes().filter(|byte| *byte == b'/').count();
    depth(a).cmp(&depth(b)).then_with(|| a.cmp(b))
}

/// Go prints missing values in spite of being asked for zeroes; Helm erases them.
fn without_no_value(text: &Str) -> String {
    let text = text.to_text();
    if text.contains("<no value>") {
        text.replace("<no value>", "")
    } else {
        text.into_owned()
    }
}

fn collect_crds(chart: ResolvedChart<'_>, crds: &mut Vec<(String, Bytes)>) {
    let path = chart.full_path();
    for file in chart.content().iter().flat_map(|content| &content.files) {
        let extension = base_name(&file.name)
            .rsplit_once('.')
            .map(|(_, extension)| extension);
        let is_manifest = extension.is_some_and(|extension| {
            ["yaml", "yml", "json"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(extension))
        });
        if file.name.starts_with("crds/") && is_manifest {
            crds.push((clean(&format!("{path}/{}", file.name)), file.data.clone()));
        }
    }
    for sub in chart.dependencies() {
        collect_crds(sub, crds);
    }
}
