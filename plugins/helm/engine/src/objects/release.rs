//! `.Release`

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use helm_template::{Kind, Map, Object, Str, Value};

use crate::facts::Facts;

/// The release; a map in Go, read field by field.
pub(crate) struct Release(pub(crate) Rc<dyn Facts>);

/// In the order of the keys.
const KEYS: [&str; 6] = [
    "IsInstall",
    "IsUpgrade",
    "Name",
    "Namespace",
    "Revision",
    "Service",
];

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Release")
    }
}

impl Object for Release {
    fn type_name(&self) -> Cow<'static, str> {
        Cow::Borrowed("map[string]interface {}")
    }

    fn kind(&self) -> Kind {
        Kind::Map
    }

    fn entry(&self, key: &[u8]) -> Option<Value> {
        Some(match key {
            b"Name" => self.0.release_name().into(),
            b"Namespace" => self.0.release_namespace().into(),
            b"IsUpgrade" => self.0.is_upgrade().into(),
            b"IsInstall" => (!self.0.is_upgrade()).into(),
            b"Revision" => Value::Int(self.0.release_revision()),
            b"Service" => "Helm".into(),
            _ => return None,
        })
    }

    fn entries(&self) -> Vec<(Str, Value)> {
        let entry = |key: &&str| Some((Str::from(*key), self.entry(key.as_bytes())?));
        KEYS.iter().filter_map(entry).collect()
    }

    fn plain(&self) -> Option<Value> {
        self.to_data()
    }

    fn to_data(&self) -> Option<Value> {
        Some(Value::Map(self.entries().into_iter().collect::<Map>()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
