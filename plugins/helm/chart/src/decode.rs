//! YAML read into the fields that Go's structs have, with Go's conversions and words.
//!
//! Helm reads a chart's metadata, lock files and manifest heads into Go structs: a number or a bool
//! becomes text where the field is text, field names match in any case, what does not fit is an
//! error that names struct, field and Go type, and decoding goes on after the first such error.

use serde_json::{Map, Value};

/// The Go type that a part of a document is read into.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// `string`
    Text,
    /// `bool`
    Bool,
    /// `time.Time`, kept as text.
    Time,
    /// `interface {}`
    Any,
    /// A slice; with the Go type's name.
    List(&'static str, &'static Shape),
    /// `map[string]T`; with the Go type's name.
    Map(&'static str, &'static Shape),
    /// A struct.
    Struct(&'static Struct),
}

/// A Go struct: the type's name with package (`v2.Metadata`), without (`Metadata`), and its fields.
#[derive(Debug)]
pub struct Struct {
    /// With the package, as in `Go value of type util.SimpleHead`.
    pub type_name: &'static str,
    /// Without, as in `Go struct field SimpleHead.kind`.
    pub name: &'static str,
    /// JSON names and types.
    pub fields: &'static [(&'static str, Shape)],
}

/// Reads the first document of a text into `target`, over what is there, as `yaml.Unmarshal` does.
///
/// # Errors
/// Go's words; `target` then holds what could be read.
pub fn unmarshal(text: &[u8], shape: Shape, target: &mut Value) -> Result<(), String> {
    let raw = helm_yaml::decode_raw(text).map_err(|error| error.to_string())?;
    if raw.is_null() {
        return Ok(());
    }
    let mut decoder = Decoder::default();
    decoder.read(&raw, shape, target);
    match decoder.error {
        Some(error) => Err(format!(
            "error unmarshaling JSON: while decoding JSON: {error}"
        )),
        None => Ok(()),
    }
}

