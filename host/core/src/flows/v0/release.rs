//! Releases as the original showed them: every key capitalised, maps as lists of `Key` and `Value`, empty lists `null`, empty
//! texts and objects absent.

use serde_json::{Map, Value, json};

/// What Go writes where there is no time.
const NO_TIME: &str = "0001-01-01T00:00:00Z";
/// Dependencies of dependencies, as deep as anybody has them.
const MAX_DEPTH: usize = 8;
/// Words of Helm 3 that are not Tiller's in capitals.
const EVENTS: [(&str, &str); 1] = [("test", "RELEASE_TEST_SUCCESS")];
const POLICIES: [(&str, &str); 2] = [("hook-succeeded", "SUCCEEDED"), ("hook-failed", "FAILED")];

/// A release from a record as Helm 3 keeps it. What may hold secrets (values, manifests, hooks) only where it `is_whole`.
pub fn release(cluster: &str, record: &Value, is_whole: bool) -> Value {
    let mut out = Fields::default();
    out.text("Name", text(record, "/name"));
    out.object("Info", info(record));
    out.object(
        "Chart",
        chart(record.get("chart").unwrap_or(&Value::Null), 0),
    );
    if is_whole {
        let raw = raw(record.get("rawConfig"), record.get("config"));
        out.object("Config", config(&raw));
        out.text("Manifest", text(record, "/manifest"));
    }
    let hooks = list(record, "hooks").filter(|_| is_whole).map(hook);
    out.list("Hooks", hooks);
    let version = record.get("version").and_then(Value::as_u64);
    out.0
        .insert("Version".into(), version.unwrap_or_default().into());
    out.text("Namespace", text(record, "/namespace"));
    out.text("OnCluster", cluster);
    Value::Object(out.0)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn time<'a>(value: &'a Value, pointer: &str) -> &'a str {
    Some(text(value, pointer))
        .filter(|time| *time != NO_TIME)
        .unwrap_or_default()
}

fn info(record: &Value) -> Fields {
    let mut status = Fields::default();
    status.text("Code", code(text(record, "/info/status")));
    status.text("Resources", text(record, "/info/resources"));
    status.text("Notes", text(record, "/info/notes"));
    let mut info = Fields::default();
    info.object("Status", status);
    info.text("FirstDeployed", time(record, "/info/first_deployed"));
    info.text("LastDeployed", time(record, "/info/last_deployed"));
    info.text("Deleted", time(record, "/info/deleted"));
    info.text("Description", text(record, "/info/description"));
    info
}

fn chart(chart: &Value, depth: usize) -> Fields {
    let mut out = Fields::default();
    out.object(
        "Metadata",
        metadata(chart.get("metadata").unwrap_or(&Value::Null)),
    );
    // Both forms hold bytes as base64.
    out.list(
        "Template",
        list(chart, "templates").map(|file| {
            let mut out = Fields::default();
            out.text("Name", text(file, "/name"));
            out.text("Data", text(file, "/data"));
            out
        }),
    );
    let deeper = list(chart, "dependencies").filter(|_| depth < MAX_DEPTH);
    out.list(
        "Dependencies",
        deeper.map(|inner| self::chart(inner, depth + 1)),
    );
    let raw = raw(chart.get("rawValues"), chart.get("values"));
    out.object("Config", config(&raw));
    out.list(
        "Files",
        list(chart, "files").map(|file| {
            let mut out = Fields::default();
            out.text("Type_Url", text(file, "/name"));
            out.text("Value", text(file, "/data"));
            out
        }),
    );
    out
}

