//! Runs `cases/*.txt` and compares outputs and errors byte for byte.
//!
//! What is expected there was recorded from Go 1.26's text/template, over the values of [`data`] and the
//! functions of [`functions`]. A case is a line `---` (perhaps with an option), the template, and
//! `>>> ` with the output or `!!! ` with the error.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::any::Any;
use std::borrow::Cow;
use std::rc::Rc;

use helm_template::{
    Error, Functions, Limits, List, ListType, Map, MapType, Method, MissingKey, NamedType, Object,
    Signature, Str, Templates, Type, Value, fmt,
};

/// A Go struct with two kinds of fields and three methods.
#[derive(Debug)]
struct Ver;

impl Object for Ver {
    fn type_name(&self) -> Cow<'static, str> {
        "main.Ver".into()
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("Major", "1".into()),
            ("Minor", Value::Int(2)),
            ("Tags", List::of_strings(["x", "y"]).into()),
        ]
    }

    fn methods(&self) -> &'static [Method] {
        static METHODS: &[Method] = &[
            Method {
                name: "Has",
                signature: Signature::fixed(&[Type::Str]),
                call: |_, _, args| Ok(Value::Bool(text(&args[0]) == "yes")),
            },
            Method {
                name: "Join",
                signature: Signature::variadic(&[Type::Str, Type::Any]),
                call: |_, _, args| Ok(fmt::sprint(args)?.into()),
            },
            Method {
                name: "Fail",
                signature: Signature::fixed(&[]),
                call: |_, _, _| Err(Error::new("it failed")),
            },
        ];
        METHODS
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

static VALUES: NamedType = NamedType {
    name: "main.Values",
    element: "interface {}",
    methods: &[],
};

/// What every template is given.
fn data() -> Value {
    let number = Value::Float;
    let string = |text: &str| Value::str(text);
    let list = Value::list;
    let vals = [
        ("k", list(vec![number(1.0), Value::Nil])),
        ("a", Value::map([("b", number(1e6))])),
    ];
    let named: Map = vals.iter().cloned().collect();
    let deep = list(vec![Value::map([("d", Value::Nil)])]);
    let typed = [("a", "x"), ("b", "")].map(|(key, text)| (Str::from(key), string(text)));
    Value::map([
        ("a", string("A")),
        ("b", Value::Nil),
        ("s", string("hello")),
        ("n", number(5.0)),
        (
            "l",
            list(vec![
                number(1.0),
                string("two"),
                Value::Nil,
                list(vec![number(1.5)]),
                Value::map([("k", string("v"))]),
            ]),
        ),
        (
            "m",
            Value::map([
                ("k", string("v")),
                ("x", Value::map([("y", string("deep"))])),
                ("b", Value::Nil),
                ("n", number(0.0)),
            ]),
        ),
        ("t", Value::Bool(true)),
        ("f", Value::Bool(false)),
        ("e", string("")),
        ("em", Value::Map(Map::default())),
        ("fl", number(0.1)),
        ("big", number(1e21)),
        ("vals", Value::map(vals)),
        (
            "nest",
            Value::map([
                ("a", Value::map([("b", Value::map([("c", deep)]))])),
                ("z", number(-0.5)),
            ]),
        ),
        (
            "typed",
            Map::from_entries(MapType::Str, typed.into()).into(),
        ),
        ("strs", List::of_strings(["p", "q"]).into()),
        ("int", Value::Int(3)),
        ("i64", Value::Int64(-4)),
        ("u8", Value::Uint8(200)),
        ("dur", Value::Duration(1_500_000_000)),
        ("ver", Value::object(Ver)),
        ("bytes", Value::Bytes((*b"hi\xff").into())),
        ("raw", Value::Str(Str::from(&b"a\xffb\xe4\xb8"[..]))),
        ("Values", Value::Map(named.retyped(MapType::Named(&VALUES)))),
    ])
}

fn text(value: &Value) -> Cow<'_, str> {
    value.as_text().unwrap().to_text()
}

fn int(value: &Value) -> i64 {
    value.as_signed().unwrap()
}

fn count(length: usize) -> Result<Value, Error> {
    Ok(Value::Int(i64::try_from(length).unwrap()))
}

const NONE: Signature = Signature::fixed(&[]);
const STR: Signature = Signature::fixed(&[Type::Str]);
const INT: Signature = Signature::fixed(&[Type::Int]);
const ANY: Signature = Signature::variadic(&[Type::Any]);

