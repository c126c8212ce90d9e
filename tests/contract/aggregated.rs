//! registry-aggregated against the API server of v0.0.3 behind the real kube-aggregator, and what it does beyond the contract.
//!
//! That server has one collection and a hub one registration, so the tests take turns.

use std::sync::Arc;

use anyhow::Result;
use optikon_core::ports::{Call, World};
use optikon_engine::{Deps, Engine, EngineConfig, Filling, Grants, Peers};
use optikon_tests::old_registry::{Access, CLUSTERS};
use optikon_tests::{Client, Cluster, OldRegistry, Testbed};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::bed::{Bed, SystemWorld, cluster, code, draft, json_of, name, uid};
use crate::central::{peers, peers_of};

/// A hub and the server behind it.
#[derive(Debug)]
struct Behind {
    hub: Cluster,
    registry: OldRegistry,
}

/// The turn of one test: nobody else writes while it lives.
#[derive(Debug)]
pub(crate) struct Turn {
    behind: &'static Behind,
    _guard: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits for it, and empties the registry.
    pub(crate) async fn take() -> Result<Self> {
        static SHARED: OnceCell<Behind> = OnceCell::const_new();
        static TURN: Mutex<()> = Mutex::const_new(());
        let guard = TURN.lock().await;
        let behind = SHARED
            .get_or_try_init(|| async {
                let hub = Testbed::start().await?.cluster("hub").start().await?;
                let registry = OldRegistry::start(Access::Everybody).await?;
                registry.register(&hub).await?;
                anyhow::Ok(Behind { hub, registry })
            })
            .await?;
        let client = behind.registry.client();
        let list = client.read(CLUSTERS).await?;
        for item in list["items"].as_array().into_iter().flatten() {
            if item["metadata"]["finalizers"].is_array() {
                let path = format!("{CLUSTERS}/{}", item["metadata"]["name"].as_str().unwrap());
                client
                    .merge(&path, &json!({"metadata": {"finalizers": null}}))
                    .await?;
            }
        }
        client.delete(CLUSTERS).await?;
        Ok(Self {
            behind,
            _guard: guard,
        })
    }

    /// The way to the hub, as administrator.
    pub(crate) fn peers(&self, world: Arc<dyn World>) -> Result<Arc<dyn Peers>> {
        peers(&self.behind.hub, self.behind.hub.admin_token(), world)
    }

    /// The server itself.
    fn client(&self) -> &Client {
        self.behind.registry.client()
    }
}

async fn create(bed: &Bed, object: Value) -> Value {
    let made = bed.turn().client().create(CLUSTERS, &object).await;
    made.unwrap()
}

/// The server knows no dry run and would write.
pub(crate) async fn dry_runs_are_answered_by_the_plugin(bed: Bed) {
    let made = bed.create("a", &[]).await;
    let (registry, call) = (bed.registry(), Call::client);
    let before = bed.turn().client().read(CLUSTERS).await.unwrap();
    let mut changed = json_of(&made);
    changed["spec"]["cloudProvider"] = json!({"name": "other"});
    let tried = registry
        .update(call(), &cluster(&changed), None, true)
        .await;
    assert_eq!(
        json_of(&tried.unwrap())["spec"]["cloudProvider"]["name"],
        "other"
    );
    let fresh = cluster(&draft("b", &[]));
    registry.create(call(), &fresh, true).await.unwrap();
    registry
        .delete(call(), &name("a"), None, None, true)
        .await
        .unwrap();
    let wrong = cluster(&draft("1-edge", &[]));
    for dry_run in [true, false] {
        let refused = registry.create(call(), &wrong, dry_run).await;
        assert_eq!(code(refused), "invalid");
    }
    let after = bed.turn().client().read(CLUSTERS).await.unwrap();
    assert_eq!(before, after);
}

