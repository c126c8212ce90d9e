//! What the holder of a connection may ask for. Checked on the parsed path, before anything is sent.

use optikon_core::words::{Method, Request, ResourceGrant, Rules, Writes};

use crate::path::{Addressed, CheckedPath, Resource, address};

/// What everybody may read: discovery, version and health. Nothing else outside of resources:
/// `/logs`, `/debug` and `/metrics` tell more than a plugin needs.
const READABLE: [&str; 7] = [
    "api", "apis", "version", "livez", "readyz", "healthz", "openapi",
];
/// Ways into a container or through a node, whatever the resource.
const REFUSED_SUBRESOURCES: [&str; 4] = ["proxy", "exec", "attach", "portforward"];

/// Checks a request against the rules of its connection; the error is for people.
pub(crate) fn check(rules: &Rules, path: &CheckedPath, request: &Request) -> Result<(), String> {
    let method = request.method;
    match rules {
        Rules::Host => return Ok(()),
        Rules::Upstream { path_prefix } => return check_prefix(path_prefix, &path.text),
        Rules::Prober | Rules::Charts { .. } | Rules::Central { .. } => {}
    }
    let is_watch = is_watch(&request.query)?;
    let resource = match address(path)? {
        Addressed::Resource(resource) => resource,
        Addressed::NonResource => return check_non_resource(path, method),
    };
    check_everybody(&resource)?;
    match rules {
        Rules::Prober => {
            check_secrets(&resource)?;
            if method == Method::Get {
                Ok(())
            } else {
                Err("only get, list and watch are allowed".into())
            }
        }
        Rules::Charts { writes } => check_writes(*writes, request),
        Rules::Central { grants } => {
            check_secrets(&resource)?;
            check_grants(grants, &resource, resource.verb(method, is_watch))
        }
        Rules::Host | Rules::Upstream { .. } => Ok(()),
    }
}

fn check_prefix(prefix: &str, path: &str) -> Result<(), String> {
    let prefix = prefix.trim_end_matches('/');
    match path.strip_prefix(prefix) {
        Some("") => Ok(()),
        Some(rest) if rest.starts_with('/') => Ok(()),
        _ => Err(format!("only paths below \"{prefix}/\" are allowed")),
    }
}

fn check_non_resource(path: &CheckedPath, method: Method) -> Result<(), String> {
    let first = path.parts.first().map_or("", String::as_str);
    if method == Method::Get && READABLE.contains(&first) {
        Ok(())
    } else {
        Err("outside of resources only discovery, version and health may be read".into())
    }
}

fn check_everybody(resource: &Resource) -> Result<(), String> {
    let subresource = resource.subresource.as_deref().unwrap_or_default();
    let first = subresource.split('/').next().unwrap_or_default();
    let is_way_in = REFUSED_SUBRESOURCES
        .iter()
        .any(|refused| first.eq_ignore_ascii_case(refused));
    if resource.is_proxy_path || is_way_in {
        return Err("proxy, exec, attach and portforward are never allowed".into());
    }
    if resource.plural.eq_ignore_ascii_case("serviceaccounts")
        && first.eq_ignore_ascii_case("token")
    {
        return Err("serviceaccounts/token is never allowed".into());
    }
    Ok(())
}

fn check_secrets(resource: &Resource) -> Result<(), String> {
    // In every group: whoever serves a resource of that name means the same by it.
    if resource.plural.eq_ignore_ascii_case("secrets") {
        return Err("secrets are never allowed".into());
    }
    Ok(())
}

fn check_writes(writes: Writes, request: &Request) -> Result<(), String> {
    if request.method == Method::Get {
        return Ok(());
    }
    match writes {
        Writes::All => Ok(()),
        Writes::None => Err("nothing may be written over this connection".into()),
        Writes::DryRun if is_dry_run(request) => Ok(()),
        Writes::DryRun => Err("only writes with dryRun=All are allowed".into()),
    }
}

fn is_dry_run(request: &Request) -> bool {
    let mut values = request.query.iter().filter(|(key, _)| key == "dryRun");
    let in_query = matches!((values.next(), values.next()), (Some((_, v)), None) if v == "All");
    // A body of DELETE holds options, and then the server does not look at the query.
    let in_body = request.method != Method::Delete
        || request.body.is_empty()
        || serde_json::from_slice::<serde_json::Value>(&request.body)
            .is_ok_and(|options| options.get("dryRun") == Some(&serde_json::json!(["All"])));
    in_query && in_body
}

