//! Charts that the real Helm signed, and a gateway that looks at it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use optikon_tests::{Answer, FakeMember, Gateway, Reply, Testbed, scratch};
use pgp::composed::{KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey};
use pgp::ser::Serialize;
use reqwest::{Method, header, multipart};
use serde_json::{Value, json};

use crate::bed::{own, web, web_folder};

fn key(name: &str) -> SignedSecretKey {
    let mut params = SecretKeyParamsBuilder::default();
    params
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(true)
        .primary_user_id(name.into());
    let params = params.build().unwrap();
    params.generate(rand::thread_rng()).unwrap()
}

/// A chart's archive in a folder of its own, signed by the real Helm; the `.prov` lies beside it.
fn signed(folder: &Path, by: &SignedSecretKey, name: &str, version: &str) -> PathBuf {
    let secrets = folder.join(format!("{name}.secret"));
    let mut bytes = Vec::new();
    by.to_writer(&mut bytes).unwrap();
    std::fs::write(&secrets, bytes).unwrap();
    let target = folder.join(format!("{name}-{version}"));
    let keyring = secrets.to_str().unwrap();
    let source = web_folder();
    helm(&[
        "package",
        source.to_str().unwrap(),
        "--version",
        version,
        "--sign",
        "--key",
        name,
        "--keyring",
        keyring,
        "--destination",
        target.to_str().unwrap(),
    ]);
    target.join(format!("web-{version}.tgz"))
}