/// Functions with parameters of every sort.
fn functions() -> Functions {
    let mut all = Functions::new();
    all.add("list", ANY, |_, args| Ok(Value::list(args.to_vec())));
    all.add("dict", ANY, |_, args| {
        let pairs = args
            .chunks(2)
            .map(|pair| (text(&pair[0]).into_owned(), pair[1].clone()));
        Ok(Value::map(pairs))
    });
    all.add(
        "set",
        Signature::fixed(&[Type::Dict, Type::Str, Type::Any]),
        |_, args| {
            args[0]
                .as_map()
                .unwrap()
                .insert(text(&args[1]), args[2].clone());
            Ok(args[0].clone())
        },
    );
    all.add("upper", STR, |_, args| {
        Ok(text(&args[0]).to_uppercase().into())
    });
    all.add(
        "repeat",
        Signature::fixed(&[Type::Int, Type::Str]),
        |_, args| {
            Ok(text(&args[1])
                .repeat(usize::try_from(int(&args[0])).unwrap())
                .into())
        },
    );
    all.add("boom", STR, |_, args| Err(Error::new(text(&args[0]))));
    all.add("i64", INT, |_, args| Ok(Value::Int64(int(&args[0]))));
    all.add("u64", INT, |_, args| {
        Ok(Value::Uint64(int(&args[0]).unsigned_abs()))
    });
    all.add("dur", INT, |_, args| Ok(Value::Duration(int(&args[0]))));
    all.add(
        "half",
        Signature::fixed(&[Type::Float]),
        |_, args| match args[0] {
            Value::Float(number) => Ok(Value::Float(number / 2.0)),
            _ => panic!("the executor let {:?} pass for a float", args[0]),
        },
    );
    all.add("neg", Signature::fixed(&[Type::Bool]), |_, args| {
        Ok(Value::Bool(!args[0].is_true()))
    });
    all.add("strs", Signature::variadic(&[Type::Str]), |_, args| {
        Ok(List::new(ListType::Str, args.to_vec()).into())
    });
    all.add("nillist", NONE, |_, _| {
        Ok(Value::List(List::nil(ListType::Any)))
    });
    all.add("nilmap", NONE, |_, _| {
        Ok(Value::Map(Map::nil(MapType::Any)))
    });
    all.add("keysOf", Signature::fixed(&[Type::Dict]), |_, args| {
        count(args[0].as_map().unwrap().len())
    });
    all.add("lenOf", Signature::fixed(&[Type::List]), |_, args| {
        count(args[0].as_list().unwrap().len())
    });
    all.add("ver", NONE, |_, _| Ok(Value::object(Ver)));
    all.add(
        "include",
        Signature::fixed(&[Type::Str, Type::Any]),
        |context, args| {
            let set = context.templates();
            Ok(context.execute(&set, &text(&args[0]), &args[1])?.into())
        },
    );
    all
}

fn result_of(functions: &Rc<Functions>, missing_key: MissingKey, template: &str) -> String {
    let set = Templates::new("root", Rc::clone(functions), missing_key);
    let result = set
        .parse("main.yaml", template)
        .and_then(|_| set.execute("main.yaml", &data(), &Limits::default()));
    match result {
        Ok(output) => format!(">>> {output}"),
        Err(error) => format!("!!! {error}"),
    }
}

fn check(name: &str, cases: &str) {
    let functions = Rc::new(functions());
    let mut wrong = Vec::new();
    let mut checked = 0;
    for case in format!("\n{}", cases.trim_end_matches('\n'))
        .split("\n---")
        .skip(1)
    {
        let (option, rest) = case.split_once('\n').unwrap();
        let missing_key = match option.trim() {
            "missingkey=default" => MissingKey::Invalid,
            "missingkey=error" => MissingKey::Error,
            _ => MissingKey::Zero,
        };
        let at = rest.find("\n>>> ").or_else(|| rest.find("\n!!! ")).unwrap();
        let (template, expected) = (&rest[..at], &rest[at + 1..]);
        let got = result_of(&functions, missing_key, template);
        if got != expected {
            wrong.push(format!("{template}\nwanted {expected}\ngot    {got}\n"));
        }
        checked += 1;
    }
    assert!(checked > 0, "no case in {name}");
    assert!(
        wrong.is_empty(),
        "{} of {checked} cases differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

macro_rules! suites {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            check(stringify!($name), include_str!(concat!("cases/", stringify!($name), ".txt")));
        }
    )*};
}

suites! {
    comparison conditions fields index_slice_len literals logic methods missing_keys pipelines_and_calls
    print_and_escape printf range templates text_and_trim variables
}
