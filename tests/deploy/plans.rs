//! What a plan depends on decides who shares it, and what never ends is no plan.

use helm_chart::File;
use optikon_tests::{Answer, archive};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{bed, change, upload, web};
use crate::fleet::Fleet;

/// A chart whose one ConfigMap says this.
fn saying(text: &str) -> Vec<u8> {
    let head = b"apiVersion: v2\nname: says\nversion: 1.0.0\n".to_vec();
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: says}}\ndata: {{it: {{{{ {text} | quote }}}}}}\n"
    );
    let files = [
        File::new("Chart.yaml", head),
        File::new("templates/map.yaml", map.into_bytes()),
    ];
    archive::pack("says", &files).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_share_a_plan_when_they_agree_in_all_that_it_read() {
    let gateway = &bed().await.gateway;
    let fleet = Fleet::start(gateway, "sharing", 4).await;
    let old = json!({"major": "1", "minor": "30", "gitVersion": "v1.30.0"});
    fleet.members[3].answer("/version", Answer::json(200, &old));
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "known", "namespace": "shop"}, "data": {"who": "the second"}});
    let known = "/api/v1/namespaces/shop/configmaps/known";
    fleet.members[1].answer(known, Answer::json(200, &map));
    let lookup = "(lookup \"v1\" \"ConfigMap\" \"shop\" \"known\").data | default dict | toJson";
    for (release, text, plans) in [
        ("same", "\"the same\"", 1),
        ("version", ".Capabilities.KubeVersion.Version", 2),
        ("served", ".Capabilities.APIVersions.Has \"apps/v1\"", 1),
        // These are nobody else's, even where they would agree.
        ("random", "randAlphaNum 8", 4),
        ("lookup", lookup, 4),
    ] {
        let digest = upload(gateway, saying(text)).await.unwrap();
        let body = fleet.request(
            &digest,
            release,
            json!({"options": {"takeOwnership": true}}),
        );
        let done = change(gateway, Method::POST, "/charts", &body).await;
        let done = done.unwrap();
        assert_eq!(done["state"], "succeeded", "{release}: {done:#}");
        assert_eq!(done["plans"], plans, "{release}: {done:#}");
    }
    let says = "/api/v1/namespaces/shop/configmaps/says";
    let said = |number: usize| fleet.members[number].object(says).unwrap()["data"]["it"].clone();
    assert_eq!(said(0), "{}");
    assert_eq!(said(1), "{\"who\":\"the second\"}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_that_never_ends_is_refused_and_nobody_else_notices() {
    let gateway = &bed().await.gateway;
    let fleet = Fleet::start(gateway, "patient", 2).await;
    let client = gateway.client().unwrap();
    let render = async |digest: &str| {
        let body = fleet.request(digest, "web", json!({"dryRun": "render"}));
        client.json(Method::POST, "/charts", &body).await.unwrap()
    };
    for (name, text) in [
        (
            "recursion",
            "\"\" }}{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" .",
        ),
        (
            "loops",
            "\"\" }}{{ range until 99999 }}{{ range until 99999 }}{{ range until 99999 }}{{ end }}{{ end }}{{ end }}{{ \"\"",
        ),
        (
            "growth",
            "\"\" }}{{ $x := repeat 1000 \"x\" }}{{ range until 40 }}{{ $x = print $x $x }}{{ end }}{{ $x",
        ),
    ] {
        // Loading it does not render it.
        let digest = upload(gateway, saying(text)).await.unwrap();
        let refused = render(&digest).await;
        let body: Value = refused.json().unwrap();
        // Its text is at fault, so the request is; the limit on time says so of each cluster.
        let is_said = match refused.status.as_u16() {
            422 => body["errors"][0]["field"] == "chart",
            200 => body["items"] == json!([]) && body["errors"].as_array().unwrap().len() == 2,
            _ => false,
        };
        assert!(is_said, "{name}: {} {body:#}", refused.status);
    }
    let seen = fleet.members.iter().flat_map(|member| member.seen());
    assert!(seen.into_iter().all(|seen| seen.method == "GET"));
    let good = upload(gateway, web("1.0.0")).await.unwrap();
    assert_eq!(render(&good).await.status, 200);
}