/// Whether the server will watch: it takes anything but `false` and `0` as yes.
pub(crate) fn is_watch(query: &[(String, String)]) -> Result<bool, String> {
    let mut values = query.iter().filter(|(key, _)| key == "watch");
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some((_, value)), None) => Ok(!value.eq_ignore_ascii_case("false") && value != "0"),
        (Some(_), Some(_)) => Err("the query names \"watch\" twice".into()),
    }
}

fn check_grants(grants: &[ResourceGrant], resource: &Resource, verb: &str) -> Result<(), String> {
    let asked = match &resource.subresource {
        Some(sub) => format!("{}/{sub}", resource.plural),
        None => resource.plural.clone(),
    };
    let is_granted = grants.iter().any(|grant| {
        grant.group == resource.group
            && (grant.resource == "*" || grant.resource == asked)
            && grant.verbs.iter().any(|v| v == verb)
    });
    if is_granted {
        Ok(())
    } else {
        Err(format!(
            "{verb} of {asked} in group \"{}\" is not granted",
            resource.group
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::check_path;
    use bytes::Bytes;

    fn ask(rules: &Rules, line: &str) -> Result<(), String> {
        let mut words = line.split(' ');
        let method = match words.next().unwrap() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            other => panic!("{other}"),
        };
        let target = words.next().unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Request::get(path);
        request.method = method;
        request.query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        request.body = Bytes::from(words.next().unwrap_or_default().to_owned());
        check(rules, &check_path(path)?, &request)
    }

    fn table(rules: &Rules, allowed: &[&str], refused: &[&str]) {
        for line in allowed {
            assert_eq!(ask(rules, line), Ok(()), "{line}");
        }
        for line in refused {
            assert!(ask(rules, line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_prober_reads_and_never_secrets() {
        table(
            &Rules::Prober,
            &[
                "GET /version",
                "GET /api",
                "GET /apis/apps/v1",
                "GET /readyz/etcd",
                "GET /openapi/v3",
                "GET /api/v1/nodes",
                "GET /api/v1/pods?watch=1",
                "GET /api/v1/namespaces/secrets",
                "GET /api/v1/namespaces/x/pods/p",
                "GET /apis/example.com/v1/externalsecrets",
            ],
            &[
                "POST /api/v1/pods",
                "PUT /api/v1/namespaces/x",
                "DELETE /api/v1/pods",
                "PATCH /api/v1/nodes/x",
                "POST /version",
                "GET /",
                "GET /metrics",
                "GET /logs/x",
                "GET /debug/pprof",
                "GET /api/v1/secrets",
                "GET /api/v1/Secrets",
                "GET /api/v1/%73ecrets",
                "GET /api/v1/secrets?watch=1",
                "GET /api/v1/watch/secrets",
                "GET /api/v1/watch/namespaces/x/secrets/s",
                "GET /api/v1/namespaces/x/secrets",
                "GET /api/v1/namespaces/x/secrets/s",
                "GET /apis/other/v1/secrets",
                "GET /api/v1/nodes/n/proxy/metrics",
                "GET /api/v1/proxy/nodes/n",
                "GET /api/v1/namespaces/x/pods/p/exec",
                "GET /api/v1/namespaces/x/pods/p/attach",
                "GET /api/v1/namespaces/x/pods/p/portforward",
                "GET /api/v1/namespaces/x/services/s/proxy",
                "GET /api/v1/pods?watch=0&watch=1",
            ],
        );
    }

    #[test]
    fn charts_write_as_far_as_they_may() {
        let never = [
            "POST /api/v1/namespaces/x/serviceaccounts/s/token",
            "POST /api/v1/namespaces/x/serviceaccounts/s/token?dryRun=All",
            "POST /api/v1/namespaces/x/pods/p/exec",
            "GET /api/v1/namespaces/x/pods/p/attach",
            "POST /api/v1/nodes/n/proxy/run",
            "POST /version",
        ];
        let charts = |writes| Rules::Charts { writes };
        table(
            &charts(Writes::All),
            &[
                "GET /api/v1/namespaces/x/secrets",
                "POST /api/v1/namespaces/x/secrets",
                "DELETE /apis/apps/v1/namespaces/x/deployments/d {}",
            ],
            &never,
        );
        table(
            &charts(Writes::DryRun),
            &[
                "GET /api/v1/namespaces/x/secrets",
                "PATCH /api/v1/namespaces/x/services/s?dryRun=All",
                "DELETE /api/v1/namespaces/x/pods/p?dryRun=All",
                r#"DELETE /api/v1/namespaces/x/pods/p?dryRun=All {"dryRun":["All"]}"#,
            ],
            &never,
        );
        table(
            &charts(Writes::DryRun),
            &[],
            &[
                "POST /api/v1/namespaces",
                "POST /api/v1/namespaces?dryRun=",
                "POST /api/v1/namespaces?dryRun=all",
                "POST /api/v1/namespaces?dryRun=All&dryRun=",
                "DELETE /api/v1/namespaces/x/pods/p?dryRun=All {}",
                r#"DELETE /api/v1/namespaces/x/pods/p?dryRun=All {"dryRun":[]}"#,
                "DELETE /api/v1/namespaces/x/pods/p?dryRun=All dryRun:[All]",
            ],
        );
        table(
            &charts(Writes::None),
            &["GET /api/v1/namespaces/x/secrets/s"],
            &["POST /api/v1/namespaces?dryRun=All"],
        );
    }

    #[test]
    fn central_is_what_the_grant_lists() {
        let grant = |group: &str, resource: &str, verbs: &[&str]| ResourceGrant {
            group: group.into(),
            resource: resource.into(),
            verbs: verbs.iter().map(|v| (*v).into()).collect(),
        };
        let rules = Rules::Central {
            grants: vec![
                grant(
                    "clusterregistry.k8s.io",
                    "clusters",
                    &["get", "list", "watch"],
                ),
                grant("clusterregistry.k8s.io", "clusters/status", &["update"]),
                grant("", "*", &["get", "delete"]),
            ],
        };
        let base = "/apis/clusterregistry.k8s.io/v1alpha1";
        for (verb, path, is_allowed) in [
            ("GET", format!("{base}/clusters"), true),
            ("GET", format!("{base}/clusters?watch=true"), true),
            ("GET", format!("{base}/watch/clusters"), true),
            ("GET", format!("{base}/namespaces/n/clusters/c"), true),
            ("PUT", format!("{base}/clusters/c/status"), true),
            ("PUT", format!("{base}/clusters/c"), false),
            ("DELETE", format!("{base}/clusters"), false),
            ("GET", format!("{base}/clusters/c/status"), false),
            ("GET", "/apis".into(), true),
            ("GET", "/api/v1/namespaces/x".into(), true),
            ("GET", "/api/v1/namespaces".into(), false),
            ("GET", "/api/v1/namespaces?watch=".into(), false),
            ("DELETE", "/api/v1/namespaces/n/pods".into(), false),
            ("GET", "/api/v1/namespaces/x/secrets/s".into(), false),
            ("GET", "/api/v1/namespaces/x/pods/p/exec".into(), false),
            (
                "GET",
                "/apis/apps/v1/namespaces/x/deployments/d".into(),
                false,
            ),
        ] {
            let verdict = ask(&rules, &format!("{verb} {path}"));
            assert_eq!(verdict.is_ok(), is_allowed, "{verb} {path}: {verdict:?}");
        }
    }

    #[test]
    fn an_upstream_stays_below_its_prefix() {
        let below = |prefix: &str| Rules::Upstream {
            path_prefix: prefix.into(),
        };
        table(
            &below("/inventory/v2"),
            &["GET /inventory/v2", "POST /inventory/v2/a"],
            &[
                "GET /inventory",
                "GET /inventory/v2x",
                "GET /",
                "GET /inventory/v2/../x",
            ],
        );
        table(&below("/"), &["DELETE /anything"], &["GET /a//b"]);
        table(
            &Rules::Host,
            &["POST /api/v1/namespaces/x/serviceaccounts/s/token"],
            &["GET /a/.."],
        );
    }
}
