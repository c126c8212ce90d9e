//! The original's own files, replayed: the bodies that its demo posted, and the answers of its mock mode, field by field.
//!
//! Names are those of the files in lower case, as its registry refused others, too (`Copenhagen1`); a chart's name is what
//! comes after the last `/`.

use reqwest::{Method, multipart};
use serde_json::{Value, json};

use crate::bed::{archive, bed, chart_file, original};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../fixtures/optikon-v0/", $name, ".json")))),*]
    };
}

fn mock(name: &str) -> Value {
    let all = files![
        "add-clusters",
        "delete-cluster-abc",
        "edge-1",
        "edge-2",
        "edge-3",
        "get-cluster-abc",
        "get-clusters",
        "get-releases",
        "update-cluster-abc",
    ];
    let (_, text) = all.iter().find(|(known, _)| *known == name).unwrap();
    serde_json::from_str(text).unwrap()
}

/// Keys as Go decodes them: in any case.
fn field<'a>(object: &'a Value, name: &str) -> &'a Value {
    let mut fields = object.as_object().into_iter().flatten();
    let found = fields.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map_or(&Value::Null, |(_, value)| value)
}

/// Whatever the file has, the answer has; `path` of a field that is computed may differ in its value.
fn assert_has(answer: &Value, file: &Value, path: &str) {
    match file {
        Value::Object(fields) => {
            for (key, value) in fields {
                let inner = answer.get(key).unwrap_or(&Value::Null);
                assert_has(inner, value, &format!("{path}/{key}"));
            }
        }
        _ => assert_eq!(answer, file, "{path}"),
    }
}

