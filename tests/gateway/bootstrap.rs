//! A member of a user's kubeconfig becomes a cluster of the gateway, with an account of its own; and clusters that another
//! project knows come along.

use optikon_tests::{Cluster, Gateway, Testbed, wait_for};
use serde_json::{Value, json};

use crate::bed::{PATIENCE, assert_absent, condition, forms, gateway};

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
