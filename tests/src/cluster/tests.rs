use super::*;

#[tokio::test]
async fn a_cluster_runs_workloads_on_ready_nodes_and_comes_back_with_them() {
    let testbed = Testbed::start().await.unwrap();
    let mut cluster = testbed
        .cluster("edge")
        .controllers()
        .nodes(2)
        .start()
        .await
        .unwrap();
    cluster.create_namespace("shop").await.unwrap();
    for workload in manifests::one_of_each("shop") {
        cluster.create(&workload).await.unwrap();
        cluster.wait_for_workload(&workload).await.unwrap();
    }
    let printed = cluster
        .kubectl(&["get", "nodes", "-o", "name"])
        .await
        .unwrap();
    assert_eq!(printed, "node/n0\nnode/n1\n");

    let rules = json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]);
    let token = cluster.account("default", "looker", &rules).await.unwrap();
    let looker = cluster.admin().with_token(Some(&token));
    looker.read("/api/v1/nodes").await.unwrap();
    assert_eq!(looker.get("/api/v1/pods").await.unwrap().status, 403);

    cluster.kill_api_server().unwrap();
    assert!(cluster.admin().get("/version").await.is_err());
    cluster.start_api_server().await.unwrap();
    let deployment = manifests::deployment("shop", "web", 3);
    cluster.wait_for_workload(&deployment).await.unwrap();
}

#[tokio::test]
async fn a_server_without_controllers_has_nodes_and_bound_pods() {
    let testbed = Testbed::start().await.unwrap();
    let cluster = testbed.cluster("small").nodes(1).start().await.unwrap();
    cluster
        .create(&manifests::pod("default", "bare", "n0"))
        .await
        .unwrap();
    cluster.wait_for_pod("default", "bare").await.unwrap();
}

#[tokio::test]
async fn tiller_is_found_and_reached_as_its_clients_do_it() {
    let testbed = Testbed::start().await.unwrap();
    let mut cluster = testbed.cluster("old").tiller().start().await.unwrap();
    let (_, helm) = Testbed::tiller().unwrap();
    let home = crate::scratch::folder().unwrap();
    let kubeconfig = cluster.kubeconfig_file();
    let version = || {
        std::process::Command::new(&helm)
            .args(["version", "--server", "--home"])
            .arg(home.path())
            .args(["--tiller-connection-timeout", "5"])
            .env("KUBECONFIG", &kubeconfig)
            .output()
            .unwrap()
    };
    let printed = String::from_utf8(version().stdout).unwrap();
    assert!(printed.contains("SemVer:\"v2.17.0\""), "{printed}");
    cluster.kill_tiller();
    assert!(!version().status.success());
}