fn code(name: &str) -> u64 {
    mock(name)["StatusCode"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bodies_of_the_demo_come_back_field_by_field() {
    let cluster = &bed().await.tillers[0];
    let conf = cluster.kubeconfig(cluster.admin_token()).to_string();
    for name in ["edge-1", "edge-2", "edge-3"] {
        let mut body = mock(name);
        body["metadata"]["annotations"]["Conf"] = json!(conf);
        body["metadata"]["annotations"]["APIServer"] = json!(cluster.server());
        let created = original(Method::POST, "/v0/clusters", Some(&body))
            .await
            .unwrap();
        let wanted = code("add-clusters");
        assert_eq!(
            (u64::from(created.status.as_u16()), created.text.as_str()),
            (wanted, "")
        );

        let path = format!(
            "/v0/clusters/{}",
            body["metadata"]["name"].as_str().unwrap()
        );
        let read = original(Method::GET, &path, None).await.unwrap();
        assert!(!read.text.contains(cluster.admin_token()));
        let read = read.success().unwrap();
        body["metadata"]["annotations"]["Conf"] = json!("");
        assert_has(&read, &body, name);
        for noise in ["creationTimestamp", "deletionTimestamp"] {
            assert_eq!(read["metadata"][noise], json!({}));
        }
        for noise in ["finalizers", "ownerReferences"] {
            assert_eq!(read["metadata"].get(noise), Some(&Value::Null), "{noise}");
        }
        assert_eq!(read["spec"], json!({}));
        let gone = original(Method::DELETE, &path, None).await.unwrap();
        assert_eq!((gone.status.as_u16(), gone.text.as_str()), (200, ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clusters_of_the_mock_files_come_back_field_by_field() {
    let file = mock("get-clusters");
    let mocks = file["Raw"].as_array().unwrap();
    for mock in mocks {
        // Keys in the file's own case, and its unknown ones, go in as they are.
        let mut body = mock.clone();
        let name = mock["Metadata"]["Name"].as_str().unwrap().to_lowercase();
        body["Metadata"]["Name"] = json!(name);
        body["Metadata"]["Annotations"]["APIServer"] = json!("https://192.0.2.7:6443");
        let created = original(Method::POST, "/v0/clusters", Some(&body))
            .await
            .unwrap();
        assert_eq!((created.status.as_u16(), created.text.as_str()), (201, ""));
    }
    let listed = original(Method::GET, "/v0/clusters", None).await.unwrap();
    assert_eq!(u64::from(listed.status.as_u16()), code("get-clusters"));
    let listed = listed.success().unwrap();
    for mock in mocks {
        let metadata = field(mock, "metadata");
        let name = field(metadata, "name").as_str().unwrap().to_lowercase();
        let mut rows = listed.as_array().unwrap().iter();
        let row = rows
            .find(|row| row["metadata"]["name"] == name.as_str())
            .unwrap();
        assert_has(
            &row["metadata"]["labels"],
            field(metadata, "labels"),
            "labels",
        );
        for (key, value) in field(metadata, "annotations").as_object().unwrap() {
            let shown = &row["metadata"]["annotations"][key];
            match key.as_str() {
                // Nobody answers there, so nothing was counted.
                "NumPods" => assert!(shown.is_null() || shown.is_string(), "{row}"),
                "Health" => {
                    let words = ["Green", "Yellow", "Red"];
                    assert!(words.contains(&shown.as_str().unwrap()), "{row}");
                }
                _ => assert_eq!(shown, value, "{key}"),
            }
        }
        assert!(
            row.get("Template").is_none() && row.get("template").is_none(),
            "unknown keys drop"
        );
        let path = format!("/v0/clusters/{name}");
        original(Method::DELETE, &path, None)
            .await
            .unwrap()
            .success()
            .unwrap();
    }
    // A cluster without a name cannot be kept; the mock answered `{}`.
    let unknown = &mock("get-cluster-abc")["Raw"];
    let refused = original(Method::POST, "/v0/clusters", Some(unknown))
        .await
        .unwrap();
    assert_eq!(refused.status, 422, "{}", refused.text);
    let missing = json!({ "metadata": { "name": "abc" } });
    let missing = original(Method::PUT, "/v0/clusters/abc", Some(&missing))
        .await
        .unwrap();
    assert_eq!(
        u64::from(missing.status.as_u16()),
        code("update-cluster-abc")
    );
    let nobody = bed().await.gateway.client().unwrap().with_token(None);
    let nobody = nobody
        .send(nobody.request(Method::DELETE, "/v0/clusters/abc"))
        .await
        .unwrap();
    assert_eq!(
        u64::from(nobody.status.as_u16()),
        code("delete-cluster-abc")
    );
    for gone in ["/v0/charts", "/v0/charts/abc"] {
        assert_eq!(original(Method::GET, gone, None).await.unwrap().status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_releases_of_the_mock_files_come_back_field_by_field() {
    let bed = bed().await;
    let cluster = &bed.tillers[0];
    let file = mock("get-releases");
    let mut wanted = Vec::new();
    for mock in file["Raw"].as_array().unwrap() {
        let mut mock = mock.clone();
        let name = mock["Name"].as_str().unwrap().replace('_', "-");
        let chart = mock["Chart"]["Metadata"]["Name"].as_str().unwrap();
        let chart = chart.rsplit('/').next().unwrap().to_owned();
        mock["Name"] = json!(name);
        mock["Chart"]["Metadata"]["Name"] = json!(chart);
        let metadata = format!("apiVersion: v1\nname: \"{chart}\"\nversion: 0.2.0\n");
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-mock\n";
        let hook = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-hook\n  annotations:\n    \
             helm.sh/hook: pre-install\n    helm.sh/hook-weight: \"3\"\n    helm.sh/hook-delete-policy: before-hook-creation\n";
        let archive = archive(
            "mock",
            &[
                ("Chart.yaml", &metadata),
                ("values.yaml", "# as it is\na: 1\n"),
                ("templates/map.yaml", map),
                ("templates/hook.yaml", hook),
                ("README.md", "hello"),
            ],
        );
        let namespace = mock["Namespace"].as_str().unwrap().to_owned();
        let part = multipart::Part::bytes(archive.clone()).file_name("chart.tgz");
        let form = multipart::Form::new()
            .part("chartTar", part)
            .text("name", name.clone())
            .text("namespace", namespace);
        let client = bed.gateway.client().unwrap();
        let path = "/v0/releases?labels=bed=shared,kind=tiller";
        let sent = client.request(Method::POST, path).multipart(form);
        let created = client.send(sent).await.unwrap();
        assert_eq!((created.status.as_u16(), created.text.as_str()), (201, ""));
        // Up to the file's version by the real Helm 2.
        let archive = chart_file(cluster, &format!("{name}.tgz"), &archive).unwrap();
        for _ in 1..mock["Version"].as_u64().unwrap() {
            cluster.helm2(&["upgrade", &name, &archive]).await.unwrap();
        }
        wanted.push(mock);
    }
    let labels = "labels=bed=shared,kind=tiller";
    // Shared for two seconds: what was changed beside the gateway shows then.
    let listed = optikon_tests::wait_for("the list to be of now", crate::bed::PATIENCE, || async {
        let reply = original(Method::GET, &format!("/v0/releases?{labels}"), None).await?;
        let listed = reply.success()?;
        let mut rows = listed.as_array().unwrap().iter();
        let is_new = rows.any(|row| row["OnCluster"] == "tiller-1" && row["Version"] == 5);
        Ok(is_new.then_some(listed))
    })
    .await
    .unwrap();
    for mock in &wanted {
        let mut rows = listed.as_array().unwrap().iter();
        let row = rows
            .find(|row| row["OnCluster"] == "tiller-1" && row["Name"] == mock["Name"])
            .unwrap();
        assert_has(row, mock, "");
        let template = &row["Chart"]["Template"];
        let mut names: Vec<_> = template
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file["Name"].as_str().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["templates/hook.yaml", "templates/map.yaml"]);
        assert_eq!(
            row["Chart"]["Files"],
            json!([{ "Type_Url": "README.md", "Value": "aGVsbG8=" }])
        );
        assert_eq!(row["Chart"]["Config"]["Raw"], "# as it is\na: 1\n");
        let hook = &row["Hooks"][0];
        assert_eq!(hook["Events"], json!(["PRE_INSTALL"]));
        assert_eq!(hook["DeletePolicies"], json!(["BEFORE_HOOK_CREATION"]));
        assert_eq!(
            (&hook["Kind"], &hook["Weight"]),
            (&json!("ConfigMap"), &json!(3))
        );
        assert!(row["Manifest"].as_str().unwrap().contains("-mock"));
        assert!(row["Info"]["LastDeployed"].is_string());
        let one = format!("/v0/releases/{}?{labels}", mock["Name"].as_str().unwrap());
        let read = original(Method::GET, &one, None)
            .await
            .unwrap()
            .success()
            .unwrap();
        assert_eq!(&read, row, "one is as in the list");
        let gone = original(Method::DELETE, &one, None).await.unwrap();
        assert_eq!((gone.status.as_u16(), gone.text.as_str()), (200, ""));
    }
}
