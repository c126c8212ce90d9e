//! What a chart says about itself: `Chart.yaml`, `requirements.yaml` and the lock files.

use serde_json::{Map, Value};

use crate::decode::{Shape, Struct};
use crate::error::Error;
use crate::gotext::{is_print, is_space, quote};

/// The content of `Chart.yaml`. Absent texts are empty.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(
    missing_docs,
    reason = "the names are those of Chart.yaml, which Helm documents"
)]
pub struct Metadata {
    pub name: String,
    pub home: String,
    pub sources: Vec<String>,
    pub version: String,
    pub description: String,
    pub keywords: Vec<String>,
    pub maintainers: Vec<Maintainer>,
    pub icon: String,
    pub api_version: String,
    pub condition: String,
    pub tags: String,
    pub app_version: String,
    pub deprecated: bool,
    pub annotations: Option<Vec<(String, String)>>,
    pub kube_version: String,
    /// `None` where no file names dependencies at all, which differs from an empty list: then
    /// nothing below `charts/` is looked at for conditions, aliases or imports.
    pub dependencies: Option<Vec<Dependency>>,
    pub chart_type: String,
}

/// Who looks after a chart.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(
    missing_docs,
    reason = "the names are those of Chart.yaml, which Helm documents"
)]
pub struct Maintainer {
    pub name: String,
    pub email: String,
    pub url: String,
}

/// A chart that another one needs.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(
    missing_docs,
    reason = "the names are those of Chart.yaml, which Helm documents"
)]
pub struct Dependency {
    pub name: String,
    pub version: String,
    pub repository: String,
    pub condition: String,
    pub tags: Vec<String>,
    pub enabled: bool,
    pub import_values: Vec<Value>,
    pub alias: String,
}

const STRINGS: Shape = Shape::List("[]string", &Shape::Text);

const MAINTAINER: Struct = Struct {
    type_name: "v2.Maintainer",
    name: "Maintainer",
    fields: &[
        ("name", Shape::Text),
        ("email", Shape::Text),
        ("url", Shape::Text),
    ],
};

const DEPENDENCY: Struct = Struct {
    type_name: "v2.Dependency",
    name: "Dependency",
    fields: &[
        ("name", Shape::Text),
        ("version", Shape::Text),
        ("repository", Shape::Text),
        ("condition", Shape::Text),
        ("tags", STRINGS),
        ("enabled", Shape::Bool),
        ("import-values", Shape::List("[]interface {}", &Shape::Any)),
        ("alias", Shape::Text),
    ],
};

/// How `Chart.yaml` is read.
pub(crate) const METADATA: Shape = Shape::Struct(&Struct {
    type_name: "v2.Metadata",
    name: "Metadata",
    fields: &[
        ("name", Shape::Text),
        ("home", Shape::Text),
        ("sources", STRINGS),
        ("version", Shape::Text),
        ("description", Shape::Text),
        ("keywords", STRINGS),
        (
            "maintainers",
            Shape::List("[]*v2.Maintainer", &Shape::Struct(&MAINTAINER)),
        ),
        ("icon", Shape::Text),
        ("apiVersion", Shape::Text),
        ("condition", Shape::Text),
        ("tags", Shape::Text),
        ("appVersion", Shape::Text),
        ("deprecated", Shape::Bool),
        ("annotations", Shape::Map("map[string]string", &Shape::Text)),
        ("kubeVersion", Shape::Text),
        (
            "dependencies",
            Shape::List("[]*v2.Dependency", &Shape::Struct(&DEPENDENCY)),
        ),
        ("type", Shape::Text),
    ],
});

/// How a lock file is read.
pub(crate) const LOCK: Shape = Shape::Struct(&Struct {
    type_name: "v2.Lock",
    name: "Lock",
    fields: &[
        ("generated", Shape::Time),
        ("digest", Shape::Text),
        (
            "dependencies",
            Shape::List("[]*v2.Dependency", &Shape::Struct(&DEPENDENCY)),
        ),
    ],
});

/// How the version of a chart's format is found out before anything else.
pub(crate) const BASE: Shape = Shape::Struct(&Struct {
    type_name: "loader.chartBase",
    name: "chartBase",
    fields: &[("apiVersion", Shape::Text)],
});

fn text(map: &Map<String, Value>, key: &str) -> String {
    map.get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn texts(map: &Map<String, Value>, key: &str) -> Vec<String> {
    let items = map.get(key).and_then(Value::as_array);
    let items = items.map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .map(|item| item.as_str().unwrap_or_default().to_owned())
        .collect()
}

fn truth(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key).and_then(Value::as_bool).unwrap_or_default()
}

fn invalid(text: &str) -> Error {
    Error::chart(format!("validation: {text}"))
}

