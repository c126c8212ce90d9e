//! A cluster object as JSON, and the parts of the registry contract that every registry has to get right.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{Error, rfc3339};

/// One cluster object, unknown fields included. What it does not name, it keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Document(Map<String, Value>);

impl Document {
    /// Parses an object that the gateway handed over or that was stored.
    ///
    /// # Errors
    /// `invalid` when it is no JSON object with a `metadata.name`, or nested more than 128 deep.
    pub fn parse(json: &str) -> Result<Self, Error> {
        let value = serde_json::from_str(json)
            .map_err(|e| Error::invalid("", format!("the object is not JSON: {e}")))?;
        Self::from_value(value)
    }

    /// Takes a parsed object.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn from_value(value: Value) -> Result<Self, Error> {
        let Value::Object(map) = value else {
            return Err(Error::invalid("", "the object is no JSON object"));
        };
        let document = Self(map);
        if document.name().is_empty() {
            return Err(Error::invalid("metadata.name", "must be a name"));
        }
        Ok(document)
    }

    /// `metadata.<key>`.
    pub fn metadata(&self, key: &str) -> Option<&Value> {
        self.0.get("metadata")?.get(key)
    }

    fn text(&self, key: &str) -> &str {
        self.metadata(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// `metadata.name`; never empty.
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// `metadata.uid`, empty where there is none.
    pub fn uid(&self) -> &str {
        self.text("uid")
    }

    /// `metadata.labels`; values that are no text are left out.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.metadata("labels").and_then(Value::as_object);
        labels
            .into_iter()
            .flatten()
            .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
            .collect()
    }

    /// Everything.
    pub fn object(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Everything, to be changed.
    pub fn fields(&mut self) -> &mut Map<String, Value> {
        &mut self.0
    }

    /// Sets `metadata.<key>`; `None` removes it.
    pub fn set_metadata(&mut self, key: &str, value: Option<Value>) {
        let metadata = self
            .0
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        if !metadata.is_object() {
            *metadata = Value::Object(Map::new());
        }
        if let Value::Object(metadata) = metadata {
            match value {
                Some(value) => metadata.insert(key.to_owned(), value),
                None => metadata.remove(key),
            };
        }
    }

    /// Makes a new object of what a client sent: a fresh uid and creation time, no revision of somewhere else.
    pub fn begin(&mut self, uid: &str, now_ms: u64) {
        self.set_metadata("uid", Some(uid.into()));
        self.set_metadata("creationTimestamp", Some(rfc3339(now_ms).into()));
        self.set_metadata("resourceVersion", None);
    }

    /// Makes an update of the present object: its uid must be the same, creation time and status stay.
    ///
    /// # Errors
    /// `conflict` when the uid is another: this is a namesake.
    pub fn succeed(&mut self, present: &Self) -> Result<(), Error> {
        present.check_uid(Some(self.uid()))?;
        let created = present.metadata("creationTimestamp").cloned();
        self.set_metadata("creationTimestamp", created);
        self.set_metadata("resourceVersion", None);
        match present.0.get("status") {
            Some(status) => self.0.insert("status".into(), status.clone()),
            None => self.0.remove("status"),
        };
        Ok(())
    }

    /// Whether this is the object that the caller means; `None` means any.
    ///
    /// # Errors
    /// `conflict` when it is not.
    pub fn check_uid(&self, wanted: Option<&str>) -> Result<(), Error> {
        match wanted {
            Some(wanted) if wanted != self.uid() => Err(Error::conflict(
                format!(
                    "cluster \"{}\" has another uid: it was deleted and created again",
                    self.name()
                ),
                None,
            )),
            _ => Ok(()),
        }
    }

    /// Replaces `status.conditions` and nothing else.
    ///
    /// # Errors
    /// `invalid` when `conditions` is no JSON list.
    pub fn set_conditions(&mut self, conditions: &str) -> Result<(), Error> {
        let list: Vec<Value> = serde_json::from_str(conditions)
            .map_err(|e| Error::invalid("status.conditions", format!("no JSON list: {e}")))?;
        let status = self
            .0
            .entry("status")
            .or_insert_with(|| Value::Object(Map::new()));
        if !status.is_object() {
            *status = Value::Object(Map::new());
        }
        if let Value::Object(status) = status {
            status.insert("conditions".into(), list.into());
        }
        Ok(())
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

/// Whether the caller's expectation holds; `None` expects nothing.
///
/// # Errors
/// `conflict` with the present revision.
pub fn check_expected(present: &str, expected: Option<&str>) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != present => Err(Error::conflict(
            "the object was changed in the meantime: read it again",
            Some(present.to_owned()),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    fn document(json: &str) -> Document {
        Document::parse(json).unwrap()
    }

    #[test]
    fn an_update_keeps_what_is_not_the_clients_to_change() {
        let present = document(
            r#"{"metadata":{"name":"a","uid":"1","creationTimestamp":"then"},"status":{"x":1}}"#,
        );
        let mut new = document(
            r#"{"metadata":{"name":"a","uid":"1","resourceVersion":"9"},"spec":{"odd":[1]},"status":{}}"#,
        );
        new.succeed(&present).unwrap();
        let expected = r#"{"metadata":{"name":"a","uid":"1","creationTimestamp":"then"},"spec":{"odd":[1]},"status":{"x":1}}"#;
        assert_eq!(new, document(expected));
    }

    #[test]
    fn a_namesake_is_a_conflict() {
        let present = document(r#"{"metadata":{"name":"a","uid":"1"}}"#);
        let mut new = document(r#"{"metadata":{"name":"a","uid":"2"}}"#);
        assert_eq!(new.succeed(&present).unwrap_err().code, ErrorCode::Conflict);
        assert!(present.check_uid(None).is_ok());
    }

    #[test]
    fn conditions_replace_only_conditions() {
        let mut it = document(r#"{"metadata":{"name":"a"},"status":{"kept":true}}"#);
        it.set_conditions(r#"[{"type":"Ready"}]"#).unwrap();
        let expected =
            r#"{"metadata":{"name":"a"},"status":{"kept":true,"conditions":[{"type":"Ready"}]}}"#;
        assert_eq!(it, document(expected));
        assert!(it.set_conditions("{}").is_err());
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let error = Document::parse(&deep).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
    }
}
