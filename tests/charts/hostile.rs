//! Charts made to hang, to overflow or to fill the memory: each ends in one error.

use std::rc::Rc;

use helm_chart::{ArchiveLimits, Chart, File};
use helm_engine::{ChartSource, TemplateArgs, template};
use helm_functions::{Environment, NativeEnvironment};
use optikon_tests::tar::{archive, gzip};

fn render(files: &[(&str, String)]) -> String {
    let head = (
        "Chart.yaml",
        "apiVersion: v2\nname: c\nversion: 1.0.0\n".to_owned(),
    );
    let files = std::iter::once(&head).chain(files);
    let files = files
        .map(|(name, text)| File::new(*name, text.clone()))
        .collect();
    let environment: Rc<dyn Environment> = Rc::new(NativeEnvironment);
    let source = ChartSource::Folder(files);
    let output = template(&source, &TemplateArgs::default(), &environment, &mut |_| {
        Err("no files".into())
    });
    assert_eq!(output.exit_code, 1, "{}", output.stdout.len());
    output.stderr
}

fn render_one(text: &str) -> String {
    render(&[("templates/x.yaml", text.to_owned())])
}

#[test]
fn endless_templates_end() {
    for text in [
        "{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}",
        "{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}",
        "{{ define \"a\" }}{{ tpl \"{{ include \\\"a\\\" . }}\" . }}{{ end }}{{ include \"a\" . }}",
        "{{ range until 99999 }}{{ range until 99999 }}{{ range until 99999 }}{{ end }}{{ end }}{{ end }}",
        "{{ range 9000000000000 }}{{ end }}",
    ] {
        let error = render_one(text);
        assert!(error.contains("Error: "), "{text}: {error}");
    }
}

#[test]
fn growing_output_ends() {
    for text in [
        "{{ $x := repeat 1000 \"x\" }}{{ range until 40 }}{{ $x = print $x $x }}{{ end }}{{ $x }}",
        "{{ range until 100000 }}{{ repeat 100000 \"x\" }}{{ end }}",
        "{{ $l := list 1 }}{{ range until 60 }}{{ $l = concat $l $l }}{{ end }}{{ len $l }}",
        "{{ $d := dict }}{{ range until 60 }}{{ $d = dict \"a\" $d \"b\" $d }}{{ end }}{{ toYaml $d }}{{ fail \"end\" }}",
    ] {
        let error = render_one(text);
        assert!(error.contains("Error: "), "{text}: {error}");
    }
}

#[test]
fn deep_nesting_is_an_error_not_an_overflow() {
    let deep = |open: &str, close: &str, times: usize| open.repeat(times) + &close.repeat(times);
    let error = render_one(&deep("{{ if true }}", "{{ end }}", 100_000));
    assert!(error.contains("Error: "));
    let error = render_one(&format!(
        "{{{{ {}1{} }}}}",
        "(".repeat(100_000),
        ")".repeat(100_000)
    ));
    assert!(error.contains("Error: "));
    let error = render(&[("values.yaml", format!("a: {}", deep("[", "]", 100_000)))]);
    assert!(error.contains("Error: "));
    let error = render(&[("values.schema.json", deep("[", "]", 100_000))]);
    assert!(error.contains("Error: "));
    let error = render_one(&deep("[", "]", 100_000));
    assert!(error.contains("Error: "));
    let loops = "{{ $x := dict }}{{ range until 50000 }}{{ $x = dict \"a\" $x }}{{ end }}";
    for end in [
        "{{ toYaml $x }}",
        "{{ toJson $x }}",
        "{{ $x }}",
        "{{ deepCopy $x | len }}x: [",
        "{{ eq $x $x }}",
    ] {
        let error = render_one(&format!("{loops}{end}{{{{ fail \"end\" }}}}"));
        assert!(error.contains("Error: "), "{end}");
    }
}

#[test]
fn a_schema_that_refers_to_itself_is_refused() {
    let error = render(&[("values.schema.json", "{\"$ref\": \"#\"}".to_owned())]);
    assert!(error.contains("causing reference cycle"), "{error}");
}

#[test]
fn a_schema_elsewhere_is_not_fetched() {
    let error = render(&[(
        "values.schema.json",
        "{\"$ref\": \"https://example.com/schema.json\"}".to_owned(),
    )]);
    assert!(error.contains("lies outside the chart"), "{error}");
}

const CHART: (&str, u8, &[u8]) = (
    "c/Chart.yaml",
    b'0',
    b"apiVersion: v2\nname: c\nversion: 1.0.0\n",
);