impl Metadata {
    /// The fields of a decoded `Chart.yaml`, checked and cleaned as Helm does when loading.
    ///
    /// # Errors
    /// `validation: ...`, in Helm's words and order.
    pub(crate) fn from_fields(fields: &Value) -> Result<Self, Error> {
        let empty = Map::new();
        let map = fields.as_object().unwrap_or(&empty);
        let list = |key: &str| map.get(key).and_then(Value::as_array);
        let clean = |key: &str| sanitize(&text(map, key));
        let mut metadata = Self {
            name: clean("name"),
            home: clean("home"),
            sources: texts(map, "sources")
                .iter()
                .map(|item| sanitize(item))
                .collect(),
            version: text(map, "version"),
            description: clean("description"),
            keywords: texts(map, "keywords")
                .iter()
                .map(|item| sanitize(item))
                .collect(),
            maintainers: Vec::new(),
            icon: clean("icon"),
            api_version: text(map, "apiVersion"),
            condition: clean("condition"),
            tags: clean("tags"),
            app_version: clean("appVersion"),
            deprecated: truth(map, "deprecated"),
            annotations: map
                .get("annotations")
                .and_then(Value::as_object)
                .map(|entries| {
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    entries
                        .iter()
                        .map(|(key, value)| (key.clone(), text(value)))
                        .collect()
                }),
            kube_version: clean("kubeVersion"),
            dependencies: None,
            chart_type: text(map, "type"),
        };
        metadata.check_head()?;
        for item in list("maintainers").into_iter().flatten() {
            metadata.maintainers.push(Maintainer::from_fields(item)?);
        }
        if let Some(items) = list("dependencies") {
            let mut dependencies: Vec<Dependency> = Vec::with_capacity(items.len());
            for item in items {
                let dependency = Dependency::from_fields(item)?;
                let key = dependency.known_as();
                if dependencies.iter().any(|other| other.known_as() == key) {
                    return Err(invalid(&format!(
                        "more than one dependency with name or alias {}",
                        quote(key)
                    )));
                }
                dependencies.push(dependency);
            }
            metadata.dependencies = Some(dependencies);
        }
        Ok(metadata)
    }

    fn check_head(&self) -> Result<(), Error> {
        let name = &self.name;
        if self.api_version.is_empty() {
            return Err(invalid("chart.metadata.apiVersion is required"));
        }
        if name.is_empty() {
            return Err(invalid("chart.metadata.name is required"));
        }
        if name == "." || name == ".." {
            return Err(invalid(&format!(
                "chart.metadata.name {} is not allowed",
                quote(name)
            )));
        }
        if name.contains('/') && name != "/" {
            return Err(invalid(&format!(
                "chart.metadata.name {} is invalid",
                quote(name)
            )));
        }
        if self.version.is_empty() {
            return Err(invalid("chart.metadata.version is required"));
        }
        if helm_functions::versions::Version::parse(&self.version).is_err() {
            return Err(invalid(&format!(
                "chart.metadata.version {} is invalid",
                quote(&self.version)
            )));
        }
        if !matches!(self.chart_type.as_str(), "" | "application" | "library") {
            return Err(invalid(
                "chart.metadata.type must be application or library",
            ));
        }
        Ok(())
    }

    /// Whether the chart only defines templates for others.
    #[must_use]
    pub fn is_library(&self) -> bool {
        self.chart_type.eq_ignore_ascii_case("library")
    }
}

impl Maintainer {
    fn from_fields(fields: &Value) -> Result<Self, Error> {
        let map = fields
            .as_object()
            .ok_or_else(|| invalid("maintainers must not contain empty or null nodes"))?;
        Ok(Self {
            name: sanitize(&text(map, "name")),
            email: sanitize(&text(map, "email")),
            url: sanitize(&text(map, "url")),
        })
    }
}

impl Dependency {
    fn from_fields(fields: &Value) -> Result<Self, Error> {
        let map = fields
            .as_object()
            .ok_or_else(|| invalid("dependencies must not contain empty or null nodes"))?;
        let dependency = Self {
            name: sanitize(&text(map, "name")),
            version: sanitize(&text(map, "version")),
            repository: sanitize(&text(map, "repository")),
            condition: sanitize(&text(map, "condition")),
            tags: texts(map, "tags").iter().map(|tag| sanitize(tag)).collect(),
            enabled: truth(map, "enabled"),
            import_values: map
                .get("import-values")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
            alias: text(map, "alias"),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !dependency.alias.chars().all(plain) {
            return Err(invalid(&format!(
                "dependency {} has disallowed characters in the alias",
                quote(&dependency.name)
            )));
        }
        Ok(dependency)
    }

    /// The alias, or the name where there is none.
    #[must_use]
    pub fn known_as(&self) -> &str {
        if self.alias.is_empty() {
            &self.name
        } else {
            &self.alias
        }
    }
}

/// All blanks as spaces, and nothing that does not print.
fn sanitize(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            c if is_space(c) => Some(' '),
            c if is_print(c) => Some(c),
            _ => None,
        })
        .collect()
}
