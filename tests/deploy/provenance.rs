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

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_key_of_the_keyring_signed_is_taken() {
    let folder = scratch::folder().unwrap();
    let (maker, stranger) = (key("Maker"), key("Stranger"));
    let keyring = folder.path().join("keyring.gpg");
    let mut bytes = Vec::new();
    SignedPublicKey::from(maker.clone())
        .to_writer(&mut bytes)
        .unwrap();
    std::fs::write(&keyring, bytes).unwrap();

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
    // Nobody listens there: what is asked is whether the chart is taken.
    let dead = json!({"name": "dead", "server": "https://127.0.0.1:1"});
    client.create("/cluster", &dead).await.unwrap();
    let install = |chart: Value, release: &str| {
        let body = json!({"chart": chart, "release": {"name": release}, "targets": {"all": true}});
        async move {
            let path = "/charts?wait=true";
            client.json(Method::POST, path, &body).await.unwrap()
        }
    };
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