fn load(entries: &[(&str, u8, &[u8])]) -> Result<Chart, String> {
    Chart::from_archive(&archive(entries), &ArchiveLimits::default())
        .map_err(|error| error.to_string())
}

#[test]
fn what_no_chart_should_hold_is_refused_by_name() {
    for (entry, wanted) in [
        (("c/link", b'2', &b""[..]), "\"c/link\" is a symbolic link"),
        (("c/link", b'1', b""), "\"c/link\" is a hard link"),
        (("c/dev", b'3', b""), "\"c/dev\" is a device"),
        (("c/../x", b'0', b""), "parent directory: \"c/../x\""),
        (("../x", b'0', b""), "parent directory: \"../x\""),
        (("/etc/x", b'0', b""), "absolute paths: \"/etc/x\""),
        (("c//etc/x", b'0', b""), "absolute paths: \"c//etc/x\""),
        (("c/c:/x", b'0', b""), "illegally named files: \"c/c:/x\""),
        (
            ("Chart.yaml", b'0', b""),
            "chart yaml not in base directory",
        ),
        (("c", b'0', b""), "outside the base directory: \"c\""),
        (("c/Chart.yaml", b'0', b""), "\"Chart.yaml\" twice"),
        (("c/chart.YAML", b'0', b""), "differ only in case"),
    ] {
        let error = load(&[CHART, entry]).unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn two_sizes_for_one_entry_are_refused() {
    let error = load(&[
        CHART,
        ("pax", b'x', b"12 size=999\n"),
        ("c/x", b'0', b"abc"),
    ])
    .unwrap_err();
    assert!(error.contains("has two sizes"), "{error}");
    assert!(load(&[CHART, ("pax", b'x', b"10 size=3\n"), ("c/x", b'0', b"abc")]).is_ok());
}

#[test]
fn bombs_end_at_the_limits() {
    let limits = ArchiveLimits::default();
    let zeroes = vec![0_u8; 20 << 20];
    let error = load(&[CHART, ("c/zeroes", b'0', &zeroes)]).unwrap_err();
    assert!(error.contains("too many for its size"), "{error}");

    let small = ArchiveLimits {
        unpacked_bytes: 1 << 10,
        ..limits
    };
    let big = archive(&[CHART, ("c/x", b'0', &[b'x'; 2000])]);
    let error = Chart::from_archive(&big, &small).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("larger than the maximum size 1024"),
        "{error}"
    );

    let few = ArchiveLimits {
        entries: 2,
        ..limits
    };
    let many = archive(&[CHART, ("c/a", b'0', b""), ("c/b", b'0', b"")]);
    assert!(
        Chart::from_archive(&many, &few)
            .unwrap_err()
            .to_string()
            .contains("more than 2 entries")
    );

    let short = ArchiveLimits {
        path_bytes: 16,
        ..limits
    };
    let long = archive(&[CHART, ("c/a-long-name-that-is-refused", b'0', b"")]);
    assert!(
        Chart::from_archive(&long, &short)
            .unwrap_err()
            .to_string()
            .contains("longer than 16")
    );
}

#[test]
fn charts_inside_charts_share_the_limits() {
    let inner = archive(&[
        (
            "d/Chart.yaml",
            b'0',
            b"apiVersion: v2\nname: d\nversion: 1.0.0\n",
        ),
        ("d/x", b'0', &[b'x'; 3000]),
    ]);
    let outer = archive(&[CHART, ("c/charts/d.tgz", b'0', &inner)]);
    assert!(Chart::from_archive(&outer, &ArchiveLimits::default()).is_ok());
    let limits = ArchiveLimits {
        unpacked_bytes: 3000,
        ..ArchiveLimits::default()
    };
    let error = Chart::from_archive(&outer, &limits).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("error unpacking subchart d.tgz in c"),
        "{error}"
    );
}

#[test]
fn broken_archives_end_in_one_error() {
    let good = archive(&[CHART, ("c/templates/x.yaml", b'0', b"a: {{ .Values.b }}")]);
    assert!(Chart::from_archive(&good, &ArchiveLimits::default()).is_ok());
    for cut in 0..good.len() {
        // Whatever happens, it is no panic.
        let _ = Chart::from_archive(&good[..cut], &ArchiveLimits::default());
    }
    assert!(Chart::from_archive(b"", &ArchiveLimits::default()).is_err());
    assert!(Chart::from_archive(&gzip(b"no tar at all"), &ArchiveLimits::default()).is_err());
    assert!(Chart::from_archive(&gzip(b""), &ArchiveLimits::default()).is_err());
}
