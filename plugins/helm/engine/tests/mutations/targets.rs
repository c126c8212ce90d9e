//! What bytes from outside go through: one function for each sort of input.
//!
//! None may panic, hang or take much memory; results do not matter here. The tests run them over
//! mutations of a small corpus, `plugins/helm/fuzz` over whatever a fuzzer finds.

use std::rc::Rc;

use flate2::Compression;
use flate2::write::GzEncoder;
use helm_chart::{ArchiveLimits, Chart, File, Resolved, check_schemas, strvals};
use helm_functions::{
    Environment, EnvironmentError, KeyAlgorithm, SignatureScheme, dates, functions, versions,
};
use helm_template::{Functions, Limits, Map, MissingKey, Templates, Value};
use serde_json::Value as Json;

/// A target of this name takes these bytes.
pub(crate) type Target = fn(&[u8]);

/// Always the same answers, and no keys: they cost more than they show.
struct Still;

impl Environment for Still {
    fn now(&self) -> i128 {
        1_772_600_767_500_000_000
    }

    fn random(&self, buffer: &mut [u8]) -> Result<(), EnvironmentError> {
        for (byte, value) in buffer.iter_mut().zip((1..=251).cycle()) {
            *byte = value;
        }
        Ok(())
    }

    fn generate_key(&self, _algorithm: KeyAlgorithm) -> Result<Vec<u8>, EnvironmentError> {
        Err(EnvironmentError("no keys here".to_owned()))
    }

    fn sign(
        &self,
        _key: &[u8],
        _scheme: SignatureScheme,
        _message: &[u8],
    ) -> Result<Vec<u8>, EnvironmentError> {
        Err(EnvironmentError("no keys here".to_owned()))
    }

    fn public_key(&self, _key: &[u8]) -> Result<Vec<u8>, EnvironmentError> {
        Err(EnvironmentError("no keys here".to_owned()))
    }

    fn lookup(
        &self,
        _api_version: &str,
        _kind: &str,
        _namespace: &str,
        _name: &str,
    ) -> Result<Json, EnvironmentError> {
        Ok(Json::Object(serde_json::Map::new()))
    }
}

thread_local! {
    static FUNCTIONS: Rc<Functions> = {
        let environment: Rc<dyn Environment> = Rc::new(Still);
        Rc::new(functions(&environment))
    };
}

/// Parses and runs a template with all functions, in few steps.
pub(crate) fn template(bytes: &[u8]) {
    const LIMITS: fn() -> Limits = || Limits {
        steps: 5_000,
        output_bytes: 1 << 20,
        ..Limits::default()
    };
    let functions = FUNCTIONS.with(Rc::clone);
    let templates = Templates::new("gotpl", functions, MissingKey::Zero);
    if templates
        .parse("t", &String::from_utf8_lossy(bytes))
        .is_err()
    {
        return;
    }
    let data = Value::map([
        ("s", "text".into()),
        ("n", Value::Float(3.0)),
        ("l", Value::list(vec!["b".into(), "a".into()])),
        ("m", Value::map([("k", Value::Int(1))])),
    ]);
    templates.execute("t", &data, &LIMITS()).ok();
}

/// Reads YAML and JSON in all ways, and writes what was read.
pub(crate) fn yaml(bytes: &[u8]) {
    helm_yaml::decode_raw(bytes).ok();
    let text = String::from_utf8_lossy(bytes);
    helm_yaml::from_yaml_strict(&text).ok();
    for value in [
        helm_yaml::from_yaml_any(&text),
        helm_yaml::from_json_any(&text),
    ] {
        let Ok(value) = value else { continue };
        let written = helm_yaml::to_yaml(&value);
        helm_yaml::from_yaml_any(&written).ok();
        helm_yaml::to_yaml_pretty(&value);
        helm_yaml::to_json(&value);
    }
}

/// Loads a chart from the bytes as an archive, and as what an archive holds.
pub(crate) fn archive(bytes: &[u8]) {
    use std::io::Write;
    let limits = ArchiveLimits::default();
    Chart::from_archive(bytes, &limits).ok();
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    let packed = packed.write_all(bytes).and_then(|()| packed.finish());
    if let Ok(packed) = packed {
        Chart::from_archive(&packed, &limits).ok();
    }
}

/// Holds values against a schema.
pub(crate) fn schema(bytes: &[u8]) {
    let file = |name: &str, data: &[u8]| File {
        name: name.to_owned(),
        data: data.to_vec().into(),
    };
    let files = vec![
        file("Chart.yaml", b"apiVersion: v2\nname: c\nversion: 0.1.0\n"),
        file(
            "values.yaml",
            b"a: 1\nb: text\nl: [1, x, {k: v}]\nm: {n: null, o: true}\n",
        ),
        file("values.schema.json", bytes),
    ];
    let Ok(chart) = Chart::from_files(files, &ArchiveLimits::default()) else {
        return;
    };
    let mut log = Vec::new();
    let Ok(mut resolved) = Resolved::new(&chart, &Map::default(), &mut log) else {
        return;
    };
    if let Ok(values) = resolved.coalesce(&Map::default(), &mut log) {
        check_schemas(resolved.root(), &values).ok();
    }
}

/// Reads `--set` and its kin.
pub(crate) fn set_values(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for parse in [strvals::parse, strvals::parse_string, strvals::parse_json] {
        parse(&text, &mut serde_json::Map::new()).ok();
    }
    let mut read = |name: &str| Ok(name.as_bytes().to_vec());
    strvals::parse_file(&text, &mut serde_json::Map::new(), &mut read).ok();
}

/// A constraint, a line break, a version.
pub(crate) fn version(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (constraint, version) = text.split_once('\n').unwrap_or((&text, "1.2.3"));
    versions::compare(constraint, version).ok();
}

/// A layout, a line break, a date.
pub(crate) fn date(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (layout, value) = text.split_once('\n').unwrap_or((&text, "2026-03-04"));
    if let Ok(time) = dates::parse(layout.as_bytes(), value.as_bytes()) {
        time.format(layout.as_bytes());
    }
    dates::Time::from_unix_nanos(0).format(layout.as_bytes());
}
