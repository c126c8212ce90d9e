//! Which subcharts a set of values turns on, under which names, and with which values.
//!
//! Helm does this by rewriting linked structs, and the result depends on which of them share a parent
//! pointer. So the charts here are rows of a table that point at each other by number, copied
//! where Helm copies.

use std::rc::Rc;
use std::sync::Arc;

use helm_functions::versions;
use helm_template::{Map, Value};
use serde_json::Value as Json;

use crate::coalesce::{Charts, Coalescer, copy_map, tables};
use crate::convert::{map_to_template, to_template};
use crate::error::Error;
use crate::gotext::{log_line, sprintf};
use crate::load::{Chart, Content};
use crate::metadata::{Dependency, Metadata};

/// A chart in the shape that one set of values gives it.
#[derive(Debug)]
pub struct Resolved {
    charts: Vec<Row>,
    metadata: Vec<Metadata>,
    root: usize,
    /// Lines for the log of whoever asked for the work at hand.
    warnings: Vec<String>,
}

#[derive(Clone, Debug)]
struct Row {
    metadata: usize,
    content: Arc<Content>,
    values: Option<Map>,
    parent: Option<usize>,
    dependencies: Vec<usize>,
}

/// A view of one chart of a [`Resolved`].
#[derive(Clone, Copy, Debug)]
pub struct ResolvedChart<'a> {
    resolved: &'a Resolved,
    row: usize,
}

struct Table<'a>(&'a Resolved);

impl Charts for Table<'_> {
    fn name(&self, chart: usize) -> String {
        self.0.name(chart).to_owned()
    }

    fn values(&self, chart: usize) -> Option<Map> {
        self.0.charts.get(chart)?.values.clone()
    }

    fn dependencies(&self, chart: usize) -> Vec<usize> {
        self.0.below(chart)
    }
}

/// Does a version lie in a range? What cannot be read does not.
#[must_use]
pub fn is_compatible(range: &str, version: &str) -> bool {
    let Ok(version) = versions::Version::parse(version) else {
        return false;
    };
    versions::Constraint::parse(range).is_ok_and(|range| range.check(&version))
}

impl Resolved {
    /// Decides about dependencies and imported values; `values` are the user's. Warnings go to
    /// `log` as lines, those before an error too.
    ///
    /// # Errors
    /// Values that hold something else where a subchart's map belongs.
    pub fn new(chart: &Chart, values: &Map, log: &mut Vec<String>) -> Result<Self, Error> {
        let mut resolved = Self {
            charts: Vec::new(),
            metadata: Vec::new(),
            root: 0,
            warnings: Vec::new(),
        };
        resolved.root = resolved.add(chart, None);
        let result = resolved
            .enable(resolved.root, values, "")
            .and_then(|()| resolved.import(resolved.root));
        log.append(&mut resolved.warnings);
        match result {
            Ok(()) => Ok(resolved),
            Err(error) => {
                let failed = "chart dependencies processing failed";
                log.push(log_line("ERROR", failed, &[("error", &error)]));
                Err(Error::values(format!("{failed}: {error}")))
            }
        }
    }

    /// The values templates are given: the user's over those of all charts. Warnings go to `log`.
    ///
    /// # Errors
    /// Values that hold something else where a subchart's map belongs.
    pub fn coalesce(&mut self, values: &Map, log: &mut Vec<String>) -> Result<Map, Error> {
        let result = self
            .run(self.root, Some(values), false)
            .map_err(Error::values);
        log.append(&mut self.warnings);
        result
    }

