//! Leaving Tiller behind: a release handed over to Helm's own storage, whose pods notice nothing.

use optikon_tests::{Cluster, Testbed, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{
    PATIENCE, apply, archive, bed, chart, chart_file, on, register, setting, target, upload,
};

const ONE: [&str; 1] = ["moving"];

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\nspec:\n  replicas: 2\n  \
     selector: {matchLabels: {app: {{ .Release.Name }}}}\n  template:\n    metadata: {labels: {app: {{ .Release.Name }}}}\n    \
     spec:\n      containers:\n      - name: web\n        image: registry.example/web:1\n";
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-settings\ndata:\n  \
     color: {{ .Values.color | quote }}\n  service: {{ .Release.Service }}\n";

/// A chart with pods, and a ConfigMap that changes without them.
fn shop(version: &str) -> Vec<u8> {
    let metadata = format!("apiVersion: v1\nname: shop\nversion: {version}\n");
    archive(
        "shop",
        &[
            ("Chart.yaml", &metadata),
            ("values.yaml", "color: blue\n"),
            ("templates/deployment.yaml", DEPLOYMENT),
            ("templates/map.yaml", MAP),
            ("templates/NOTES.txt", "Sells in {{ .Values.color }}.\n"),
        ],
    )
}

/// Names and uids of the pods of a release, once there are two.
async fn pods(cluster: &Cluster, release: &str) -> Vec<(String, String)> {
    let path = format!("/api/v1/namespaces/default/pods?labelSelector=app={release}");
    wait_for("the pods of the release", PATIENCE, || async {
        let list = cluster.admin().read(&path).await?;
        let text = |pod: &Value, key: &str| pod["metadata"][key].as_str().unwrap().to_owned();
        let pods = list["items"].as_array().unwrap().iter();
        let mut pods: Vec<_> = pods.map(|p| (text(p, "name"), text(p, "uid"))).collect();
        pods.sort();
        Ok((pods.len() == 2).then_some(pods))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_leaves_tiller_and_no_pod_is_started_again() {
    let bed = bed().await;
    let gateway = &bed.gateway;
    let testbed = Testbed::start().await.unwrap();
    let builder = testbed.cluster("moving").controllers().tiller();
    let cluster = builder.start().await.unwrap();
    register(gateway, &cluster, json!({})).await.unwrap();
    let file = |version: &str| {
        let name = format!("shop-{version}.tgz");
        chart_file(&cluster, &name, &shop(version)).unwrap()
    };
    let (first, second, third) = (file("1.0.0"), file("2.0.0"), file("3.0.0"));
    for release in ["shop", "stays"] {
        let install = [
            "install",
            &first,
            "--name",
            release,
            "--namespace",
            "default",
        ];
        cluster.helm2(&install).await.unwrap();
    }
    let upgrade = ["upgrade", "shop", &second, "--set", "color=red"];
    cluster.helm2(&upgrade).await.unwrap();
    let before = pods(&cluster, "shop").await;

    // Looking first changes nothing.
    let adopt = ["chart", "adopt", "shop", "--clusters", "moving"];
    let looked = gateway
        .run_ok(&[&adopt[..], &["--dry-run"]].concat())
        .await
        .unwrap();
    for (what, kind, name) in [
        ("created", "v1/Secret", "sh.helm.release.v1.shop.v1"),
        ("created", "v1/Secret", "sh.helm.release.v1.shop.v2"),
        ("deleted", "v1/ConfigMap", "shop.v2"),
    ] {
        let is_it = |line: &str| [what, kind, name].iter().all(|word| line.contains(word));
        assert!(looked.lines().any(is_it), "{what} {name}: {looked}");
    }
    let none = cluster.helm(&["list", "--short"]).await.unwrap();
    assert_eq!(none.trim(), "");

    let said = gateway.run_ok(&adopt).await.unwrap();
    assert!(said.contains("adopt of shop: succeeded"), "{said}");
    let left = cluster.helm2(&["list", "--all", "--short"]).await.unwrap();
    assert_eq!(left.trim(), "stays");
    let listed = cluster.helm(&["list", "--output", "json"]).await.unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let shown = |key: &str| listed[0][key].as_str().unwrap().to_owned();
    assert_eq!(
        (
            shown("name"),
            shown("revision"),
            shown("status"),
            shown("chart")
        ),
        (
            "shop".into(),
            "2".into(),
            "deployed".into(),
            "shop-2.0.0".into()
        )
    );
    let values = cluster
        .helm(&["get", "values", "shop", "--output", "json"])
        .await
        .unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&values).unwrap(),
        json!({ "color": "red" })
    );
    let notes = cluster.helm(&["get", "notes", "shop"]).await.unwrap();
    assert!(notes.contains("Sells in red."), "{notes}");
    assert_eq!(
        pods(&cluster, "shop").await,
        before,
        "nothing was started again"
    );

    // The real Helm goes on with it, forwards and back.
    let upgrade = ["upgrade", "shop", &third, "--reuse-values"];
    cluster.helm(&upgrade).await.unwrap();
    assert_eq!(setting(&cluster, "shop", "service").await.unwrap(), "Helm");
    assert_eq!(setting(&cluster, "shop", "color").await.unwrap(), "red");
    cluster.helm(&["rollback", "shop", "1"]).await.unwrap();
    assert_eq!(setting(&cluster, "shop", "color").await.unwrap(), "blue");
    assert_eq!(
        pods(&cluster, "shop").await,
        before,
        "nothing was started again"
    );

    // And so does the gateway, each with its own backend: this cluster has both now.
    let read = gateway.client().unwrap();
    let list = read.read("/charts?clusters=moving").await.unwrap();
    assert_eq!(on(&list, "moving", "shop")["revision"], 4, "{list}");
    assert_eq!(on(&list, "moving", "stays")["revision"], 1, "{list}");
    let digest = upload(gateway, shop("3.0.0")).await.unwrap();
    for (release, service) in [("shop", "Helm"), ("stays", "Tiller")] {
        let more = json!({ "options": { "force": true } });
        let done = apply(gateway, Method::PUT, release, &digest, &ONE, more)
            .await
            .unwrap();
        assert_eq!(target(&done, "moving")["state"], "succeeded", "{done}");
        assert_eq!(
            setting(&cluster, release, "service").await.unwrap(),
            service
        );
    }
    assert_eq!(
        pods(&cluster, "shop").await,
        before,
        "nothing was started again"
    );

    // Both sides may keep their records; the release is shown once.
    let kept = [
        &["chart", "adopt", "stays", "--clusters", "moving"][..],
        &["--keep-history"],
    ];
    gateway.run_ok(&kept.concat()).await.unwrap();
    let left = cluster.helm2(&["list", "--short"]).await.unwrap();
    assert_eq!(left.trim(), "stays");
    let list = read
        .read("/charts?clusters=moving&filter=stays")
        .await
        .unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");

    // What Tiller does not have cannot be handed over, and a second time is no mistake.
    let failed = gateway.run_ok(&adopt).await.unwrap_err().to_string();
    assert!(failed.contains("NotFound"), "{failed}");
    let body = json!({ "targets": { "names": ONE } });
    let done = read
        .create("/charts/shop/adopt?wait=true", &body)
        .await
        .unwrap();
    assert_eq!(target(&done, "moving")["state"], "unchanged", "{done}");
    read.delete("/cluster/moving").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_tiller_did_only_an_adoption_has_a_dry_run() {
    let bed = bed().await;
    let digest = upload(&bed.gateway, chart("1.0.0")).await.unwrap();
    let one = ["tiller-1"];
    apply(&bed.gateway, Method::POST, "dry", &digest, &one, json!({}))
        .await
        .unwrap();
    let client = bed.gateway.client().unwrap();
    let body = json!({ "targets": { "names": one }, "dryRun": "server" });
    let rollback = client.create("/charts/dry/rollback", &body).await.unwrap();
    assert_eq!(rollback["errors"][0]["reason"], "Unsupported", "{rollback}");
    assert_eq!(rollback["items"], json!([]), "{rollback}");
    // Helm has another release of that name there: two histories are not made one, and nothing is written.
    let others = json!({"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": {
        "name": "sh.helm.release.v1.dry.v9", "labels": {"owner": "helm", "name": "dry", "version": "9", "status": "deployed"}}});
    let secrets = "/api/v1/namespaces/default/secrets";
    let api = bed.tillers[0].admin();
    api.create(secrets, &others).await.unwrap();
    let refused = client.create("/charts/dry/adopt", &body).await.unwrap();
    assert_eq!(refused["errors"][0]["reason"], "AlreadyExists", "{refused}");
    let real = json!({ "targets": { "names": one } });
    let failed = client
        .create("/charts/dry/adopt?wait=true", &real)
        .await
        .unwrap();
    assert_eq!(
        target(&failed, "tiller-1")["reason"],
        "AlreadyExists",
        "{failed}"
    );
    let made = api
        .get(&format!("{secrets}/sh.helm.release.v1.dry.v1"))
        .await
        .unwrap();
    assert_eq!(made.status, 404, "nothing was written");
    api.delete(&format!("{secrets}/sh.helm.release.v1.dry.v9"))
        .await
        .unwrap();
    let preview = client.create("/charts/dry/adopt", &body).await.unwrap();
    let objects = preview["items"][0]["objects"].as_array().unwrap();
    let named = |name: &str| objects.iter().find(|o| o["name"] == name).unwrap();
    assert_eq!(named("dry-settings")["what"], "unchanged", "{preview}");
    assert_eq!(
        named("sh.helm.release.v1.dry.v1")["what"],
        "created",
        "{preview}"
    );
    assert_eq!(named("dry.v1")["what"], "deleted", "{preview}");
    crate::bed::uninstall(&bed.gateway, "dry", &one)
        .await
        .unwrap();
}
