//! What becomes of an archive.

use std::io::Write;

use optikon_plugin_sdk::ErrorCode;

use crate::plan::prepare;

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, text) in files {
        let mut head = [0u8; 512];
        let path = format!("c/{name}");
        head[..path.len()].copy_from_slice(path.as_bytes());
        head[100..107].copy_from_slice(b"0000644");
        head[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
        head[156] = b'0';
        head[257..265].copy_from_slice(b"ustar\x0000");
        head[148..156].copy_from_slice(b"        ");
        let sum: u32 = head.iter().map(|b| u32::from(*b)).sum();
        head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar.extend_from_slice(&head);
        tar.extend_from_slice(text.as_bytes());
        tar.resize(tar.len().div_ceil(512) * 512, 0);
    }
    tar.resize(tar.len() + 1024, 0);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&tar).unwrap();
    packed.finish().unwrap()
}

const REQUIREMENTS: &str = "dependencies:\n- {name: sub, version: '*', repository: '', condition: sub.on, alias: other}\n\
     - {name: off, version: '*', repository: '', condition: off.on}\n";

fn parent() -> Vec<u8> {
    archive(&[
        ("Chart.yaml", "name: c\nversion: 1.0.0\n"),
        ("values.yaml", "# kept\na: 1\n"),
        ("README.md", "read me"),
        ("requirements.yaml", REQUIREMENTS),
        ("templates/x.yaml", "a: {{ .Values.a }}"),
        ("charts/sub/Chart.yaml", "name: sub\nversion: 1.0.0\n"),
        ("charts/sub/values.yaml", "b: 2\n"),
        ("charts/off/Chart.yaml", "name: off\nversion: 1.0.0\n"),
    ])
}

#[test]
fn dependencies_are_decided_before_tiller_sees_them() {
    let plan = prepare(&parent(), &[r#"{"off":{"on":false}}"#.into()]).unwrap();
    let chart = plan.chart.unwrap();
    let names: Vec<_> = chart
        .dependencies
        .iter()
        .map(|d| d.metadata.clone().unwrap().name)
        .collect();
    assert_eq!(names, ["other"]);
    assert_eq!(chart.templates[0].name, "templates/x.yaml");
    let files: Vec<_> = chart.files.iter().map(|f| f.type_url.as_str()).collect();
    assert_eq!(files, ["README.md", "requirements.yaml"]);
    assert_eq!(plan.values, r#"{"off":{"on":false}}"#);
}

#[test]
fn a_chart_without_dependencies_keeps_the_text_of_its_values() {
    let lone = archive(&[
        ("Chart.yaml", "apiVersion: v1\nname: c\nversion: 1.0.0\n"),
        ("values.yaml", "# kept\na: 1\nport: 8080\n"),
    ]);
    let plan = prepare(&lone, &[]).unwrap();
    let chart = plan.chart.unwrap();
    assert_eq!(chart.values.unwrap().raw, "# kept\na: 1\nport: 8080\n");
    assert_eq!(plan.values, "");
}

#[test]
fn a_chart_of_helm_3_and_one_with_old_values_are_refused() {
    let new = archive(&[("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n")]);
    let error = prepare(&new, &[]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(error.message.contains("needs Helm 3"), "{}", error.message);
    let old = archive(&[
        ("Chart.yaml", "name: c\nversion: 1.0.0\n"),
        ("values.toml", "a = 1\n"),
    ]);
    assert!(prepare(&old, &[]).is_err());
}