fn metadata(from: &Value) -> Fields {
    let mut out = Fields::default();
    for (key, name) in [
        ("Name", "/name"),
        ("Home", "/home"),
        ("Version", "/version"),
        ("Description", "/description"),
        ("Icon", "/icon"),
        ("ApiVersion", "/apiVersion"),
        ("Condition", "/condition"),
        ("Tags", "/tags"),
        ("AppVersion", "/appVersion"),
        ("TillerVersion", "/tillerVersion"),
        ("KubeVersion", "/kubeVersion"),
    ] {
        out.text(key, text(from, name));
    }
    out.text("Engine", &text(from, "/engine").to_ascii_uppercase());
    for (key, name) in [("Sources", "sources"), ("Keywords", "keywords")] {
        let texts: Vec<Value> = list(from, name).cloned().collect();
        out.values(key, texts);
    }
    out.list(
        "Maintainers",
        list(from, "maintainers").map(|one| {
            let mut out = Fields::default();
            for (key, name) in [("Name", "/name"), ("Email", "/email"), ("Url", "/url")] {
                out.text(key, text(one, name));
            }
            out
        }),
    );
    let annotations = from.get("annotations").and_then(Value::as_object);
    let pairs = annotations.into_iter().flatten();
    let pairs = pairs.map(|(key, value)| json!({ "Key": key, "Value": value }));
    out.values("Annotations", pairs.collect());
    if from.get("deprecated") == Some(&Value::Bool(true)) {
        out.0.insert("Deprecated".into(), true.into());
    }
    out
}

/// The text that values were read from; where only the values are kept, JSON, which is YAML.
fn raw(text: Option<&Value>, values: Option<&Value>) -> String {
    if let Some(text) = text.and_then(Value::as_str) {
        return text.to_owned();
    }
    let values = values.filter(|v| v.as_object().is_some_and(|v| !v.is_empty()));
    values.map(Value::to_string).unwrap_or_default()
}

fn config(raw: &str) -> Fields {
    let mut out = Fields::default();
    if !raw.is_empty() {
        out.text("Raw", raw);
        out.0.insert("Values".into(), Value::Null);
    }
    out
}

fn hook(hook: &Value) -> Fields {
    let mut out = Fields::default();
    for (key, name) in [
        ("Name", "/name"),
        ("Kind", "/kind"),
        ("Path", "/path"),
        ("Manifest", "/manifest"),
    ] {
        out.text(key, text(hook, name));
    }
    out.values("Events", words(hook, "events", &EVENTS));
    out.text("LastRun", time(hook, "/last_run/started_at"));
    match hook.get("weight").and_then(Value::as_i64) {
        None | Some(0) => {}
        Some(weight) => {
            out.0.insert("Weight".into(), weight.into());
        }
    }
    out.values("DeletePolicies", words(hook, "delete_policies", &POLICIES));
    out
}

/// Tiller's words: in capitals, with `_`.
fn words(hook: &Value, key: &str, special: &[(&str, &str)]) -> Vec<Value> {
    let words = list(hook, key).filter_map(Value::as_str);
    let word = |word: &str| {
        let found = special.iter().find(|(helm, _)| *helm == word);
        let tillers = found.map(|(_, tiller)| (*tiller).to_owned());
        tillers.unwrap_or_else(|| word.to_ascii_uppercase().replace('-', "_"))
    };
    words.map(|w| word(w).into()).collect()
}

/// Tiller's word for a state.
fn code(word: &str) -> &'static str {
    match word {
        "deployed" => "DEPLOYED",
        "uninstalled" => "DELETED",
        "superseded" => "SUPERSEDED",
        "failed" => "FAILED",
        "uninstalling" => "DELETING",
        "pending-install" => "PENDING_INSTALL",
        "pending-upgrade" => "PENDING_UPGRADE",
        "pending-rollback" => "PENDING_ROLLBACK",
        _ => "UNKNOWN",
    }
}