    /// The chart itself.
    #[must_use]
    pub fn root(&self) -> ResolvedChart<'_> {
        ResolvedChart {
            resolved: self,
            row: self.root,
        }
    }

    fn add(&mut self, chart: &Chart, parent: Option<usize>) -> usize {
        self.metadata.push(chart.metadata.clone());
        self.charts.push(Row {
            metadata: self.metadata.len() - 1,
            content: Arc::clone(&chart.content),
            values: chart.content.values.as_ref().map(map_to_template),
            parent,
            dependencies: Vec::new(),
        });
        let row = self.charts.len() - 1;
        let below = chart.dependencies.iter();
        let below = below.map(|sub| self.add(sub, Some(row))).collect();
        if let Some(chart) = self.charts.get_mut(row) {
            chart.dependencies = below;
        }
        row
    }

    fn metadata(&self, row: usize) -> Option<&Metadata> {
        self.metadata.get(self.charts.get(row)?.metadata)
    }

    fn requirements(&mut self, row: usize) -> Option<&mut Vec<Dependency>> {
        let metadata = self.charts.get(row)?.metadata;
        self.metadata.get_mut(metadata)?.dependencies.as_mut()
    }

    fn name(&self, row: usize) -> &str {
        self.metadata(row)
            .map(|metadata| metadata.name.as_str())
            .unwrap_or_default()
    }

    fn version(&self, row: usize) -> &str {
        self.metadata(row)
            .map(|metadata| metadata.version.as_str())
            .unwrap_or_default()
    }

    fn below(&self, row: usize) -> Vec<usize> {
        self.charts
            .get(row)
            .map(|chart| chart.dependencies.clone())
            .unwrap_or_default()
    }

    fn set_below(&mut self, row: usize, below: Vec<usize>) {
        for sub in &below {
            if let Some(chart) = self.charts.get_mut(*sub) {
                chart.parent = Some(row);
            }
        }
        if let Some(chart) = self.charts.get_mut(row) {
            chart.dependencies = below;
        }
    }

    fn run(&mut self, row: usize, values: Option<&Map>, merge: bool) -> Result<Map, String> {
        let mut warnings = std::mem::take(&mut self.warnings);
        let result = Coalescer {
            charts: &Table(self),
            merge,
            warnings: &mut warnings,
        }
        .run(row, values);
        self.warnings = warnings;
        result
    }

    fn copy_row(&mut self, row: usize) -> Option<usize> {
        let copy = self.charts.get(row)?.clone();
        self.charts.push(copy);
        Some(self.charts.len() - 1)
    }

    /// A copy of the chart that a dependency names, under its alias.
    fn alias(&mut self, charts: &[usize], dependency: &Dependency) -> Option<usize> {
        let found = *charts.iter().find(|row| {
            self.name(**row) == dependency.name
                && is_compatible(&dependency.version, self.version(**row))
        })?;
        let mut metadata = self.metadata(found)?.clone();
        if !dependency.alias.is_empty() {
            metadata.name.clone_from(&dependency.alias);
        }
        let below = self.below(found);
        let copy = self.copy_row(found)?;
        self.metadata.push(metadata);
        let last = self.metadata.len() - 1;
        if let Some(chart) = self.charts.get_mut(copy) {
            chart.metadata = last;
        }
        let below = below
            .into_iter()
            .filter_map(|sub| self.copy_row(sub))
            .collect();
        self.set_below(copy, below);
        Some(copy)
    }

    fn enable(&mut self, row: usize, values: &Map, path: &str) -> Result<(), String> {
        let Some(wanted) = self.requirements(row).cloned() else {
            return Ok(());
        };
        let existing = self.below(row);
        let is_wanted = |this: &Self, row: usize| {
            wanted.iter().any(|dependency| {
                this.name(row) == dependency.name
                    && is_compatible(&dependency.version, this.version(row))
            })
        };
        let mut below: Vec<usize> = existing
            .iter()
            .copied()
            .filter(|row| !is_wanted(self, *row))
            .collect();
        for dependency in &wanted {
            below.extend(self.alias(&existing, dependency));
        }
        self.set_below(row, below.clone());
        let mut wanted = wanted;
        for dependency in &mut wanted {
            if !dependency.alias.is_empty() {
                dependency.name.clone_from(&dependency.alias);
            }
            dependency.enabled = true;
        }
        let values = self.run(row, Some(values), false)?;
        self.apply_tags(&mut wanted, &values);
        self.apply_conditions(&mut wanted, &values, path);
        let is_off = |name: &str| {
            wanted
                .iter()
                .any(|other| !other.enabled && other.name == name)
        };
        below.retain(|sub| !is_off(self.name(*sub)));
        let kept: Vec<Dependency> = wanted
            .iter()
            .filter(|dependency| !is_off(&dependency.name))
            .cloned()
            .collect();
        for sub in &below {
            let path = format!("{path}{}.", self.name(*sub));
            self.enable(*sub, &values, &path)?;
        }
        if let Some(metadata) = self.charts.get(row).map(|chart| chart.metadata)
            && let Some(metadata) = self.metadata.get_mut(metadata)
        {
            metadata.dependencies = (!kept.is_empty()).then_some(kept);
        }
        self.set_below(row, below);
        Ok(())
    }

    fn apply_tags(&mut self, wanted: &mut [Dependency], values: &Map) {
        let Ok(tags) = table(values, "tags") else {
            return;
        };
        for dependency in wanted {
            let (mut is_on, mut is_off) = (false, false);
            for tag in &dependency.tags {
                match tags.get(tag.as_bytes()) {
                    Some(Value::Bool(true)) => is_on = true,
                    Some(Value::Bool(false)) => is_off = true,
                    Some(_) => self.warnings.push(log_line(
                        "WARN",
                        "returned non-bool value",
                        &[("tag", tag), ("chart", &dependency.name)],
                    )),
                    None => {}
                }
            }
            dependency.enabled = is_on || !is_off;
        }
    }

    fn apply_conditions(&mut self, wanted: &mut [Dependency], values: &Map, path: &str) {
        for dependency in wanted {
            for condition in dependency.condition.trim().split(',') {
                if condition.is_empty() {
                    continue;
                }
                match path_value(values, &format!("{path}{condition}")) {
                    Some(Value::Bool(value)) => {
                        dependency.enabled = value;
                        break;
                    }
                    Some(_) => self.warnings.push(log_line(
                        "WARN",
                        "returned non-bool value",
                        &[("path", condition), ("chart", &dependency.name)],
                    )),
                    None => {}
                }
            }
        }
    }

    /// Takes values of subcharts up into their parents, deepest first.
    fn import(&mut self, row: usize) -> Result<(), String> {
        for sub in self.below(row) {
            self.import(sub)?;
        }
        let Some(mut wanted) = self.requirements(row).cloned() else {
            return Ok(());
        };
        let values = self.run(row, None, true)?;
        let imported = Map::default();
        for dependency in &mut wanted {
            let mut plain = Vec::new();
            for import in &dependency.import_values {
                let (child, parent) = match import {
                    Json::Object(pair) => {
                        let part = |key: &str| {
                            let value = pair.get(key).map(to_template).unwrap_or_default();
                            sprintf("%v", &[value])
                        };
                        (part("child"), part("parent"))
                    }
                    Json::String(name) => (format!("exports.{name}"), ".".to_owned()),
                    _ => continue,
                };
                plain.push(serde_json::json!({ "child": child, "parent": parent }));
                let source = format!("{}.{child}", dependency.name);
                match table(&values, &source) {
                    Ok(found) => {
                        let found = nest(&parent, found);
                        tables(&imported, &found, "", true, &mut self.warnings);
                    }
                    Err(key) => {
                        let error = format!("{} is not a table", crate::gotext::quote(&key));
                        let line = if import.is_object() {
                            log_line(
                                "WARN",
                                "ImportValues missing table from chart",
                                &[("chart", &dependency.name), ("error", &error)],
                            )
                        } else {
                            log_line("WARN", "ImportValues missing table", &[("error", &error)])
                        };
                        self.warnings.push(line);
                    }
                }
            }
            dependency.import_values = plain;
        }
        if let Some(slot) = self.requirements(row) {
            *slot = wanted;
        }
        let values = copy_map(&values);
        tables(&values, &imported, "", true, &mut self.warnings);
        if let Some(chart) = self.charts.get_mut(row) {
            chart.values = Some(values);
        }
        Ok(())
    }
}