/// A wrong type is named by its field; the server's own text, which quotes the body, is not passed on.
pub(crate) async fn what_the_server_quotes_goes_no_further(bed: Bed) {
    let mut wrong = draft("a", &[]);
    wrong["spec"]["authInfo"] =
        json!({"providers": [{"config": {"token": "s3cret-token"}, "name": 7}]});
    // The server's own words, so that the test knows what it guards against.
    let request = bed.turn().client().json(Method::POST, CLUSTERS, &wrong);
    let said = request.await.unwrap();
    assert!(said.status == 400 && said.text.contains("s3cret-token"));
    let error = bed.try_create(&wrong).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(!text.contains("s3cret"), "{text}");
    assert!(text.contains("providers[0].name"), "{text}");
    // Something that only the server finds.
    let mut odd = draft("a", &[]);
    odd["metadata"]["labels"] = json!({"s3cret-token": 7});
    let error = bed.try_create(&odd).await.unwrap_err();
    let text = format!("{error:?}");
    assert_eq!(error.code(), "invalid", "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

/// The project's own sample, with its keys in another case, and what its tools wrote.
pub(crate) async fn what_old_tools_write_is_read(bed: Bed) {
    let from = bed.list("", 10, None).await.unwrap().revision;
    let mut watch = bed.watch("", Some(&from)).await.unwrap();
    let sample = json!({"kind": "Cluster", "apiVersion": "clusterregistry.k8s.io/v1alpha1",
        "metadata": {"name": "my-cluster", "labels": {"foo": "bar"}},
        "spec": {"cloudProvider": {"name": "MyCloudProvider"}, "kubernetesApiEndpoints":
            {"serverEndpoints": [{"clientCidr": "0.0.0.0", "serverAddress": "127.0.0.1"}]}}});
    create(&bed, sample).await;
    let (kind, seen) = watch.change().await;
    assert_eq!(kind, "stored");
    assert_eq!(bed.get("my-cluster").await.unwrap(), seen);
    assert_eq!(
        seen.cluster.endpoints().unwrap()[0].url,
        "https://127.0.0.1"
    );
    let json = json_of(&seen);
    assert_eq!(
        json["spec"]["kubernetesApiEndpoints"]["serverEndpoints"][0]["clientCIDR"],
        "0.0.0.0"
    );
    assert!(json.get("status").is_none() && json["metadata"].get("selfLink").is_none());
    // And they see what we wrote, as they know it, whatever else is carried along.
    bed.change("my-cluster", |v| {
        v["spec"]["ofTomorrow"] = 1.into();
        v["spec"]["cloudProvider"]["name"] = "Ours".into();
    })
    .await;
    let path = format!("{CLUSTERS}/my-cluster");
    let theirs = bed.turn().client().read(&path).await.unwrap();
    assert_eq!(theirs["spec"]["cloudProvider"]["name"], "Ours");
    let patch = json!({"spec": {"cloudProvider": {"name": "Theirs"}}});
    bed.turn().client().merge(&path, &patch).await.unwrap();
    let both = json_of(&bed.get("my-cluster").await.unwrap());
    assert_eq!(both["spec"]["ofTomorrow"], 1);
    assert_eq!(both["spec"]["cloudProvider"]["name"], "Theirs");
    assert!(both["metadata"].get("annotations").is_none(), "{both:#}");
}

/// Another controller's finalizer keeps the object until it is taken away.
pub(crate) async fn a_finalizer_of_others_holds_a_cluster(bed: Bed) {
    let mut wanted = draft("a", &[]);
    wanted["metadata"]["finalizers"] = json!(["example.com/hold"]);
    bed.try_create(&wanted).await.unwrap();
    let going = bed.delete("a").await.unwrap();
    assert!(json_of(&going)["metadata"]["deletionTimestamp"].is_string());
    let mut watch = bed.watch("", Some(&going.revision)).await.unwrap();
    let patch = json!({"metadata": {"finalizers": null}});
    let path = format!("{CLUSTERS}/a");
    bed.turn().client().merge(&path, &patch).await.unwrap();
    assert_eq!(watch.change().await.0, "deleted");
    assert_eq!(code(bed.get("a").await), "not-found");
}

/// HTTP 200 and one event of code 410; a page's token as well.
pub(crate) async fn too_old_a_revision_is_expired(bed: Bed) {
    let mut last = bed.create("a", &[]).await.revision;
    let first = last.clone();
    bed.create("b", &[]).await;
    let page = bed.list("", 1, None).await.unwrap();
    for n in 0..5 {
        let changed = bed.change("a", |v| {
            v["spec"]["cloudProvider"] = json!({"name": n.to_string()})
        });
        last = changed.await.revision;
    }
    bed.turn().behind.registry.compact().await.unwrap();
    let mut watch = bed.watch("", Some(&first)).await.unwrap();
    let end = watch.next().await.expect("an error is the last item");
    assert_eq!(code(end), "expired");
    assert_eq!(code(bed.list("", 1, page.next).await), "expired");
    // From the present on it goes on.
    let mut watch = bed.watch("", Some(&last)).await.unwrap();
    bed.create("c", &[]).await;
    assert_eq!(watch.change().await.1.cluster.name().as_str(), "c");
}

/// The registry over another way, with another token.
async fn engine(bed: &Bed, peers: Arc<dyn Peers>) -> Engine {
    let mut config = EngineConfig::new(bed.folder());
    config.cache_folder = Some(Bed::cache());
    let deps = Deps {
        kv: bed.kv(),
        peers,
        world: Arc::new(SystemWorld),
    };
    let engine = Engine::new(config, deps).unwrap();
    let filling = Filling::new(bed.file(), Grants::new(["central", "kube", "log"]));
    engine
        .fill(&"registry".parse().unwrap(), filling)
        .await
        .unwrap();
    engine
}

/// Nobody registered, another form, no rights, a hub whose users the server cannot judge: each has its own words.
pub(crate) async fn what_is_missing_is_named(bed: Bed) {
    let world = || Arc::new(SystemWorld);
    let hub = &bed.turn().behind.hub;
    let check = async |engine: &Engine| {
        let error = engine.registry().check(Call::client()).await.unwrap_err();
        assert_eq!(error.code(), "unavailable", "{error}");
        error.to_string()
    };
    bed.registry().check(Call::client()).await.unwrap();
    let rules = json!([{"apiGroups": ["clusterregistry.k8s.io"], "resources": ["clusters"], "verbs": ["get", "list"]}]);
    let token = hub.account("kube-system", "reader", &rules).await.unwrap();
    let reader = engine(&bed, peers(hub, &token, world()).unwrap()).await;
    let lacking = check(&reader).await;
    assert!(
        lacking.contains("watch, create, update, delete"),
        "{lacking}"
    );
    let created = reader
        .registry()
        .create(Call::client(), &cluster(&draft("a", &[])), false)
        .await;
    assert_eq!(code(created), "unavailable");

    let bare = Testbed::start()
        .await
        .unwrap()
        .cluster("bare")
        .start()
        .await
        .unwrap();
    let without = engine(&bed, peers(&bare, bare.admin_token(), world()).unwrap()).await;
    assert!(check(&without).await.contains("does not serve clusters"));

    // A server in the mode `aggregated`: it asks a hub of today what that no longer answers.
    let mut modern = OldRegistry::start(Access::Hub(&bare)).await.unwrap();
    modern.register(&bare).await.unwrap();
    engine(&bed, peers(&bare, bare.admin_token(), world()).unwrap())
        .await
        .registry()
        .check(Call::client())
        .await
        .unwrap();
    let rules = json!([{"apiGroups": ["clusterregistry.k8s.io"], "resources": ["clusters"], "verbs": ["*"]}]);
    let token = bare
        .account("kube-system", "gateway", &rules)
        .await
        .unwrap();
    let user = engine(&bed, peers(&bare, &token, world()).unwrap()).await;
    assert!(check(&user).await.contains("does not answer"));
    modern.kill().unwrap();
    let gone = engine(&bed, peers(&bare, bare.admin_token(), world()).unwrap()).await;
    assert!(check(&gone).await.contains("does not answer"));
}

/// Without a hub, over its own token file.
pub(crate) async fn by_itself_it_serves_as_well(bed: Bed) {
    let alone = OldRegistry::start(Access::Tokens).await.unwrap();
    let way = |token: &str| {
        peers_of(
            alone.client().base(),
            alone.ca(),
            token,
            Arc::new(SystemWorld),
        )
        .unwrap()
    };
    let known = engine(&bed, way("testbed-admin-token")).await;
    let registry = known.registry();
    registry.check(Call::client()).await.unwrap();
    let made = registry
        .create(Call::client(), &cluster(&draft("a", &[])), false)
        .await;
    let made = made.unwrap();
    let deleted = registry
        .delete(Call::client(), &name("a"), Some(&uid(&made)), None, false)
        .await;
    assert_ne!(deleted.unwrap().revision, made.revision);
    let stranger = engine(&bed, way("nobody")).await;
    let refused = stranger.registry().check(Call::client()).await.unwrap_err();
    assert!(
        refused.to_string().contains("refuses the gateway"),
        "{refused}"
    );
}
