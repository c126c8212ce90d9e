//! How values of a user, a chart and its subcharts become one tree, exactly as Helm 4 does it.
//!
//! Works on the maps templates see, since Helm shares maps between a parent's and a subchart's
//! globals: what is shared here is shared there, and a template can tell.

use helm_template::{List, Map, MapType, Value};

use crate::gotext::{log_line, sprintf};

/// The key whose map flows down to all subcharts.
pub(crate) const GLOBAL: &str = "global";

/// What coalescing needs to know of a chart.
pub(crate) trait Charts {
    /// A chart's name.
    fn name(&self, chart: usize) -> String;
    /// A chart's own default values.
    fn values(&self, chart: usize) -> Option<Map>;
    /// The charts directly below it.
    fn dependencies(&self, chart: usize) -> Vec<usize>;
}

/// One run of coalescing (nulls delete) or merging (nulls stay).
pub(crate) struct Coalescer<'a, C> {
    pub(crate) charts: &'a C,
    /// Keep nulls.
    pub(crate) merge: bool,
    /// Lines for the log.
    pub(crate) warnings: &'a mut Vec<String>,
}

/// A copy that shares no map.
pub(crate) fn deep_copy(value: &Value) -> Value {
    match value {
        Value::Map(map) => Value::Map(copy_map(map)),
        Value::List(list) if list.items().iter().any(is_nested) => Value::List(List::new(
            list.ty(),
            list.items().iter().map(deep_copy).collect(),
        )),
        other => other.clone(),
    }
}

fn is_nested(value: &Value) -> bool {
    matches!(value, Value::Map(_) | Value::List(_))
}

pub(crate) fn copy_map(map: &Map) -> Map {
    let entries = map.entries();
    let entries = entries
        .iter()
        .map(|(key, value)| (key.clone(), deep_copy(value)));
    Map::from_entries(MapType::Any, entries.collect())
}

fn shallow_copy(map: &Map) -> Map {
    Map::from_entries(MapType::Any, map.entries().clone())
}

fn prefixed(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

impl<C: Charts> Coalescer<'_, C> {
    /// The values of a chart and all below it, those given over its own. The given ones are copied.
    ///
    /// # Errors
    /// A subchart's name that holds something other than a map.
    pub(crate) fn run(&mut self, chart: usize, values: Option<&Map>) -> Result<Map, String> {
        let target = values.map(copy_map).unwrap_or_default();
        self.coalesce(chart, &target, "")?;
        Ok(target)
    }

    fn coalesce(&mut self, chart: usize, target: &Map, prefix: &str) -> Result<(), String> {
        self.own_values(chart, target, prefix);
        for sub in self.charts.dependencies(chart) {
            let name = self.charts.name(sub);
            let inner = match target.get(name.as_bytes()) {
                None => {
                    let inner = Map::default();
                    target.insert(name.as_str(), Value::Map(inner.clone()));
                    inner
                }
                Some(Value::Map(inner)) => inner,
                Some(other) => {
                    return Err(format!(
                        "type mismatch on {name}: {}",
                        sprintf("%t", &[other])
                    ));
                }
            };
            let prefix = prefixed(prefix, &self.charts.name(chart));
            self.globals(&inner, target, &prefix);
            self.coalesce(sub, &inner, &prefix)?;
        }
        Ok(())
    }

    fn warn(&mut self, text: &str) {
        self.warnings.push(log_line("INFO", text, &[]));
    }

    /// Copies the globals of a parent into those of a subchart.
    fn globals(&mut self, target: &Map, source: &Map, prefix: &str) {
        let own = match target.get(GLOBAL) {
            None => Map::default(),
            Some(Value::Map(own)) => own,
            Some(_) => {
                return self
                    .warn("warning: skipping globals because destination global is not a table.");
            }
        };
        let given = match source.get(GLOBAL) {
            None => Map::default(),
            Some(Value::Map(given)) => given,
            Some(_) => {
                return self
                    .warn("warning: skipping globals because source global is not a table.");
            }
        };
        for (key, value) in given.to_vec() {
            let old = own.get(&key);
            match (value, old) {
                (Value::Map(value), None) => own.insert(key, Value::Map(shallow_copy(&value))),
                (Value::Map(value), Some(Value::Map(old))) => {
                    let copy = shallow_copy(&value);
                    let prefix = prefixed(prefix, &key.to_text());
                    self.tables(&copy, &old, &prefix, true);
                    own.insert(key, Value::Map(copy));
                }
                (Value::Map(_), Some(_)) => {
                    let key = crate::gotext::quote(&key.to_text());
                    self.warn(&format!(
                        "Conflict: cannot merge map onto non-map for {key}. Skipping."
                    ));
                }
                (_, Some(Value::Map(_))) => {
                    self.warn(&format!("key {key} is table. Skipping"));
                }
                (value, _) => own.insert(key, value),
            }
        }
        target.insert(GLOBAL, Value::Map(own));
    }

    /// Lays a chart's own values below the given ones.
    fn own_values(&mut self, chart: usize, target: &Map, prefix: &str) {
        let Some(values) = self.charts.values(chart) else {
            return;
        };
        let prefix = prefixed(prefix, &self.charts.name(chart));
        for (key, value) in copy_map(&values).to_vec() {
            match target.get(&key) {
                None => {
                    if !self.merge {
                        match &value {
                            Value::Nil => continue,
                            Value::Map(map) => drop_nils(map),
                            _ => {}
                        }
                    }
                    target.insert(key, value);
                }
                Some(Value::Nil) if !self.merge => {
                    target.remove(&key);
                }
                Some(Value::Map(given)) => match value {
                    Value::Map(source) => {
                        let merge = self.merge || self.is_dependency(chart, &key.to_text());
                        if !merge {
                            drop_nils(&source);
                        }
                        let prefix = prefixed(&prefix, &key.to_text());
                        self.tables(&given, &source, &prefix, merge);
                    }
                    Value::Nil => {}
                    _ => self.warn(&format!(
                        "warning: skipped value for {prefix}.{key}: Not a table."
                    )),
                },
                Some(_) => {}
            }
        }
    }

    fn is_dependency(&self, chart: usize, key: &str) -> bool {
        let mut below = self.charts.dependencies(chart).into_iter();
        below.any(|sub| self.charts.name(sub) == key)
    }

    /// Merges `source` into `target`, which wins.
    fn tables(&mut self, target: &Map, source: &Map, prefix: &str, merge: bool) {
        tables(target, source, prefix, merge, self.warnings);
    }
}

