//! What a rendering asks of its surroundings: each fact only when a template reads it.

use std::collections::BTreeSet;
use std::rc::Rc;

use helm_chart::{ArchiveLimits, Chart, File};
use helm_engine::{Facts, Read, Recorder, RenderLimits, Renderer, StaticFacts};
use helm_functions::NativeEnvironment;

fn chart(template: &str) -> Chart {
    let files = vec![
        File::new("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n"),
        File::new("values.yaml", "a: 1\n"),
        File::new("templates/x.yaml", template.to_owned()),
    ];
    Chart::from_files(files, &ArchiveLimits::default()).unwrap()
}

fn facts(name: &str) -> StaticFacts {
    StaticFacts::new(name, "space", Rc::new(NativeEnvironment))
}

fn reads(template: &str) -> BTreeSet<Read> {
    let recorder = Rc::new(Recorder::new(Rc::new(facts("rel"))));
    let given: Rc<dyn Facts> = Rc::clone(&recorder) as Rc<dyn Facts>;
    let renderer = Renderer::new(chart(template));
    renderer
        .render(&serde_json::Map::new(), &given, &RenderLimits::default())
        .unwrap();
    recorder.reads()
}

#[test]
fn each_fact_is_read_only_when_a_template_asks_for_it() {
    for (template, read) in [
        ("{{ .Release.Name }}", Read::ReleaseName("rel".into())),
        (
            "{{ .Release.Namespace }}",
            Read::ReleaseNamespace("space".into()),
        ),
        ("{{ .Release.Revision }}", Read::ReleaseRevision(1)),
        ("{{ .Release.IsUpgrade }}", Read::IsUpgrade(false)),
        (
            "{{ if .Release.IsInstall }}{{ end }}",
            Read::IsUpgrade(false),
        ),
        (
            "{{ .Capabilities.KubeVersion.Minor }}",
            Read::KubeVersion("v1.37.0".into()),
        ),
        (
            "{{ .Capabilities.KubeVersion }}",
            Read::KubeVersion("v1.37.0".into()),
        ),
        (
            "{{ .Capabilities.APIVersions.Has \"x/v1\" }}",
            Read::HasApiVersion("x/v1".into(), false),
        ),
        (
            "{{ lookup \"v1\" \"Secret\" \"ns\" \"n\" }}",
            Read::Lookup("v1".into(), "Secret".into(), "ns".into(), "n".into()),
        ),
        ("{{ now | date \"2006\" }}", Read::Clock),
        ("{{ randAlpha 3 }}", Read::Random),
        ("{{ uuidv4 }}", Read::Random),
        ("{{ genPrivateKey \"ed25519\" | len }}", Read::Keys),
    ] {
        assert_eq!(reads(template), BTreeSet::from([read]), "{template}");
    }
}

#[test]
fn all_api_versions_are_one_read() {
    let reads = reads("{{ range .Capabilities.APIVersions }}{{ end }}");
    assert!(matches!(reads.first(), Some(Read::ApiVersions(all)) if all.len() == 57));
    assert_eq!(reads.len(), 1);
}

#[test]
fn the_whole_release_reads_all_of_it() {
    assert_eq!(reads("{{ toYaml .Release }}").len(), 4);
}

#[test]
fn a_branch_that_is_not_taken_reads_nothing() {
    assert!(reads("{{ if false }}{{ .Release.Name }}{{ end }}{{ $x := .Capabilities }}{{ $y := .Release }}").is_empty());
}

#[test]
fn a_chart_that_reads_nothing_is_the_same_for_everybody() {
    let renderer = Renderer::new(chart(
        "a: {{ .Values.a }}\nb: {{ include \"x\" . }}{{ define \"x\" }}{{ .Chart.Name }}{{ end }}",
    ));
    let render = |name: &str| {
        let recorder = Rc::new(Recorder::new(Rc::new(facts(name))));
        let given: Rc<dyn Facts> = Rc::clone(&recorder) as Rc<dyn Facts>;
        let rendered = renderer
            .render(&serde_json::Map::new(), &given, &RenderLimits::default())
            .unwrap();
        (rendered.files, recorder.reads())
    };
    let (one, other) = (render("one"), render("other"));
    assert!(one.1.is_empty());
    assert_eq!(one, other);
}

#[test]
fn a_constraint_on_the_cluster_reads_its_version() {
    let files = vec![
        File::new(
            "Chart.yaml",
            "apiVersion: v2\nname: c\nversion: 1.0.0\nkubeVersion: '>=1.40'\n",
        ),
        File::new("templates/x.yaml", "a: 1"),
    ];
    let renderer = Renderer::new(Chart::from_files(files, &ArchiveLimits::default()).unwrap());
    let recorder = Rc::new(Recorder::new(Rc::new(facts("rel"))));
    let given: Rc<dyn Facts> = Rc::clone(&recorder) as Rc<dyn Facts>;
    let error = renderer
        .render(&serde_json::Map::new(), &given, &RenderLimits::default())
        .unwrap_err();
    assert_eq!(error.kind(), helm_engine::ErrorKind::Incompatible);
    assert_eq!(
        recorder.reads(),
        BTreeSet::from([Read::KubeVersion("v1.37.0".into())])
    );
}

#[test]
fn one_renderer_serves_other_values_and_other_releases() {
    let renderer = Renderer::new(chart(
        "{{ .Release.Name }} {{ .Values.a }} {{ set .Values \"a\" 9 | len }}",
    ));
    let render = |name: &str, a: i64| {
        let given: Rc<dyn Facts> = Rc::new(facts(name));
        let values = serde_json::json!({ "a": a });
        let rendered = renderer
            .render(
                values.as_object().unwrap(),
                &given,
                &RenderLimits::default(),
            )
            .unwrap();
        rendered.files["c/templates/x.yaml"].clone()
    };
    assert_eq!(render("one", 1), "one 1 1");
    assert_eq!(render("two", 2), "two 2 1");
    assert_eq!(render("one", 1), "one 1 1");
}
