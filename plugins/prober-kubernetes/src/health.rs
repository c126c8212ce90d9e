//! Version and health: the first things asked.

use optikon_plugin_sdk::{Requester, Response};
use serde_json::{Map, Value, json};

use crate::{
    member::{Ask, Member},
    problem::{Problem, one_line},
    time::Time,
};

/// With a dead etcd an API server takes 4 s to say so; less would turn `Unhealthy` into `Timeout`.
const HEALTH_MS: u64 = 6_000;
/// More checks than any API server has.
const MAX_CHECKS: usize = 100;

/// What `/version` proves.
#[derive(Debug, Clone, PartialEq)]
pub enum Version {
    /// This is Kubernetes.
    Known(Value),
    /// This is Kubernetes, but the credential may not know the version.
    Hidden(Problem),
    /// Kubernetes that cannot answer now.
    Sick(Problem),
    /// Something else answers here.
    Other(Problem),
}

/// Reads the answer to `GET /version`.
pub fn version_of(answer: &Response) -> Version {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |key: &str| {
        body.get(key)
            .and_then(Value::as_str)
            .map(|text| text.chars().take(128).collect::<String>())
    };
    if (200..300).contains(&answer.status) {
        let Some(version) = text("gitVersion") else {
            return Version::Other(Problem::new(
                "NotKubernetes",
                "GET /version was answered without a gitVersion",
            ));
        };
        let mut found = Map::from_iter([("version".to_owned(), Value::from(version))]);
        found.extend(text("platform").map(|platform| ("platform".to_owned(), platform.into())));
        return Version::Known(Value::Object(found));
    }
    let problem = Problem::of_status("GET /version", answer);
    let is_status = body.get("kind").and_then(Value::as_str) == Some("Status");
    match answer.status {
        403 if is_status => Version::Hidden(problem),
        429 => Version::Sick(problem),
        401 => Version::Sick(problem),
        500.. => Version::Sick(Problem {
            reason: "Unhealthy".into(),
            ..problem
        }),
        _ => Version::Other(Problem {
            reason: "NotKubernetes".into(),
            ..problem
        }),
    }
}

/// What the health endpoints say.
#[derive(Debug, Clone, PartialEq)]
pub enum Health {
    /// All is well.
    Well,
    /// It says itself that it is not, with the failing checks.
    Failing(Vec<Value>, Problem),
    /// None of the endpoints may be asked.
    Unknown(Problem),
    /// No answer.
    Silent(Problem),
}

/// Asks `/readyz`, and where that is not served or not allowed, the older `/healthz` and `/livez`.
pub async fn health<C: Requester, T: Time>(member: Member<'_, C, T>) -> Health {
    let mut unknown = Problem::new("Forbidden", "no health endpoint may be asked");
    for path in ["/readyz", "/healthz", "/livez"] {
        let ask = Ask {
            path,
            at_most_ms: Some(HEALTH_MS),
            ..Ask::default()
        };
        let answer = match member.request(ask).await {
            Ok(answer) => answer,
            Err(fault) => return Health::Silent(Problem::of_fault(&fault)),
        };
        match answer.status {
            200..300 => return Health::Well,
            403 | 404 => unknown = Problem::of_status(&format!("GET {path}"), &answer),
            500.. => {
                let checks = failing(&String::from_utf8_lossy(&answer.body));
                return Health::Failing(checks.clone(), unhealthy(path, answer.status, &checks));
            }
            _ => return Health::Silent(Problem::of_status(&format!("GET {path}"), &answer)),
        }
    }
    Health::Unknown(unknown)
}

fn unhealthy(path: &str, status: u16, checks: &[Value]) -> Problem {
    let names: Vec<&str> = checks
        .iter()
        .filter_map(|check| check.get("name")?.as_str())
        .collect();
    let said = match names.as_slice() {
        [] => format!("GET {path} was answered {status}"),
        names => format!("failing checks: {}", names.join(", ")),
    };
    Problem::new("Unhealthy", &said)
}

/// The checks of a body whose lines are `[-]etcd failed: reason withheld`.
fn failing(body: &str) -> Vec<Value> {
    let lines = body
        .lines()
        .filter_map(|line| line.trim().strip_prefix("[-]"));
    let checks = lines.map(|line| {
        let (name, said) = line.split_once(' ').unwrap_or((line, ""));
        let short = |text: &str| one_line(text).chars().take(200).collect::<String>();
        json!({"name": short(name), "message": short(said)})
    });
    checks.take(MAX_CHECKS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Response {
        Response {
            status,
            headers: vec![],
            body: body.into(),
            phase_ms: vec![],
        }
    }

    #[test]
    fn a_version_proves_kubernetes_and_nothing_else_does() {
        let known = version_of(&answer(
            200,
            r#"{"gitVersion":"v1.37.2","platform":"linux/amd64","major":"1"}"#,
        ));
        assert_eq!(
            known,
            Version::Known(json!({"version": "v1.37.2", "platform": "linux/amd64"}))
        );
        for (status, body) in [
            (200, "<html>"),
            (200, "{}"),
            (302, ""),
            (404, "{}"),
            (403, "no"),
        ] {
            let Version::Other(problem) = version_of(&answer(status, body)) else {
                panic!("{status} {body}")
            };
            assert_eq!(problem.reason, "NotKubernetes");
        }
        assert!(matches!(
            version_of(&answer(403, r#"{"kind":"Status"}"#)),
            Version::Hidden(_)
        ));
        let Version::Sick(problem) = version_of(&answer(503, "")) else {
            panic!("503")
        };
        assert_eq!(problem.reason, "Unhealthy");
    }

    #[test]
    fn failing_checks_are_named() {
        let body = include_str!("../fixtures/readyz-etcd-dead.txt");
        let names: Vec<Value> = failing(body)
            .iter()
            .map(|check| check["name"].clone())
            .collect();
        assert_eq!(names, ["etcd", "etcd-readiness"]);
        assert_eq!(failing(body)[0]["message"], "failed: reason withheld");
    }
}
