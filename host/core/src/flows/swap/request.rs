//! `PUT /plugins/{slot}`: what is asked for, as JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    error::{Error, FieldError, Result},
    flows::input::{self, PROXY_URL, TLS_SERVER_NAME, Unknown},
    ports::{Filling, PluginInfo},
    words::{Cluster, Member, PluginName},
};

/// What becomes of the clusters when another registry takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Migrate {
    /// What the new registry holds is served.
    #[default]
    None,
    /// The new registry is made to hold what the old one holds.
    Copy,
}

/// What is to fill a slot.
#[derive(Debug, Clone)]
pub struct SwapRequest {
    /// The plugin's name.
    pub plugin: PluginName,
    /// `sha256:…` that its file must have.
    pub digest: Option<String>,
    /// Its configuration; absent = the present one of the same plugin, else none.
    pub config: Option<Map<String, Value>>,
    /// What it may import beyond what the slot was granted so far; `all` = everything that it asks for.
    pub grants: Vec<String>,
    /// Where `central` leads to; absent = as for the present plugin, else the configured cluster.
    pub central: Option<Member>,
    /// What becomes of the clusters.
    pub migrate: Migrate,
}

/// The keys of a request.
const KEYS: [&str; 6] = ["plugin", "digest", "config", "grants", "central", "migrate"];

impl SwapRequest {
    /// Reads a body. Errors never quote it: there may be a credential in it.
    ///
    /// # Errors
    /// `Invalid` with every field.
    pub fn read(value: Value) -> Result<Self> {
        let Value::Object(mut body) = value else {
            return Err(Error::invalid("", "must be a JSON object"));
        };
        let mut problems: Vec<FieldError> = body
            .keys()
            .filter(|key| !KEYS.contains(&key.as_str()))
            .map(|key| FieldError::new(key.escape_debug().to_string(), "is not known here"))
            .collect();
        let mut problem = |field: &str, rule: &str| problems.push(FieldError::new(field, rule));
        let plugin = body.get("plugin").and_then(Value::as_str);
        let plugin: Option<PluginName> = plugin.and_then(|text| text.parse().ok());
        if plugin.is_none() {
            problem("plugin", "must be a plugin's name, as in registry-crd");
        }
        let digest = match body.remove("digest") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.starts_with("sha256:") => Some(text),
            Some(_) => {
                problem("digest", "must be sha256:…");
                None
            }
        };
        let config = match body.remove("config") {
            None | Some(Value::Null) => None,
            Some(Value::Object(config)) => Some(config),
            Some(_) => {
                problem("config", "must be an object");
                None
            }
        };
        let grants = match body.remove("grants").map(serde_json::from_value) {
            None => Vec::new(),
            Some(Ok(grants)) => grants,
            Some(Err(_)) => {
                problem("grants", "must be a list of names");
                Vec::new()
            }
        };
        let migrate = match body.remove("migrate").map(serde_json::from_value) {
            None => Migrate::None,
            Some(Ok(migrate)) => migrate,
            Some(Err(_)) => {
                problem("migrate", "must be copy or none");
                Migrate::None
            }
        };
        let central = match body.remove("central") {
            None | Some(Value::Null) => None,
            Some(value) => match central(value) {
                Ok(member) => Some(member),
                Err(Error::Invalid(fields)) => {
                    problems.extend(fields.into_iter().map(|mut field| {
                        field.field = format!("central.{}", field.field);
                        field
                    }));
                    None
                }
                Err(other) => return Err(other),
            },
        };
        match plugin {
            Some(plugin) if problems.is_empty() => Ok(Self {
                plugin,
                digest,
                config,
                grants,
                central,
                migrate,
            }),
            _ => Err(Error::Invalid(problems)),
        }
    }

    /// What is to fill the slot, given what fills it now. Beyond what was granted so far nothing is granted silently.
    ///
    /// # Errors
    /// `Invalid` with every power that the plugin asks for and was not granted, and why it asks.
    pub(super) fn filling(&self, info: &PluginInfo, present: Option<&Filling>) -> Result<Filling> {
        let is_all = self.grants.iter().any(|g| g == "all");
        let so_far = present.map_or(&[][..], |p| p.grants.as_slice());
        let (mut grants, mut problems) = (Vec::new(), Vec::new());
        for (interface, why) in &info.asks {
            if is_all || so_far.contains(interface) || self.grants.contains(interface) {
                grants.push(interface.clone());
                continue;
            }
            problems.push(FieldError::new(
                "grants",
                format!(
                    "{} asks for \"{interface}\", which the slot was not granted so far: {why}; add it to grants \
                     (--grant {interface}, or --grant all)",
                    info.name
                ),
            ));
        }
        let is_asked = |g: &&String| g.as_str() == "all" || info.asks.contains_key(g.as_str());
        let unasked = self.grants.iter().filter(|g| !is_asked(g));
        problems.extend(unasked.map(|g| {
            let message = format!("{} does not ask for \"{}\"", info.name, g.escape_debug());
            FieldError::new("grants", message)
        }));
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let same = present.filter(|p| p.plugin == self.plugin);
        let config = self.config.clone();
        Ok(Filling {
            plugin: self.plugin.clone(),
            digest: self.digest.clone(),
            config: config
                .or_else(|| same.map(|p| p.config.clone()))
                .unwrap_or_default(),
            grants,
            central_grants: same.and_then(|p| p.central_grants.clone()),
            limits: same.map(|p| p.limits.clone()).unwrap_or_default(),
            central: self
                .central
                .clone()
                .or_else(|| same.and_then(|p| p.central.clone())),
        })
    }
}

