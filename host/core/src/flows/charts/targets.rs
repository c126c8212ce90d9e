//! Which clusters, in which waves.

use std::{collections::HashMap, sync::Arc};

use super::request::{Override, Strategy, Targets, merge_values};
use crate::{
    error::{Error, FieldError, Result},
    flows::mirror::{Entry, Mirror},
    words::{Caller, Selector, Target, TargetState},
};

/// The clusters that a request selects, sorted by name.
///
/// # Errors
/// `Invalid` naming every unknown name, an empty selection, and two members that are one cluster.
pub(super) fn select(
    mirror: &Mirror,
    caller: &Caller,
    targets: &Targets,
) -> Result<Vec<Arc<Entry>>> {
    let selector = Selector::parse(&targets.selector)?;
    let (all, _) = mirror.all();
    let visible: Vec<_> = all
        .into_iter()
        .filter(|e| e.is_selected_by(&caller.selector))
        .collect();
    let mut problems = Vec::new();
    for (i, name) in targets.names.iter().enumerate() {
        if !visible.iter().any(|e| e.cluster.name().as_str() == name) {
            let message = format!("cluster \"{name}\" is not registered");
            problems.push(FieldError::new(format!("targets.names[{i}]"), message));
        }
    }
    let is_named = |e: &Entry| targets.names.iter().any(|n| n == e.cluster.name().as_str());
    let is_selected = |e: &Entry| !targets.selector.is_empty() && e.is_selected_by(&selector);
    let chosen: Vec<_> = visible
        .into_iter()
        .filter(|e| targets.all || is_named(e) || is_selected(e))
        .collect();
    if problems.is_empty() && chosen.is_empty() {
        problems.push(FieldError::new("targets", "selects no cluster"));
    }
    let mut by_identity: HashMap<&str, &Entry> = HashMap::new();
    for entry in &chosen {
        let Some(identity) = entry.health.identity.as_deref() else {
            continue;
        };
        if let Some(first) = by_identity.insert(identity, entry) {
            let message = format!(
                "\"{}\" and \"{}\" are the same cluster; select one of them",
                first.cluster.name(),
                entry.cluster.name()
            );
            problems.push(FieldError::new("targets", message));
        }
    }
    if problems.is_empty() {
        Ok(chosen)
    } else {
        Err(Error::Invalid(problems))
    }
}

/// The rows of an operation, each with its wave.
pub(super) fn rows(chosen: &[Arc<Entry>], strategy: &Strategy) -> Result<Vec<Target>> {
    let total = chosen.len();
    let mut wave_of: HashMap<usize, u32> = HashMap::new();
    for (number, wave) in (0u32..).zip(&strategy.waves) {
        let selector = Selector::parse(&wave.selector)?;
        let quota = match (wave.count, wave.percent) {
            (Some(count), _) => usize::try_from(count).unwrap_or(usize::MAX),
            (None, Some(percent)) => {
                (total * usize::try_from(percent).unwrap_or(100)).div_ceil(100)
            }
            (None, None) => usize::MAX,
        };
        let free = chosen
            .iter()
            .enumerate()
            .filter(|(i, _)| !wave_of.contains_key(i));
        let fits = free.filter(|(_, e)| wave.selector.is_empty() || e.is_selected_by(&selector));
        let taken: Vec<usize> = fits.map(|(i, _)| i).take(quota).collect();
        wave_of.extend(taken.into_iter().map(|i| (i, number)));
    }
    let last = u32::try_from(strategy.waves.len()).unwrap_or(u32::MAX);
    let row = |(i, entry): (usize, &Arc<Entry>)| Target {
        cluster: entry.cluster.name().clone(),
        uid: entry.uid.clone(),
        wave: wave_of.get(&i).copied().unwrap_or(last),
        state: TargetState::Pending,
        reason: None,
        message: None,
        revision_before: None,
        revision: None,
        started_ms: None,
        duration_ms: None,
    };
    Ok(chosen.iter().enumerate().map(row).collect())
}

/// The values for one cluster: the request's, and every override that selects it, in order.
pub(super) fn values_for(
    entry: &Entry,
    values: &serde_json::Map<String, serde_json::Value>,
    overrides: &[Override],
) -> Result<String> {
    let mut merged = values.clone();
    for each in overrides {
        let is_named = each
            .names
            .iter()
            .any(|n| n == entry.cluster.name().as_str());
        let is_selected =
            !each.selector.is_empty() && entry.is_selected_by(&Selector::parse(&each.selector)?);
        if is_named || is_selected {
            merge_values(&mut merged, &each.values);
        }
    }
    serde_json::to_string(&merged).map_err(|e| Error::Internal(e.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{flows::charts::request::Wave, ports::Object, words::Cluster};

    fn fleet() -> Mirror {
        let mirror = Mirror::new(1, 1_000);
        let object = |i: usize| {
            let region = if i < 2 { "a" } else { "b" };
            let json = json!({"metadata": {"name": format!("c{i}"), "uid": format!("u{i}"), "labels": {"region": region}}});
            Object {
                cluster: Cluster::from_json(&json.to_string()).unwrap(),
                revision: "1".into(),
            }
        };
        mirror.replace((0..6).map(object).collect(), 1);
        mirror
    }

    fn names(targets: &Targets) -> Vec<String> {
        let chosen = select(&fleet(), &Caller::host(), targets).unwrap();
        chosen
            .iter()
            .map(|e| e.cluster.name().to_string())
            .collect()
    }

    #[test]
    fn names_and_selectors_add_up_and_unknown_ones_are_named() {
        let targets = Targets {
            names: vec!["c5".into()],
            selector: "region=a".into(),
            all: false,
        };
        assert_eq!(names(&targets), ["c0", "c1", "c5"]);
        let targets = Targets {
            names: vec!["c5".into(), "nope".into()],
            ..Targets::default()
        };
        let Err(Error::Invalid(fields)) = select(&fleet(), &Caller::host(), &targets) else {
            panic!()
        };
        assert_eq!(fields[0].field, "targets.names[1]");
        let targets = Targets {
            selector: "region=x".into(),
            ..Targets::default()
        };
        assert!(select(&fleet(), &Caller::host(), &targets).is_err());
    }

    #[test]
    fn waves_take_in_order_and_the_rest_comes_last() {
        let chosen = select(
            &fleet(),
            &Caller::host(),
            &Targets {
                all: true,
                ..Targets::default()
            },
        )
        .unwrap();
        let strategy = Strategy {
            waves: vec![
                Wave {
                    selector: "region=b".into(),
                    ..Wave::default()
                },
                Wave {
                    count: Some(1),
                    ..Wave::default()
                },
            ],
            ..Strategy::default()
        };
        let waves: Vec<u32> = rows(&chosen, &strategy)
            .unwrap()
            .iter()
            .map(|t| t.wave)
            .collect();
        assert_eq!(waves, [1, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn overrides_apply_to_their_clusters_only() {
        let chosen = select(
            &fleet(),
            &Caller::host(),
            &Targets {
                all: true,
                ..Targets::default()
            },
        )
        .unwrap();
        let each = Override {
            selector: "region=a".into(),
            names: Vec::new(),
            values: json!({"n": 2}).as_object().cloned().unwrap(),
        };
        let values = json!({"n": 1}).as_object().cloned().unwrap();
        assert_eq!(
            values_for(&chosen[0], &values, std::slice::from_ref(&each)).unwrap(),
            r#"{"n":2}"#
        );
        assert_eq!(
            values_for(&chosen[5], &values, &[each]).unwrap(),
            r#"{"n":1}"#
        );
    }
}
