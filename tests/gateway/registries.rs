//! Charts in registries, as the distribution protocol has them.

use optikon_tests::fake::Body;
use optikon_tests::{Answer, FakeMember, tar};
use serde_json::json;

use crate::sources::{add_repository, chart_of, client, code, detail, install, server, upload};

/// A registry as the distribution protocol describes it: a token for the asking, a manifest, a blob.
struct Registry {
    server: FakeMember,
    digest: String,
}

impl Registry {
    /// With a chart of this name as `team/packed`.
    async fn start(chart: &str) -> Self {
        let server = server().await;
        let bytes = tar::chart(chart, "1.2.3+b1");
        let digest = digest(&bytes).await;
        let layer = json!({"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": digest, "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": digest, "size": 2},
            "layers": [layer],
        });
        let challenge = format!(
            "Bearer realm=\"{}/token\",service=\"r\",scope=\"repository:team/packed:pull\"",
            server.url()
        );
        let wants_token = Answer::bytes(401, "application/json", b"{}".to_vec())
            .header("www-authenticate", &challenge);
        server.guard("/v2/", "Bearer of-the-registry", wants_token);
        server.answer(
            "/token",
            Answer::json(200, &json!({"token": "of-the-registry"})),
        );
        server.answer("/v2/team/packed/tags/list", Answer::json(200, &json!({"name": "team/packed", "tags": ["1.0.0", "1.2.3_b1", "latest", "2.0.0-rc.1"]})));
        server.answer(
            "/v2/team/packed/manifests/1.2.3_b1",
            Answer::json(200, &manifest),
        );
        server.answer(
            "/v2/team/packed/manifests/latest",
            Answer::json(200, &manifest),
        );
        let blob = format!("/v2/team/packed/blobs/{digest}");
        server.answer(&blob, Answer::bytes(200, "application/octet-stream", bytes));
        Self { server, digest }
    }

    fn at(&self, rest: &str) -> String {
        format!(
            "{}/team/{rest}",
            self.server.url().replacen("https", "oci", 1)
        )
    }
}

