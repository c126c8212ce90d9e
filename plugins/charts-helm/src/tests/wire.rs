//! Records as the real Helm writes them.

use std::rc::Rc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::executor::block_on;
use helm_functions::NativeEnvironment;
use serde_json::Value;

use super::server::{Fixed, Server};
use crate::{
    plan::{Plan, prepare},
    record::{Record, Summary, stamp},
    store::stored_of,
};

const ARCHIVE: &[u8] = include_bytes!("fixtures/web.tgz");
const V1: &str = include_str!("fixtures/helm-rel-v1.json");
const V2: &str = include_str!("fixtures/helm-rel-v2.json");

fn secret(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_record_of_the_real_helm_is_read_and_written_without_loss() {
    for text in [V1, V2] {
        let stored = stored_of(&secret(text), None).unwrap();
        assert_eq!(
            stored.labels.into_iter().collect::<Vec<_>>(),
            [("team".to_owned(), "x".to_owned())]
        );
        let again = Record::decode(stored.record.encode().unwrap().as_bytes()).unwrap();
        assert_eq!(again, stored.record);
        let data = STANDARD
            .decode(secret(text)["data"]["release"].as_str().unwrap())
            .unwrap();
        let raw = STANDARD.decode(data).unwrap();
        let mut json = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(raw.as_slice()), &mut json)
            .unwrap();
        let theirs: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(serde_json::to_value(&stored.record).unwrap(), theirs);
    }
}

/// The times of files are not kept by the loader.
fn without_times(mut chart: Value) -> Value {
    for key in ["modtime", "schemamodtime"] {
        chart.as_object_mut().unwrap().remove(key);
    }
    for part in ["templates", "files"] {
        for file in chart[part].as_array_mut().unwrap() {
            file.as_object_mut().unwrap().remove("modtime");
        }
    }
    chart
}

#[test]
fn a_plan_holds_what_the_real_helm_stores() {
    for (text, values, revision) in [
        (V1, r#"{"replicas": 3, "ratio": "0.25"}"#, 1),
        (V2, r#"{"nested": {"z": 1e3}}"#, 2),
    ] {
        let theirs = stored_of(&secret(text), None).unwrap().record;
        let action = if revision == 1 { "install" } else { "upgrade" };
        let target = Rc::new(Fixed {
            action: action.into(),
            revision,
            ..Fixed::default()
        });
        let plan = block_on(prepare(
            ARCHIVE,
            &[values.to_owned()],
            target,
            Rc::new(NativeEnvironment),
            None::<&Server>,
        ))
        .unwrap();
        assert_eq!(plan.manifest, theirs.manifest);
        assert_eq!(plan.config, theirs.config);
        assert_eq!(plan.notes, theirs.info.notes);
        assert_eq!(plan.chart, without_times(theirs.chart.clone()));
        let ran: Vec<_> = theirs
            .hooks
            .iter()
            .map(|h| crate::record::Hook {
                last_run: Default::default(),
                ..h.clone()
            })
            .collect();
        assert_eq!(plan.hooks, ran);
        assert!(plan.is_same_as(&theirs));
        let again = Plan::decode(&plan.encode().unwrap()).unwrap();
        assert_eq!(again, plan);
    }
    assert!(Plan::decode(b"something").is_err());
}

#[test]
fn times_are_written_as_go_writes_them() {
    assert_eq!(stamp(1_767_225_600_000), "2026-01-01T00:00:00Z");
    assert_eq!(stamp(1_767_225_600_250), "2026-01-01T00:00:00.25Z");
}

#[test]
fn a_record_of_helm_3_is_read() {
    let json = br#"{"name":"a","info":{"deleted":"","status":"deployed"},"chart":{"metadata":{"name":"c"}},"hooks":null,"config":null,"version":3,"namespace":"n"}"#;
    let record = Record::decode(STANDARD.encode(json).as_bytes()).unwrap();
    assert_eq!(
        (record.version, record.hooks.len(), record.is_server_side()),
        (3, 0, false)
    );
    assert!(Record::decode(b"?").is_err());
}

#[test]
fn what_a_list_shows_is_read_where_the_objects_are_nonsense() {
    let whole = r#"{"name":"a","namespace":"n","version":3,"info":{"status":"deployed"},"chart":{"metadata":{"name":"c"},"templates":[]},"hooks":HOOKS}"#;
    let text = |hooks: &str| STANDARD.encode(whole.replace("HOOKS", hooks));
    let sound = Record::decode(text("null").as_bytes()).unwrap();
    for hooks in ["null", "[1]"] {
        let summary = Summary::decode(text(hooks).as_bytes()).unwrap();
        assert_eq!(summary, Summary::of(&sound));
        assert_eq!(summary.chart_text("name"), "c");
    }
    assert!(Record::decode(text("[1]").as_bytes()).is_err());
    assert!(Summary::decode(b"?").is_err());
}
