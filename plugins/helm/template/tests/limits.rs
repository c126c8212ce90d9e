//! Hostile templates end in an error of their own, never in a hang, a panic or an overflow.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::rc::Rc;

use helm_template::{
    ErrorKind, Functions, Limits, Map, MissingKey, Signature, Templates, Type, Value,
};

fn functions() -> Rc<Functions> {
    let mut all = Functions::new();
    all.add("list", Signature::variadic(&[Type::Any]), |_, args| {
        Ok(Value::list(args.to_vec()))
    });
    all.add(
        "include",
        Signature::fixed(&[Type::Str, Type::Any]),
        |context, args| {
            let set = context.templates();
            let name = args[0].as_text().unwrap().to_text().into_owned();
            Ok(context.execute(&set, &name, &args[1])?.into())
        },
    );
    Rc::new(all)
}

fn run_with(template: &str, data: &Value, limits: &Limits) -> Result<String, helm_template::Error> {
    let set = Templates::new("root", functions(), MissingKey::Zero);
    set.parse("main", template)?;
    set.execute("main", data, limits)
        .map(|text| text.to_string())
}

fn run(template: &str) -> Result<String, helm_template::Error> {
    run_with(
        template,
        &Value::map([("a", Value::Int(1))]),
        &Limits::default(),
    )
}

fn ends_at_a_limit(template: &str) -> String {
    let error = run(template).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    error.text().to_owned()
}

#[test]
fn endless_recursion_ends_at_the_depth_limit() {
    for body in [
        "{{ template \"r\" . }}",
        "{{ include \"r\" . }}",
        "{{ print (print (print (include \"r\" .))) }}",
        "{{ and true (or false (include \"r\" .)) }}",
        "{{ if . }}{{ with . }}{{ range list 1 }}{{ include \"r\" $ }}{{ end }}{{ end }}{{ end }}",
    ] {
        let text = ends_at_a_limit(&format!(
            "{{{{ define \"r\" }}}}{body}{{{{ end }}}}{{{{ template \"r\" . }}}}"
        ));
        assert!(text.contains("nested deeper than allowed"), "{text}");
    }
}

#[test]
fn endless_loop_ends_at_the_step_limit() {
    let limits = Limits {
        steps: 10_000,
        ..Limits::default()
    };
    let error = run_with(
        "{{ range 9223372036854775807 }}{{ end }}",
        &Value::Nil,
        &limits,
    )
    .unwrap_err();
    assert_eq!(
        error.text(),
        "template: main:1:9: executing \"main\" at <9223372036854775807>: the templates take more than 10000 steps"
    );
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[test]
fn growing_text_ends_at_the_output_limit() {
    ends_at_a_limit(
        "{{ $x := \"0123456789abcdef\" }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}",
    );
    let text = ends_at_a_limit("{{ range 1000 }}{{ printf \"%1000000d\" 1 }}{{ end }}");
    assert!(
        text.starts_with("template: main:1:19: executing \"main\" at <printf")
            && text.ends_with("the templates produce more than 67108864 bytes of text"),
        "{text}"
    );
}

#[test]
fn growing_value_cannot_be_printed() {
    ends_at_a_limit("{{ $x := list 1 }}{{ range 90 }}{{ $x = list $x $x }}{{ end }}{{ $x }}");
    ends_at_a_limit("{{ $x := list 1 }}{{ range 5000 }}{{ $x = list $x }}{{ end }}{{ $x }}");
}

#[test]
fn value_nested_in_a_loop_is_freed_without_recursion() {
    assert_eq!(
        run("{{ $x := list }}{{ range 300000 }}{{ $x = list $x }}{{ end }}ok").unwrap(),
        "ok"
    );
}

#[test]
fn map_inside_itself_is_refused_by_print() {
    let map = Map::default();
    map.insert("self", Value::Map(map.clone()));
    let data = Value::Map(map.clone());
    let error = run_with("{{ . }}", &data, &Limits::default()).unwrap_err();
    assert_eq!(
        error.text(),
        "template: main:1:3: executing \"main\" at <.>: a value is nested too deeply to be printed"
    );
    assert!(!data.deep_equal(&Value::map([("self", Value::map([("self", Value::Nil)]))])));
    map.remove("self");
}

#[test]
fn deep_nesting_is_refused_by_the_parser() {
    let parens = |count| format!("{{{{ {}1{} }}}}", "(".repeat(count), ")".repeat(count));
    assert_eq!(run(&parens(200)).unwrap(), "1");
    let error = run(&parens(100_000)).unwrap_err();
    assert_eq!(
        error.text(),
        "template: main:1: max expression depth exceeded"
    );
    let blocks = |count| "{{ if true }}".repeat(count) + &"{{ end }}".repeat(count);
    assert_eq!(run(&blocks(100)).unwrap(), "");
    assert_eq!(run(&blocks(100_000)).unwrap_err().kind(), ErrorKind::Parse);
    let chain = format!(
        "{{{{ if false }}}}{}{{{{ end }}}}",
        "{{ else if false }}".repeat(100_000)
    );
    assert_eq!(run(&chain).unwrap_err().kind(), ErrorKind::Parse);
}

/// A small generator, so that the cases are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}

#[test]
fn mangled_templates_end_in_an_output_or_an_error() {
    let seeds: Vec<&str> = include_str!("cases/printf.txt")
        .lines()
        .chain(include_str!("cases/pipelines_and_calls.txt").lines())
        .chain(include_str!("cases/literals.txt").lines())
        .chain(include_str!("cases/range.txt").lines())
        .filter(|line| line.contains("{{"))
        .collect();
    let limits = Limits {
        steps: 20_000,
        output_bytes: 1 << 20,
        ..Limits::default()
    };
    let data = Value::map([
        ("a", Value::Int(1)),
        ("s", "é".into()),
        ("l", Value::list(vec![Value::Nil])),
    ]);
    let mut random = Random(42);
    let mut errors = 0;
    for _ in 0..20_000 {
        let mut text: Vec<char> = seeds[random.below(seeds.len())].chars().collect();
        for _ in 0..=random.below(3) {
            let at = random.below(text.len() + 1);
            let other: Vec<char> = "(){}|.$\"`'-:=, \n0xé%*[]#9".chars().collect();
            match random.below(3) {
                0 if at < text.len() => drop(text.remove(at)),
                1 => text.truncate(at),
                _ => text.insert(at, other[random.below(other.len())]),
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = run_with(&text, &data, &limits) {
            assert!(!error.text().is_empty());
            errors += 1;
        }
    }
    assert!((1..20_000).contains(&errors));
}
