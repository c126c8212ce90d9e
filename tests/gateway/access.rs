//! Who may do what: tokens, roles, selectors, hosts, and the record of it.

use optikon_tests::{Client, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{PATIENCE, gateway, names};

/// A token of this role and selector: its id, and a client that uses it.
async fn holder(role: &str, selector: &str) -> (String, Client) {
    let admin = gateway().await.client().unwrap();
    let wanted = json!({"role": role, "selector": selector, "description": "a test's"});
    let made = admin.create("/tokens", &wanted).await.unwrap();
    let token = made["token"].as_str().unwrap();
    let id = made["id"].as_str().unwrap().to_owned();
    (id, admin.with_token(Some(token)))
}

fn cluster(name: &str, team: &str) -> Value {
    json!({"name": name, "server": "https://10.0.0.1", "labels": {"team": team}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selector_hides_other_clusters_and_nobody_moves_one_across_it() {
    let admin = gateway().await.client().unwrap();
    for (name, team) in [("mine", "red"), ("theirs", "blue")] {
        admin
            .create("/cluster", &cluster(name, team))
            .await
            .unwrap();
    }
    let (_, red) = holder("operator", "team=red").await;
    let list = red.read("/cluster").await.unwrap();
    assert_eq!(names(&list["items"]), ["mine"]);
    let none = json!({});
    for (method, path) in [
        (Method::GET, "/cluster/theirs"),
        (Method::GET, "/cluster/theirs/nodes"),
        (Method::DELETE, "/cluster/theirs"),
        (Method::GET, "/cluster/nowhere"),
    ] {
        let reply = red.json(method, path, &none).await.unwrap();
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
    }
    let hidden = red.get("/cluster/theirs").await.unwrap().json().unwrap();
    let absent = red.get("/cluster/nowhere").await.unwrap().json().unwrap();
    assert_eq!(hidden["code"], absent["code"]);

    let away = json!({"metadata": {"labels": {"team": "blue"}}});
    let refused = red.merge("/cluster/mine", &away).await.unwrap_err();
    assert!(format!("{refused:#}").contains("403"), "{refused:#}");
    let foreign = cluster("new", "blue");
    let refused = red.json(Method::POST, "/cluster", &foreign).await.unwrap();
    assert_eq!(refused.status, 403, "{}", refused.text);
    red.create("/cluster", &cluster("new", "red"))
        .await
        .unwrap();
    red.delete("/cluster/new").await.unwrap();
    let stays = admin.read("/cluster/mine?probe=none").await.unwrap();
    assert_eq!(stays["metadata"]["labels"]["team"], "red");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_may_what_its_word_says() {
    let admin = gateway().await.client().unwrap();
    let (_, viewer) = holder("viewer", "").await;
    let (_, operator) = holder("operator", "").await;
    let stranger = admin.with_token(None);
    let body = cluster("roles", "any");
    let rows = [
        (Method::GET, "/livez", [200, 200, 200]),
        (Method::GET, "/version", [200, 200, 200]),
        (Method::GET, "/metrics", [401, 200, 200]),
        (Method::GET, "/cluster", [401, 200, 200]),
        (Method::POST, "/cluster?dryRun=All", [401, 403, 201]),
        (Method::DELETE, "/cluster/no-such", [401, 403, 404]),
        (Method::GET, "/plugins", [401, 403, 403]),
        (Method::GET, "/tokens", [401, 403, 403]),
        (Method::GET, "/audit", [401, 403, 403]),
        (Method::GET, "/no-such-path", [401, 404, 404]),
    ];
    for (method, path, expected) in rows {
        for (client, expected) in [&stranger, &viewer, &operator].into_iter().zip(expected) {
            let reply = client.json(method.clone(), path, &body).await.unwrap();
            assert_eq!(reply.status, expected, "{method} {path}: {}", reply.text);
            let challenge = reply.headers.contains_key("www-authenticate");
            assert_eq!(challenge, expected == 401, "{method} {path}");
        }
    }
    let forged = admin.with_token(Some("optikon_admin_0000"));
    assert_eq!(forged.get("/cluster").await.unwrap().status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_shown_once_and_its_revocation_counts_at_once() {
    let admin = gateway().await.client().unwrap();
    let made = admin
        .create("/tokens", &json!({"role": "viewer"}))
        .await
        .unwrap();
    let token = made["token"].as_str().unwrap();
    let id = made["id"].as_str().unwrap();
    let viewer = admin.with_token(Some(token));
    assert_eq!(viewer.get("/cluster").await.unwrap().status, 200);
    let list = admin.get("/tokens").await.unwrap();
    let listed = list.json().unwrap();
    let ids: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["id"])
        .collect();
    assert!(ids.contains(&&made["id"]), "{listed}");
    let secret = token.rsplit('_').next().unwrap();
    assert!(!list.text.contains(secret) && !list.text.contains("digest"));

    admin.delete(&format!("/tokens/{id}")).await.unwrap();
    assert_eq!(viewer.get("/cluster").await.unwrap().status, 401);
    let gone = admin
        .send(admin.request(Method::DELETE, &format!("/tokens/{id}")))
        .await
        .unwrap();
    assert_eq!(gone.status, 404);
    let last = admin
        .send(admin.request(Method::DELETE, "/tokens/admin"))
        .await
        .unwrap();
    assert_eq!(last.status, 409, "{}", last.text);
    for bad in [
        json!({"role": "king"}),
        json!({"role": "viewer", "selector": "a in"}),
        json!({}),
    ] {
        let reply = admin.json(Method::POST, "/tokens", &bad).await.unwrap();
        assert_eq!(reply.status, 422, "{bad}: {}", reply.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changed_what_is_on_record() {
    let admin = gateway().await.client().unwrap();
    let (id, operator) = holder("operator", "").await;
    operator
        .create("/cluster", &cluster("audited", "any"))
        .await
        .unwrap();
    let label = json!({"metadata": {"labels": {"team": "other"}}});
    operator.merge("/cluster/audited", &label).await.unwrap();
    operator.delete("/cluster/audited").await.unwrap();
    let records = wait_for("three records", PATIENCE, || async {
        let audit = admin.read("/audit?limit=1000").await?;
        let all = audit["items"].as_array().cloned().unwrap_or_default();
        let of: Vec<Value> = all.into_iter().filter(|r| r["name"] == "audited").collect();
        Ok((of.len() >= 3).then_some(of))
    })
    .await
    .unwrap();
    let verbs: Vec<_> = records
        .iter()
        .map(|r| r["verb"].as_str().unwrap())
        .collect();
    assert_eq!(verbs, ["delete", "update", "create"], "newest first");
    for record in &records {
        assert_eq!(record["who"], format!("token:{id}"));
        assert_eq!(record["outcome"], "ok");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_other_origins_get_nothing() {
    let client = gateway().await.client().unwrap();
    let own = client.base().to_owned();
    for (header, value, status) in [
        ("host", "evil.example", 403),
        ("host", "localhost", 200),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("origin", own.as_str(), 200),
    ] {
        let request = client
            .request(Method::GET, "/cluster")
            .header(header, value);
        let reply = client.send(request).await.unwrap();
        assert_eq!(reply.status, status, "{header}: {value}: {}", reply.text);
        assert!(!reply.headers.contains_key("access-control-allow-origin"));
    }
}