/// An object that leaves empty texts and objects out.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.0.insert(key.to_owned(), text.into());
        }
    }

    fn object(&mut self, key: &str, fields: Self) {
        if !fields.0.is_empty() {
            self.0.insert(key.to_owned(), fields.0.into());
        }
    }

    fn list(&mut self, key: &str, items: impl Iterator<Item = Self>) {
        self.values(key, items.map(|item| item.0.into()).collect());
    }

    fn values(&mut self, key: &str, items: Vec<Value>) {
        let items = if items.is_empty() {
            Value::Null
        } else {
            items.into()
        };
        self.0.insert(key.to_owned(), items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the original's mock mode answered, field by field: whatever it has, ours has.
    fn assert_has(ours: &Value, mock: &Value, path: &str) {
        match mock {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let inner = ours.get(key).unwrap_or(&Value::Null);
                    assert_has(inner, value, &format!("{path}/{key}"));
                }
            }
            _ => assert_eq!(ours, mock, "{path}"),
        }
    }

    #[test]
    fn the_releases_of_the_mock_files_come_out_as_they_are() {
        let mock: Value = serde_json::from_str(include_str!("testdata/get-releases.json")).unwrap();
        let mocks = mock["Raw"].as_array().unwrap();
        assert_eq!(mocks.len(), 3);
        for mock in mocks {
            let record = json!({
                "name": mock["Name"], "namespace": mock["Namespace"], "version": mock["Version"],
                "chart": { "metadata": { "name": mock["Chart"]["Metadata"]["Name"] } },
                "info": { "status": "deployed" },
            });
            let shown = release("edge-1", &record, true);
            assert_has(&shown, mock, "");
            assert_eq!(shown["OnCluster"], "edge-1");
            assert_eq!(shown["Hooks"], Value::Null);
            assert!(shown.get("Manifest").is_none() && shown.get("Config").is_none());
        }
    }

    #[test]
    fn a_whole_record_has_every_declared_field() {
        let record = json!({
            "name": "web", "namespace": "shop", "version": 3, "manifest": "kind: A\n", "rawConfig": "a: 1\n",
            "config": { "a": 1 },
            "info": { "status": "deployed", "first_deployed": "2018-04-01T00:00:00Z", "deleted": NO_TIME, "notes": "hi" },
            "chart": {
                "metadata": { "name": "web", "version": "1.0.0", "engine": "gotpl", "keywords": ["a"],
                    "maintainers": [{ "name": "m", "email": "" }], "annotations": { "k": "v" } },
                "templates": [{ "name": "templates/a.yaml", "data": "YQ==" }],
                "files": [{ "name": "README.md", "data": "Yg==" }],
                "values": { "b": 2 },
                "dependencies": [{ "metadata": { "name": "inner" }, "rawValues": "c: 3\n" }],
            },
            "hooks": [{ "name": "t", "kind": "Pod", "path": "p", "manifest": "kind: Pod\n",
                "events": ["test", "pre-install"], "delete_policies": ["hook-succeeded", "before-hook-creation"],
                "weight": -1, "last_run": { "started_at": NO_TIME } }],
        });
        let shown = release("edge-1", &record, true);
        let chart = json!({
            "Metadata": { "Name": "web", "Version": "1.0.0", "Engine": "GOTPL", "Sources": null, "Keywords": ["a"],
                "Maintainers": [{ "Name": "m" }], "Annotations": [{ "Key": "k", "Value": "v" }] },
            "Template": [{ "Name": "templates/a.yaml", "Data": "YQ==" }],
            "Files": [{ "Type_Url": "README.md", "Value": "Yg==" }],
            "Config": { "Raw": "{\"b\":2}", "Values": null },
            "Dependencies": [{
                "Metadata": { "Name": "inner", "Sources": null, "Keywords": null, "Maintainers": null, "Annotations": null },
                "Template": null, "Dependencies": null, "Files": null,
                "Config": { "Raw": "c: 3\n", "Values": null },
            }],
        });
        assert_eq!(shown["Chart"], chart);
        assert_eq!(
            shown["Info"],
            json!({ "Status": { "Code": "DEPLOYED", "Notes": "hi" }, "FirstDeployed": "2018-04-01T00:00:00Z" })
        );
        assert_eq!(shown["Config"], json!({ "Raw": "a: 1\n", "Values": null }));
        let hook = json!({ "Name": "t", "Kind": "Pod", "Path": "p", "Manifest": "kind: Pod\n", "Weight": -1,
            "Events": ["RELEASE_TEST_SUCCESS", "PRE_INSTALL"], "DeletePolicies": ["SUCCEEDED", "BEFORE_HOOK_CREATION"] });
        assert_eq!(shown["Hooks"], json!([hook]));
        let less = release("edge-1", &record, false);
        assert!(less.get("Manifest").is_none() && less.get("Config").is_none());
        assert_eq!(less["Hooks"], Value::Null);
        assert_eq!(less["Chart"], shown["Chart"]);
    }
}