/// Reads the first document of a text as a map of anything, as into `map[string]interface {}`;
/// an empty document is an empty map. All numbers are floats.
///
/// # Errors
/// Go's words.
pub fn unmarshal_map(text: &[u8]) -> Result<Map<String, Value>, String> {
    let mut target = Value::Null;
    unmarshal(
        text,
        Shape::Map("map[string]interface {}", &Shape::Any),
        &mut target,
    )?;
    match target {
        Value::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

/// Turns every number into a float, as Go's JSON decoder does for `interface {}`.
#[must_use]
pub fn floats(value: Value) -> Value {
    match value {
        Value::Number(number) => number
            .as_f64()
            .and_then(serde_json::Number::from_f64)
            .map_or(Value::Null, Value::Number),
        Value::Array(items) => Value::Array(items.into_iter().map(floats).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| (key, floats(value)))
                .collect(),
        ),
        other => other,
    }
}

#[derive(Default)]
struct Decoder {
    owner: Option<&'static str>,
    path: Vec<&'static str>,
    error: Option<String>,
}

impl Decoder {
    fn read(&mut self, raw: &Value, shape: Shape, target: &mut Value) {
        match (shape, raw) {
            (Shape::Any, _) => *target = floats(raw.clone()),
            (Shape::Text | Shape::Bool | Shape::Time, Value::Null)
            | (Shape::Struct(_), Value::Null) => {}
            (Shape::List(..) | Shape::Map(..), Value::Null) => *target = Value::Null,
            (Shape::Text | Shape::Time, Value::String(_)) => {
                if let (Shape::Time, Value::String(text)) = (shape, raw)
                    && !is_time(text)
                {
                    self.fail(format!(
                        "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
                    ));
                    return;
                }
                *target = raw.clone();
            }
            (Shape::Text, Value::Number(_) | Value::Bool(_)) => {
                *target = Value::String(text_of(raw))
            }
            (Shape::Bool, Value::Bool(_)) => *target = raw.clone(),
            (Shape::List(_, element), Value::Array(items)) => {
                self.read_list(items, *element, target)
            }
            (Shape::Map(_, element), Value::Object(entries)) => {
                self.read_map(entries, *element, target)
            }
            (Shape::Struct(ty), Value::Object(entries)) => self.read_struct(entries, ty, target),
            (Shape::Time, _) => self.fail("Time.UnmarshalJSON: input is not a JSON string".into()),
            _ => self.mismatch(raw, shape),
        }
    }

    fn read_list(&mut self, items: &[Value], element: Shape, target: &mut Value) {
        let mut old = match target.take() {
            Value::Array(old) => old.into_iter(),
            _ => Vec::new().into_iter(),
        };
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let mut slot = old.next().unwrap_or_else(|| zero(element));
            if item.is_null() && matches!(element, Shape::Struct(_)) {
                slot = Value::Null; // a nil pointer
            } else {
                if slot.is_null() {
                    slot = zero(element);
                }
                self.read(item, element, &mut slot);
            }
            list.push(slot);
        }
        *target = Value::Array(list);
    }

    fn read_map(&mut self, entries: &Map<String, Value>, element: Shape, target: &mut Value) {
        let mut map = match target.take() {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        for (key, item) in sorted(entries) {
            let mut slot = zero(element);
            self.read(item, element, &mut slot);
            map.insert(key.clone(), slot);
        }
        *target = Value::Object(map);
    }

    fn read_struct(
        &mut self,
        entries: &Map<String, Value>,
        ty: &'static Struct,
        target: &mut Value,
    ) {
        let mut map = match target.take() {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let owner = self.owner.replace(ty.name);
        for (key, item) in sorted(entries) {
            let exact = ty.fields.iter().find(|(name, _)| name == key);
            let field = exact.or_else(|| {
                let mut fields = ty.fields.iter();
                fields.find(|(name, _)| name.eq_ignore_ascii_case(key))
            });
            let Some((name, shape)) = field else { continue };
            let mut slot = map.remove(*name).unwrap_or_else(|| zero(*shape));
            self.path.push(name);
            self.read(item, *shape, &mut slot);
            self.path.pop();
            map.insert((*name).to_owned(), slot);
        }
        self.owner = owner;
        *target = Value::Object(map);
    }

    fn mismatch(&mut self, raw: &Value, shape: Shape) {
        let found = match raw {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let ty = type_name(shape);
        self.fail(match self.owner {
            Some(owner) => format!(
                "json: cannot unmarshal {found} into Go struct field {owner}.{} of type {ty}",
                self.path.join(".")
            ),
            None => format!("json: cannot unmarshal {found} into Go value of type {ty}"),
        });
    }

    fn fail(&mut self, text: String) {
        self.error.get_or_insert(text);
    }
}

fn sorted(entries: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by(|a, b| a.0.cmp(b.0));
    entries
}

fn zero(shape: Shape) -> Value {
    match shape {
        Shape::Text => Value::String(String::new()),
        Shape::Bool => Value::Bool(false),
        _ => Value::Null,
    }
}

fn type_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Text => "string",
        Shape::Bool => "bool",
        Shape::Time => "time.Time",
        Shape::Any => "interface {}",
        Shape::List(name, _) | Shape::Map(name, _) => name,
        Shape::Struct(ty) => ty.type_name,
    }
}

fn text_of(scalar: &Value) -> String {
    match scalar {
        Value::Bool(value) => value.to_string(),
        Value::Number(number) if number.is_f64() => float_text(number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

/// Go's `strconv.FormatFloat(value, 'g', -1, 32)`, which is what a float becomes in a field of text.
fn float_text(value: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "Go formats it as a float32 too"
    )]
    let short = value as f32;
    if !short.is_finite() {
        return if short.is_nan() {
            "NaN"
        } else if short > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .to_owned();
    }
    let scientific = format!("{short:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{short}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// Whether a text is a time as RFC 3339 writes it.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes
            .get(range)
            .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let at = |index: usize, wanted: u8| bytes.get(index) == Some(&wanted);
    let head = digits(0..4)
        && at(4, b'-')
        && digits(5..7)
        && at(7, b'-')
        && digits(8..10)
        && at(10, b'T')
        && digits(11..13)
        && at(13, b':')
        && digits(14..16)
        && at(16, b':')
        && digits(17..19);
    let mut rest = text.get(19..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let zone = rest.as_bytes();
    let is_zone = rest == "Z"
        || (zone.len() == 6
            && matches!(zone.first(), Some(b'+' | b'-'))
            && zone.get(3) == Some(&b':'));
    head && is_zone
}