/// The map at a dotted path, or the part of the path that is none.
fn table(values: &Map, path: &str) -> Result<Map, String> {
    let mut map = values.clone();
    for key in path.split('.') {
        map = match map.get(key) {
            Some(Value::Map(inner)) => inner,
            _ => return Err(key.to_owned()),
        };
    }
    Ok(map)
}

/// The value at a dotted path, unless it is a map.
fn path_value(values: &Map, path: &str) -> Option<Value> {
    let (map, key) = match path.rsplit_once('.') {
        Some((path, key)) => (table(values, path).ok()?, key),
        None => (values.clone(), path),
    };
    map.get(key).filter(|value| !matches!(value, Value::Map(_)))
}

fn nest(path: &str, map: Map) -> Map {
    if path == "." {
        return map;
    }
    let mut nested = map;
    for key in path.rsplit('.') {
        let outer = Map::default();
        outer.insert(key, Value::Map(nested));
        nested = outer;
    }
    nested
}

impl<'a> ResolvedChart<'a> {
    /// What the chart says about itself, under the alias it goes by.
    #[must_use]
    pub fn metadata(self) -> &'a Metadata {
        static EMPTY: std::sync::LazyLock<Metadata> = std::sync::LazyLock::new(Metadata::default);
        self.resolved.metadata(self.row).unwrap_or(&EMPTY)
    }

    /// Its files.
    #[must_use]
    pub fn content(self) -> Option<&'a Arc<Content>> {
        self.resolved
            .charts
            .get(self.row)
            .map(|chart| &chart.content)
    }

    /// Its default values, with what its dependencies gave it.
    #[must_use]
    pub fn values(self) -> Option<&'a Map> {
        self.resolved.charts.get(self.row)?.values.as_ref()
    }

    /// The name or alias it goes by.
    #[must_use]
    pub fn name(self) -> &'a str {
        &self.metadata().name
    }

    /// The charts directly below it that are on.
    #[must_use]
    pub fn dependencies(self) -> Vec<ResolvedChart<'a>> {
        let resolved = self.resolved;
        let below = resolved.below(self.row).into_iter();
        below.map(|row| ResolvedChart { resolved, row }).collect()
    }

    /// Whether no chart holds it.
    #[must_use]
    pub fn is_root(self) -> bool {
        self.parent().is_none()
    }

    fn parent(self) -> Option<Self> {
        let row = self.resolved.charts.get(self.row)?.parent?;
        Some(Self { row, ..self })
    }

    /// `root/charts/name/...`: where its files seem to lie.
    #[must_use]
    pub fn full_path(self) -> Rc<str> {
        match self.parent() {
            Some(parent) => format!("{}/charts/{}", parent.full_path(), self.name()).into(),
            None => self.name().into(),
        }
    }
}