/// As the gateway names these bytes.
async fn digest(bytes: &[u8]) -> String {
    let kept = upload(bytes.to_vec()).await.success().unwrap();
    let digest = kept["digest"].as_str().unwrap().to_owned();
    client()
        .await
        .delete(&format!("/archives/{digest}"))
        .await
        .unwrap();
    digest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_is_pulled_from_with_a_token_and_only_what_is_new() {
    let registry = Registry::start("packed").await;
    let server = &registry.server;
    let password = "hunter2-of-the-registry";
    let body = json!({"url": registry.at(""), "username": "puller", "password": password});
    add_repository("registry", body, server).await;
    let tagged = registry.at("packed:1.2.3_b1");
    for chart in [
        json!({"oci": tagged}),
        json!({"oci": registry.at("packed"), "version": "1.2.3+b1"}),
        json!({"oci": registry.at("packed"), "version": "^1.1"}),
        json!({"oci": registry.at("packed:latest")}),
        json!({"repository": "registry", "name": "packed"}),
    ] {
        let kept = chart_of(&install(chart.clone()).await).await;
        assert_eq!(kept["digest"], registry.digest, "{chart}");
        assert_eq!(kept["chart"]["version"], "1.2.3+b1");
    }
    let blobs = server
        .seen()
        .into_iter()
        .filter(|s| s.target.contains("/blobs/"));
    // Once refused for want of a token is not once more sent.
    let sent = blobs.filter(|s| s.header("authorization") == Some("Bearer of-the-registry"));
    assert_eq!(sent.count(), 1, "what is kept is not pulled again");
    let tokens: Vec<_> = server
        .seen()
        .into_iter()
        .filter(|s| s.target.starts_with("/token"))
        .collect();
    assert!(tokens.iter().all(|s| {
        s.header("authorization")
            .is_some_and(|a| a.starts_with("Basic "))
    }));
    assert!(
        tokens[0]
            .target
            .contains("scope=repository%3Ateam%2Fpacked%3Apull"),
        "{}",
        tokens[0].target
    );

    for (chart, status, word) in [
        (json!({"oci": registry.at("packed:9.9.9")}), 422, "404"),
        (
            json!({"oci": registry.at("packed"), "version": ">5"}),
            422,
            "1.2.3+b1",
        ),
        (json!({"oci": "oci://nobody"}), 422, "chart.oci"),
        (
            json!({"oci": registry.at("packed:1.0.0"), "version": "1.0.0"}),
            422,
            "chart.version",
        ),
    ] {
        let refused = install(chart.clone()).await;
        assert_eq!(refused.status.as_u16(), status, "{chart}: {}", refused.text);
        assert!(detail(&refused).contains(word), "{chart}: {}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_answers_nonsense_is_told_from_a_wrong_request() {
    let registry = Registry::start("odd").await;
    let server = &registry.server;
    add_repository("odd-registry", json!({"url": registry.at("")}), server).await;
    let manifest = |config: &str, layer: &str, digest: &str| json!({"config": {"mediaType": config}, "layers": [{"mediaType": layer, "digest": digest, "size": 3}]});
    let (config, layer) = (
        "application/vnd.cncf.helm.config.v1+json",
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    );
    let of_nothing = format!("sha256:{}", "0".repeat(64));
    let blob = format!("/v2/team/packed/blobs/{of_nothing}");
    server.answer(
        &blob,
        Answer::bytes(200, "application/octet-stream", b"abc".to_vec()),
    );
    for (answer, word) in [
        (
            manifest(
                "application/vnd.oci.image.config.v1+json",
                layer,
                &registry.digest,
            ),
            "another artifact",
        ),
        (
            manifest(
                config,
                "application/vnd.oci.image.layer.v1.tar+gzip",
                &registry.digest,
            ),
            "no layer",
        ),
        (manifest(config, layer, "md5:1"), "no SHA-256"),
        (manifest(config, layer, &of_nothing), "another digest"),
        (json!({"manifests": []}), "no image manifest"),
        (json!("<html>"), "no image manifest"),
    ] {
        server.answer(
            "/v2/team/packed/manifests/latest",
            Answer::json(200, &answer),
        );
        let failed = install(json!({"oci": registry.at("packed:latest")})).await;
        assert_eq!(
            (failed.status.as_u16(), code(&failed)),
            (502, "source-failed".into()),
            "{answer}: {}",
            failed.text
        );
        assert!(detail(&failed).contains(word), "{answer}: {}", failed.text);
    }
    // A registry whose tokens are issued elsewhere: the credential goes there only when that is said.
    let issuer = crate::sources::server().await;
    let challenge = format!("Bearer realm=\"{}/token\"", issuer.url());
    let elsewhere =
        Answer::bytes(401, "text/plain", Vec::new()).header("www-authenticate", &challenge);
    server.guard("/v2/far/", "Bearer far", elsewhere);
    issuer.guard(
        "/token",
        "Bearer t0ken-for-the-registry",
        Answer::bytes(401, "text/plain", Vec::new()),
    );
    let url = format!("{}/far", server.url().replacen("https", "oci", 1));
    let mut body = json!({"url": url, "token": "t0ken-for-the-registry"});
    add_repository("far", body.clone(), server).await;
    let refused = install(json!({"repository": "far", "name": "chart", "version": "1.0.0"})).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(detail(&refused).contains("tokenHosts"), "{}", refused.text);
    assert!(
        issuer
            .seen()
            .iter()
            .all(|s| s.header("authorization").is_none())
    );
    issuer.answer("/token", Answer::json(200, &json!({"access_token": "far"})));
    body["tokenHosts"] = json!([format!("127.0.0.1:{}", issuer.port())]);
    add_repository("far", body, server).await;
    let asked = install(json!({"repository": "far", "name": "chart", "version": "1.0.0"})).await;
    assert!(detail(&asked).contains("404"), "{}", asked.text);
    assert!(
        issuer
            .seen()
            .iter()
            .any(|s| s.header("authorization") == Some("Bearer t0ken-for-the-registry"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_registry_keeps_elsewhere_is_fetched_without_its_credential() {
    let registry = Registry::start("stored").await;
    let store = crate::sources::server().await;
    let body = json!({"url": registry.at(""), "username": "puller", "password": "hunter2"});
    add_repository("stored", body, &registry.server).await;
    let blob = format!("/v2/team/packed/blobs/{}", registry.digest);
    let away = format!("{}/of-the-store?signature=1", store.url());
    registry.server.answer(&blob, Answer::redirect(307, &away));
    let bytes = tar::chart("stored", "1.2.3+b1");
    let bytes = Answer::bytes(200, "application/octet-stream", bytes);
    store.answer("/of-the-store", bytes);
    let kept = install(json!({"oci": registry.at("packed:latest")})).await;
    assert_eq!(chart_of(&kept).await["digest"], registry.digest);
    let asked = store.seen();
    assert!(!asked.is_empty());
    assert!(
        asked.iter().all(|s| s.header("authorization").is_none()),
        "the credential went elsewhere"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_never_ends_is_cut_off() {
    let registry = Registry::start("endless").await;
    add_repository("endless", json!({"url": registry.at("")}), &registry.server).await;
    let endless = || {
        let piece = Body::Endless(vec![b' '; 1 << 16]);
        Answer::with_body(200, "application/json", piece)
    };
    let at = |part: &str| format!("/v2/team/packed/{part}");
    registry.server.answer(&at("tags/list"), endless());
    registry.server.answer(&at("manifests/latest"), endless());
    let blob = format!("blobs/{}", registry.digest);
    registry.server.answer(&at(&blob), endless());
    for chart in ["packed:latest", "packed:1.2.3_b1", "packed"] {
        let refused = install(json!({"oci": registry.at(chart)})).await;
        assert_eq!(refused.status, 413, "{chart}: {}", refused.text);
        assert_eq!(code(&refused), "too-large", "{chart}");
    }
}