/// A central cluster in the short form of a cluster, without a name.
fn central(value: Value) -> Result<Member> {
    let Value::Object(mut fields) = value else {
        return Err(Error::invalid(
            "",
            "must be an object with server, ca and a credential",
        ));
    };
    fields.insert("name".into(), "central".into());
    let draft = input::read(Value::Object(fields), None, Unknown::Refuse)?;
    let cluster = Cluster::from_object(draft.object)?;
    let endpoints = cluster.endpoints()?;
    Ok(Member {
        name: cluster.name().clone(),
        // Told from others when it is taken into use.
        uid: crate::flows::unknown_uid(),
        endpoints,
        ca: cluster.ca()?,
        tls_server_name: cluster.annotation(TLS_SERVER_NAME),
        proxy_url: cluster.annotation(PROXY_URL),
        direct: None,
        credential: draft.credential,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn info(asks: &[(&str, &str)]) -> PluginInfo {
        PluginInfo {
            name: "registry-crd".parse().unwrap(),
            version: "0.1.0".into(),
            world: "registry".into(),
            description: String::new(),
            digest: "sha256:0".into(),
            size_bytes: 0,
            imports: Vec::new(),
            asks: asks
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            central: Vec::new(),
        }
    }

    #[test]
    fn a_power_that_is_new_is_shown_and_has_to_be_granted() {
        let info = info(&[("central", "keeps them there"), ("log", "speaks")]);
        let read = |grants: Value| {
            SwapRequest::read(json!({"plugin": "registry-crd", "grants": grants})).unwrap()
        };
        let present = Filling {
            plugin: "registry-embedded".parse().unwrap(),
            digest: None,
            config: Map::new(),
            grants: vec!["log".into(), "kv".into()],
            central_grants: None,
            limits: Map::new(),
            central: None,
        };
        let refused = read(json!([]))
            .filling(&info, Some(&present))
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("central") && refused.contains("keeps them there"),
            "{refused}"
        );
        for grants in [json!(["central"]), json!(["all"])] {
            let filling = read(grants).filling(&info, Some(&present)).unwrap();
            assert_eq!(filling.grants, ["central", "log"]);
        }
        assert!(
            read(json!(["all", "sockets"]))
                .filling(&info, Some(&present))
                .is_err()
        );
    }

    #[test]
    fn errors_never_quote_what_was_sent() {
        let body = json!({"plugin": 7, "s3cret-key": 1, "digest": "s3cret", "grants": "s3cret", "migrate": "s3cret",
            "central": {"server": "https://h", "token": ["s3cret"]}});
        let error = SwapRequest::read(body).unwrap_err();
        let Error::Invalid(fields) = &error else {
            panic!("{error}")
        };
        assert!(fields.len() >= 5, "{fields:?}");
        assert!(
            fields.iter().all(|f| !f.message.contains("s3cret")),
            "{fields:?}"
        );
    }

    #[test]
    fn a_central_cluster_comes_apart_like_a_member() {
        let body = json!({"plugin": "registry-crd", "migrate": "copy",
            "central": {"server": "https://10.0.0.1:6443", "token": "t"}});
        let request = SwapRequest::read(body).unwrap();
        let central = request.central.unwrap();
        assert_eq!(central.endpoints[0].url, "https://10.0.0.1:6443");
        assert!(central.credential.is_some() && request.migrate == Migrate::Copy);
    }
}