fn helm(arguments: &[&str]) {
    let output = Command::new(Testbed::helm().unwrap())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "helm {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A file with the public half of a key, as Helm takes it for a keyring.
fn keyring(folder: &Path, of: &SignedSecretKey) -> PathBuf {
    let path = folder.join("keyring.gpg");
    let mut bytes = Vec::new();
    let public = SignedPublicKey::from(of.clone());
    public.to_writer(&mut bytes).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Pushes an archive, with what lies beside it, by the real Helm into a registry that is asked for it from then on.
/// Returns the kinds of what it consists of, sorted.
fn push(registry: &FakeMember, folder: &Path, archive: &Path, version: &str) -> Vec<String> {
    let below = "/v2/charts/web";
    registry.answer_all(Answer::bytes(404, "text/plain", Vec::new()));
    let taken = Answer::bytes(202, "text/plain", Vec::new());
    let taken = taken.header("location", &format!("{below}/blobs/uploads/1"));
    registry.answer(&format!("POST {below}/blobs/uploads/"), taken);
    registry.keep_puts();
    let ca = folder.join("registry.pem");
    std::fs::write(&ca, registry.ca().unwrap()).unwrap();
    let to = format!("oci://127.0.0.1:{}/charts", registry.port());
    let (archive, ca) = (archive.to_str().unwrap(), ca.to_str().unwrap());
    registry.forget();
    helm(&["push", archive, &to, "--ca-file", ca]);
    let mut kinds = Vec::new();
    for put in registry.seen() {
        if put.method != "PUT" {
            continue;
        }
        let (path, query) = put.target.split_once('?').unwrap_or((&put.target, ""));
        if let Some(name) = path.strip_prefix(&format!("{below}/manifests/")) {
            let pushed: Value = serde_json::from_slice(&put.body).unwrap();
            // It is pushed by its digest as well.
            for layer in pushed["layers"].as_array().unwrap() {
                let kind = layer["mediaType"].as_str().unwrap();
                kinds.extend((name == version).then(|| kind.to_owned()));
            }
        } else {
            let digest = query.strip_prefix("digest=").unwrap().replace("%3A", ":");
            let blob = Answer::bytes(200, "application/octet-stream", put.body);
            registry.answer(&format!("{below}/blobs/{digest}"), blob);
        }
    }
    kinds.sort();
    kinds
}

async fn send(gateway: &Gateway, archive: &[u8], prov: Option<&[u8]>) -> Reply {
    let mut form = multipart::Form::new().part("chart", multipart::Part::bytes(archive.to_vec()));
    if let Some(prov) = prov {
        form = form.part("prov", multipart::Part::bytes(prov.to_vec()));
    }
    let client = gateway.client().unwrap();
    let request = client.request(Method::POST, "/archives").multipart(form);
    client.send(request).await.unwrap()
}

fn refused(reply: &Reply, word: &str) {
    assert_eq!(reply.status, 422, "{}", reply.text);
    assert!(reply.text.contains(word), "{word}: {}", reply.text);
}

/// A cluster that nobody listens for: what is asked is whether the chart is taken.
async fn nowhere(gateway: &Gateway) {
    let dead = json!({"name": "dead", "server": "https://127.0.0.1:1"});
    let client = gateway.client().unwrap();
    client.create("/cluster", &dead).await.unwrap();
}

async fn install(gateway: &Gateway, chart: Value, release: &str) -> Reply {
    let body = json!({"chart": chart, "release": {"name": release}, "targets": {"all": true}});
    let (client, path) = (gateway.client().unwrap(), "/charts?wait=true");
    client.json(Method::POST, path, &body).await.unwrap()
}

/// Whose signature the chart of an accepted request has.
async fn signer(gateway: &Gateway, reply: Reply) -> Value {
    let taken = reply.success().unwrap();
    let path = format!("/archives/{}", taken["digests"]["chart"].as_str().unwrap());
    let client = gateway.client().unwrap();
    client.read(&path).await.unwrap()["signedBy"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_key_of_the_keyring_signed_is_taken() {
    let folder = scratch::folder().unwrap();
    let (maker, stranger) = (key("Maker"), key("Stranger"));
    let keyring = keyring(folder.path(), &maker);

    let good = signed(folder.path(), &maker, "Maker", "1.0.0");
    let other = signed(folder.path(), &stranger, "Stranger", "1.0.1");
    // Helm agrees on what is good.
    let public = keyring.to_str().unwrap();
    helm(&["verify", good.to_str().unwrap(), "--keyring", public]);

    let config = format!("[charts]\nkeyring = {public:?}\nrequire_provenance = true\n");
    let own = own(Gateway::builder().config(&config)).await;
    let gateway = &own.gateway;
    let read = |path: &Path| std::fs::read(path).unwrap();
    let prov_of = |path: &Path| read(&PathBuf::from(format!("{}.prov", path.display())));

    refused(&send(gateway, &read(&good), None).await, "is not signed");
    let strange = send(gateway, &read(&other), Some(&prov_of(&other))).await;
    refused(&strange, "no key of the keyring");
    let swapped = send(gateway, &read(&other), Some(&prov_of(&good))).await;
    refused(&swapped, "for another archive");
    let forged = String::from_utf8(prov_of(&good)).unwrap();
    let forged = forged.replace("name: web", "name: wed");
    let forged = send(gateway, &read(&good), Some(forged.as_bytes())).await;
    refused(&forged, "has been changed");
    refused(
        &send(gateway, &read(&good), Some(b"nonsense")).await,
        "signed in the clear",
    );
    let kept = send(gateway, &read(&good), Some(&prov_of(&good))).await;
    let kept = kept.success().unwrap();
    assert_eq!(kept["signedBy"], "Maker", "{kept}");

    // The command line sends what lies beside the archive, when it is told to.
    let path = good.to_str().unwrap();
    let failed = gateway.run(&["archive", "add", path]).await.unwrap();
    assert!(!failed.status.success());
    let added = ["archive", "add", path, "--verify", "-o", "json"];
    let added: Value = serde_json::from_str(&gateway.run_ok(&added).await.unwrap()).unwrap();
    assert_eq!(added["digest"], kept["digest"]);

    // A repository has it beside the archive.
    let server = FakeMember::start().await.unwrap();
    server.answer_all(Answer::bytes(404, "text/plain", Vec::new()));
    let file = |path: &str, bytes: Vec<u8>| {
        server.answer(path, Answer::bytes(200, "application/octet-stream", bytes));
    };
    let newer = signed(folder.path(), &maker, "Maker", "2.0.0");
    file("/web-2.0.0.tgz", read(&newer));
    file("/web-2.0.0.tgz.prov", prov_of(&newer));
    file("/web-3.0.0.tgz", web("3.0.0"));
    let index = "apiVersion: v1\nentries:\n  web:\n  - {version: 2.0.0, urls: [web-2.0.0.tgz]}\n  - {version: 3.0.0, urls: [web-3.0.0.tgz]}\n";
    file("/index.yaml", index.into());
    let client = gateway.client().unwrap();
    let repository = json!({"url": server.url(), "ca": server.ca().unwrap()});
    client
        .replace("/repositories/signed", &repository)
        .await
        .unwrap();
    nowhere(gateway).await;
    let install = |chart: Value, release: &'static str| install(gateway, chart, release);
    let named = |version: &str| json!({"repository": "signed", "name": "web", "version": version});
    let taken = install(named("2.0.0"), "a").await.success().unwrap();
    assert_eq!(taken["targets"][0]["reason"], "Connect", "{taken}");
    let path = format!("/archives/{}", taken["digests"]["chart"].as_str().unwrap());
    assert_eq!(client.read(&path).await.unwrap()["signedBy"], "Maker");
    refused(&install(named("3.0.0"), "b").await, "is not signed");
    let address = json!({"url": format!("{}/web-3.0.0.tgz", server.url())});
    refused(&install(address, "c").await, "is not signed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_helm_pushed_to_a_registry_is_verified_as_it_was_signed() {
    let folder = scratch::folder().unwrap();
    let (maker, stranger) = (key("Maker"), key("Stranger"));
    let keyring = keyring(folder.path(), &maker);
    let registry = FakeMember::start().await.unwrap();
    let good = signed(folder.path(), &maker, "Maker", "1.0.0");
    let strange = signed(folder.path(), &stranger, "Stranger", "1.0.1");
    let bare = folder.path().join("web-1.0.2.tgz");
    std::fs::write(&bare, web("1.0.2")).unwrap();
    let (content, prov) = (
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
        "application/vnd.cncf.helm.chart.provenance.v1.prov",
    );
    for (archive, version, wanted) in [
        (&good, "1.0.0", [content, prov].as_slice()),
        (&strange, "1.0.1", &[content, prov]),
        (&bare, "1.0.2", &[content]),
    ] {
        assert_eq!(push(&registry, folder.path(), archive, version), wanted);
    }
    let reference = format!("oci://127.0.0.1:{}/charts", registry.port());
    let chart = |version: &str| json!({"oci": format!("{reference}/web:{version}")});
    let start = async |is_required: bool| {
        let config =
            format!("[charts]\nkeyring = {keyring:?}\nrequire_provenance = {is_required}\n");
        let own = own(Gateway::builder().config(&config)).await;
        nowhere(&own.gateway).await;
        let client = own.gateway.client().unwrap();
        let body = json!({"url": reference, "ca": registry.ca().unwrap()});
        client.replace("/repositories/pushed", &body).await.unwrap();
        own
    };
    let blobs = |digest: &str| {
        let seen = registry.seen().into_iter();
        let pulls = seen.filter(|s| s.method == "GET" && s.target.ends_with(digest));
        pulls.count()
    };

    let required = start(true).await;
    let gateway = &required.gateway;
    let bytes = std::fs::read(&good).unwrap();
    let taken = install(gateway, chart("1.0.0"), "a").await;
    assert_eq!(signer(gateway, taken).await, "Maker");
    let by_name = json!({"repository": "pushed", "name": "web", "version": "1.0.0"});
    let taken = install(gateway, by_name, "b").await;
    assert_eq!(signer(gateway, taken).await, "Maker");
    let failed = install(gateway, chart("1.0.1"), "c").await;
    refused(&failed, "no key of the keyring");
    let failed = install(gateway, chart("1.0.2"), "d").await;
    refused(&failed, "is not signed");

    // Where none is required, one that is there has to be good all the same, also of an archive that was sent before.
    let optional = start(false).await;
    let gateway = &optional.gateway;
    let sent = send(gateway, &bytes, None).await.success().unwrap();
    assert!(sent["signedBy"].is_null(), "{sent}");
    let digest = sent["digest"].as_str().unwrap().to_owned();
    let before = blobs(&digest);
    let taken = install(gateway, chart("1.0.0"), "a").await;
    assert_eq!(signer(gateway, taken).await, "Maker");
    assert_eq!(blobs(&digest), before, "what is kept is not pulled again");
    let strange = std::fs::read(&strange).unwrap();
    send(gateway, &strange, None).await.success().unwrap();
    let failed = install(gateway, chart("1.0.1"), "c").await;
    refused(&failed, "no key of the keyring");
    let taken = install(gateway, chart("1.0.2"), "d").await;
    assert!(signer(gateway, taken).await.is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_keyring_a_signature_is_refused_rather_than_not_looked_at() {
    let bed = crate::bed::bed().await;
    let archive = web("1.0.0");
    refused(
        &send(&bed.gateway, &archive, Some(b"-----BEGIN")).await,
        "has no keyring",
    );
    let client = bed.gateway.client().unwrap();
    let request = client.request(Method::POST, "/archives");
    let request = request.header(header::CONTENT_TYPE, "application/gzip");
    let kept = client.send(request.body(archive)).await.unwrap();
    assert!(kept.success().unwrap()["signedBy"].is_null());
}
