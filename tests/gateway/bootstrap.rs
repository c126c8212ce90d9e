//! A member of a user's kubeconfig becomes a cluster of the gateway, with an account of its own; and clusters that another
//! project knows come along.

use optikon_tests::{Answer, Cluster, FakeMember, Gateway, Testbed, wait_for};
use serde_json::{Value, json};

use crate::bed::{
    PATIENCE, assert_absent, assert_absent_in_files, condition, forms, gateway, own, registration,
};

async fn member(name: &str) -> Cluster {
    let testbed = Testbed::start().await.unwrap();
    testbed.cluster(name).nodes(1).start().await.unwrap()
}

async fn run(gateway: &Gateway, arguments: &[&str]) -> String {
    gateway.run_ok(arguments).await.unwrap()
}

async fn secrets(member: &Cluster) -> Vec<String> {
    let list = member
        .admin()
        .read("/api/v1/namespaces/optikon/secrets")
        .await
        .unwrap();
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|s| s["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_gets_an_account_whose_token_can_be_changed_and_revoked() {
    let gateway = gateway().await;
    let member = member("booted").await;
    let admin = member.kubeconfig_file();
    let admin = admin.to_str().unwrap();
    let bootstrap = [
        "cluster",
        "bootstrap",
        "booted",
        "--kubeconfig",
        admin,
        "--role",
        "viewer",
    ];
    let printed = run(gateway, &[&bootstrap[..], &["--dry-run"]].concat()).await;
    assert!(printed.contains("serviceaccounts/token"), "{printed}");
    let made = run(
        gateway,
        &[&bootstrap[..], &["--label", "env=test"]].concat(),
    )
    .await;
    assert!(made.contains("cluster booted registered"), "{made}");

    let client = gateway.client().unwrap();
    let live = client.read("/cluster/booted").await.unwrap();
    assert_eq!(condition(&live, "Ready")["status"], "True", "{live:#}");
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
    assert_eq!(live["metadata"]["labels"]["env"], "test");
    // It is the new account's token, not the user's.
    assert_absent(
        &forms(member.admin_token()),
        "the reply",
        live.to_string().as_bytes(),
    );
    let first = secrets(&member).await;
    assert_eq!(first.len(), 1);
    let account = live["metadata"]["annotations"]["optikon.io/account"]
        .as_str()
        .unwrap();
    assert_eq!(account, format!("optikon/optikon/{}", first[0]));

    let rotate = ["cluster", "rotate", "booted", "--kubeconfig", admin];
    let said = run(gateway, &rotate).await;
    assert!(said.contains("the old token is revoked"), "{said}");
    let second = secrets(&member).await;
    assert!(second.len() == 1 && second != first, "{second:?}");
    let live = client.read("/cluster/booted").await.unwrap();
    assert!(live["status"]["reason"].is_null(), "{live:#}");
    // Whoever deletes the Secret revokes the token.
    let path = format!("/api/v1/namespaces/optikon/secrets/{}", second[0]);
    member.admin().delete(&path).await.unwrap();
    wait_for("the token to be refused", PATIENCE, || async {
        let live = client.read("/cluster/booted").await?;
        Ok((live["status"]["reason"] == "Unauthorized").then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_that_runs_a_program_has_to_be_allowed_to() {
    let gateway = gateway().await;
    let member = member("executed").await;
    let answer = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": member.admin_token()}});
    let program = member
        .write_file("login", &format!("#!/bin/sh\necho '{answer}'\n"))
        .unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut config = member.kubeconfig("unused");
    config["users"][0]["user"] = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1",
        "command": "./login", "interactiveMode": "Never"}});
    let config = member
        .write_file("exec.kubeconfig", &config.to_string())
        .unwrap();
    let config = config.to_str().unwrap();
    let bootstrap = [
        "cluster",
        "bootstrap",
        "executed",
        "--kubeconfig",
        config,
        "--role",
        "viewer",
    ];
    let refused = gateway.run(&bootstrap).await.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("--allow-exec"),
        "{said}"
    );
    run(gateway, &[&bootstrap[..], &["--allow-exec"]].concat()).await;
    let live = gateway
        .client()
        .unwrap()
        .read("/cluster/executed")
        .await
        .unwrap();
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_of_other_projects_come_in_and_go_out() {
    let gateway = gateway().await;
    let sample = |name: &str| {
        let folder = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../host/optikon/src/cli/import/samples"
        );
        format!("{folder}/{name}.yaml")
    };
    let import = async |form: &str| {
        let file = sample(form);
        let output = gateway
            .run(&["cluster", "import", "--from", form, &file])
            .await
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, said, warned) = import("clusterprofile").await;
    assert_eq!((code, said.as_str()), (Some(0), &*said));
    assert!(
        said.contains("cluster prod-eu registered") && warned.contains("not carried: credential"),
        "{said}{warned}"
    );
    let (code, said, warned) = import("argocd").await;
    assert_eq!(code, Some(3), "{said}{warned}");
    assert!(
        said.contains("cluster edge-one registered") && warned.contains("execProviderConfig"),
        "{said}{warned}"
    );
    assert!(!warned.contains("argo-token"));
    let client = gateway.client().unwrap();
    let edge: Value = client.read("/cluster/edge-one?probe=none").await.unwrap();
    assert_eq!(
        edge["metadata"]["annotations"]["optikon.io/imported-from"],
        "Edge One"
    );
    for (form, name) in [("karmada", "member-1"), ("ocm", "edge-7")] {
        let (code, said, _) = import(form).await;
        assert!(code == Some(0) && said.contains(name), "{said}");
    }
    // Out and in again: the same cluster.
    for form in ["crd", "aggregated", "clusterprofile", "kubeconfig"] {
        let out = run(gateway, &["cluster", "export", "--to", form, "prod-eu"]).await;
        let member = gateway.data_folder().join(format!("export-{form}.yaml"));
        std::fs::write(&member, &out).unwrap();
        let before = client.read("/cluster/prod-eu?probe=none").await.unwrap();
        run(gateway, &["cluster", "delete", "prod-eu"]).await;
        let from = match form {
            "crd" | "aggregated" => "yaml",
            other => other,
        };
        run(
            gateway,
            &[
                "cluster",
                "import",
                "--from",
                from,
                member.to_str().unwrap(),
            ],
        )
        .await;
        let after = client.read("/cluster/prod-eu?probe=none").await.unwrap();
        let endpoints = |v: &Value| v["spec"]["kubernetesApiEndpoints"].clone();
        assert_eq!(endpoints(&after), endpoints(&before), "{form}: {out}");
    }
    run(
        gateway,
        &[
            "cluster", "delete", "--yes", "prod-eu", "edge-one", "member-1", "edge-7",
        ],
    )
    .await;
}

/// A bound token as an API server makes it, by its claims.
fn bound_token(from_s: u64, until_s: u64) -> String {
    use base64::Engine as _;
    let payload =
        json!({"sub": "system:serviceaccount:optikon:optikon", "iat": from_s, "exp": until_s});
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.c2lnbmVk", encode("{}"), encode(&payload.to_string()))
}

/// By the account's own right, before the old one ends; a cluster without the mark keeps its token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_renewed_when_four_fifths_of_its_life_are_over() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap().as_secs();
    let (due, fresh) = (
        bound_token(now - 900, now + 100),
        bound_token(now, now + 1_000),
    );
    let (member, other) = (
        FakeMember::start().await.unwrap(),
        FakeMember::start().await.unwrap(),
    );
    let path = "/api/v1/namespaces/optikon/serviceaccounts/optikon/token";
    for member in [&member, &other] {
        member.require_token(&due);
        let reply = json!({"kind": "TokenRequest", "status": {"token": fresh}});
        member.answer(path, Answer::json(201, &reply));
    }
    let mut own = own(Gateway::builder()).await;
    let client = own.gateway.client().unwrap();
    let mut body = registration("renewed", &member, &due);
    body["annotations"] = json!({"optikon.io/account": "optikon/optikon/optikon-token-1"});
    client.create("/cluster", &body).await.unwrap();
    let unmarked = registration("unmarked", &other, &due);
    client.create("/cluster", &unmarked).await.unwrap();
    // It looks at the start, and once a minute.
    own.gateway.kill().unwrap();
    own.gateway.start_again().await.unwrap();
    let asked = |member: &FakeMember| {
        let seen = member.seen();
        seen.into_iter()
            .find(|request| request.target.starts_with(path))
    };
    let request = wait_for("the token to be renewed", PATIENCE, || async {
        Ok(asked(&member))
    })
    .await
    .unwrap();
    assert_eq!(
        request.header("authorization"),
        Some(&*format!("Bearer {due}"))
    );
    member.require_token(&fresh);
    let client = own.gateway.client().unwrap();
    wait_for("the new token to be used", PATIENCE, || async {
        let live = client.read("/cluster/renewed").await?;
        Ok((live["status"]["nodes"][0]["name"] == "n0").then_some(()))
    })
    .await
    .unwrap();
    assert!(asked(&other).is_none());
    let forms = forms(&fresh);
    assert_absent(&forms, "the log", own.gateway.log().as_bytes());
    assert_absent_in_files(&forms, own.gateway.data_folder());
}

/// The same from the hub where they live, read on this machine and as its user.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_of_a_live_hub_come_in() {
    let gateway = gateway().await;
    let hub = member("argo").await;
    let samples = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../host/optikon/src/cli/import/samples"
    );
    hub.create_namespace("argocd").await.unwrap();
    let sample = std::fs::read_to_string(format!("{samples}/argocd.yaml")).unwrap();
    hub.apply(&sample.replace("RWRnZSBPbmU=", "TGl2ZSBPbmU="))
        .await
        .unwrap();
    let admin = hub.kubeconfig_file();
    let import = [
        "cluster",
        "import",
        "--from",
        "argocd",
        "--central-kubeconfig",
        admin.to_str().unwrap(),
    ];
    let output = gateway.run(&import).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let warned = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("cluster live-one registered"),
        "{said}{warned}"
    );
    assert!(!warned.contains("argo-token"), "{warned}");
    run(gateway, &["cluster", "delete", "--yes", "live-one"]).await;
}