/// Merges `source` into `target`, which wins; nulls stay if `merge`.
pub(crate) fn tables(
    target: &Map,
    source: &Map,
    prefix: &str,
    merge: bool,
    warnings: &mut Vec<String>,
) {
    if target.same(source) {
        return;
    }
    let real: Vec<_> = source
        .to_vec()
        .into_iter()
        .filter_map(|(key, value)| (!matches!(value, Value::Nil)).then_some(key))
        .collect();
    for (key, value) in target.to_vec() {
        if matches!(value, Value::Nil) {
            source.insert(key, Value::Nil);
        }
    }
    for (key, value) in source.to_vec() {
        let old = target.get(&key);
        match (old, value) {
            (Some(Value::Nil), _) if !merge && real.binary_search(&key).is_ok() => {
                // The user nulls a default of the chart.
                target.remove(&key);
            }
            (None, value) => target.insert(key, value),
            (Some(Value::Map(old)), Value::Map(value)) => {
                let prefix = prefixed(prefix, &key.to_text());
                tables(&old, &value, &prefix, merge, warnings);
            }
            (Some(_), value @ Value::Map(_)) => {
                let key = prefixed(prefix, &key.to_text());
                let text = format!("warning: cannot overwrite table with non table for {key} (%v)");
                warnings.push(log_line("INFO", &sprintf(&text, &[value]), &[]));
            }
            (Some(Value::Map(_)), value) if !matches!(value, Value::Nil) => {
                let key = prefixed(prefix, &key.to_text());
                let text = format!(
                    "warning: destination for {key} is a table. Ignoring non-table value (%v)"
                );
                warnings.push(log_line("INFO", &sprintf(&text, &[value]), &[]));
            }
            _ => {}
        }
    }
}

/// Takes the nulls out of a map and the maps inside.
pub(crate) fn drop_nils(map: &Map) {
    for (key, value) in map.to_vec() {
        match value {
            Value::Nil => {
                map.remove(&key);
            }
            Value::Map(inner) => drop_nils(&inner),
            _ => {}
        }
    }
}
