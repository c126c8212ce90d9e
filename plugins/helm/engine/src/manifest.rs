//! From rendered files to documents in install order, hooks apart.

use helm_chart::{Shape, Struct, unmarshal};
use serde_json::Value;

use crate::errors::{Error, ErrorKind};
use crate::show::log_line;

/// A document to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Path of the template it came from.
    pub path: String,
    /// Its text, as rendered.
    pub text: String,
    /// Its `apiVersion`, empty if it has none.
    pub api_version: String,
    /// Its `kind`, empty if it has none.
    pub kind: String,
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Helm's")]
pub enum HookEvent {
    PreInstall,
    PostInstall,
    PreDelete,
    PostDelete,
    PreUpgrade,
    PostUpgrade,
    PreRollback,
    PostRollback,
    Test,
}

impl HookEvent {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "pre-install" => Self::PreInstall,
            "post-install" => Self::PostInstall,
            "pre-delete" => Self::PreDelete,
            "post-delete" => Self::PostDelete,
            "pre-upgrade" => Self::PreUpgrade,
            "post-upgrade" => Self::PostUpgrade,
            "pre-rollback" => Self::PreRollback,
            "post-rollback" => Self::PostRollback,
            "test" | "test-success" => Self::Test,
            _ => return None,
        })
    }

    /// As Helm writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PreInstall => "pre-install",
            Self::PostInstall => "post-install",
            Self::PreDelete => "pre-delete",
            Self::PostDelete => "post-delete",
            Self::PreUpgrade => "pre-upgrade",
            Self::PostUpgrade => "post-upgrade",
            Self::PreRollback => "pre-rollback",
            Self::PostRollback => "post-rollback",
            Self::Test => "test",
        }
    }
}

/// A document that runs at some event instead of being installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The object's name.
    pub name: String,
    /// The object's kind.
    pub kind: String,
    /// Path of the template it came from.
    pub path: String,
    /// Its text, as rendered.
    pub manifest: String,
    /// When it runs.
    pub events: Vec<HookEvent>,
    /// Lower runs earlier; what is no number is 0.
    pub weight: i64,
    /// `helm.sh/hook-delete-policy`, in lower case.
    pub delete_policies: Vec<String>,
    /// `helm.sh/hook-output-log-policy`, in lower case.
    pub output_log_policies: Vec<String>,
}

/// All documents of a rendering.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// What is installed, in install order.
    pub documents: Vec<Document>,
    /// Hooks, in install order of their kinds; the order they run in also heeds weight and name.
    pub hooks: Vec<Hook>,
}

/// The order in which kinds are installed; others come last, by name.
pub const INSTALL_ORDER: &[&str] = &[
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// How the head of a document is read.
const HEAD: Shape = Shape::Struct(&Struct {
    type_name: "util.SimpleHead",
    name: "SimpleHead",
    fields: &[
        ("apiVersion", Shape::Text),
        ("kind", Shape::Text),
        (
            "metadata",
            Shape::Struct(&Struct {
                type_name: "struct { Name string \"json:\\\"name\\\"\"; Annotations map[string]string \"json:\\\"annotations\\\"\" }",
                name: "",
                fields: &[
                    ("name", Shape::Text),
                    ("annotations", Shape::Map("map[string]string", &Shape::Text)),
                ],
            }),
        ),
    ],
});

/// Splits a text at lines that start with `---`; leading blanks and blank parts are dropped.
#[must_use]
pub fn split(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut rest = text.trim_start();
    let mut document = 0..0; // within `text`
    let start_of = |rest: &str| text.len() - rest.len();
    document.start = start_of(rest);
    loop {
        if rest.starts_with("---") {
            document.end = start_of(rest);
            documents.push(document.clone());
            rest = rest
                .get(3..)
                .unwrap_or_default()
                .trim_start_matches([' ', '\t']);
            document.start = start_of(rest);
        }
        match rest.split_once('\n') {
            Some((_, after)) => rest = after,
            None => break,
        }
    }
    document.end = text.len();
    documents.push(document);
    documents
        .into_iter()
        .map(|document| text.get(document).unwrap_or_default().trim_start())
        .filter(|document| !document.is_empty())
        .collect()
}

impl Manifests {
    /// Tells the documents of rendered files apart and sorts them; files by path. Warnings go to
    /// `log` as lines, those before an error too.
    ///
    /// # Errors
    /// A document that is no YAML, or whose head is not that of an object; names the file.
    pub fn sort<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
        log: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let mut files: Vec<_> = files.into_iter().collect();
        files.sort_unstable();
        let mut manifests = Self::default();
        for (path, text) in files {
            if path
                .rsplit('/')
                .next()
                .is_some_and(|name| name.starts_with('_'))
            {
                continue;
            }
            for document in split(text) {
                manifests.add(path, document, log)?;
            }
        }
        manifests.hooks.sort_by(|a, b| by_kind(&a.kind, &b.kind));
        manifests
            .documents
            .sort_by(|a, b| by_kind(&a.kind, &b.kind));
        Ok(manifests)
    }

    fn add(&mut self, path: &str, document: &str, log: &mut Vec<String>) -> Result<(), Error> {
        let mut head = Value::Null;
        unmarshal(document.as_bytes(), HEAD, &mut head).map_err(|error| {
            Error::new(
                ErrorKind::Template,
                format!("YAML parse error on {path}: {error}"),
            )
        })?;
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let metadata = head.get("metadata");
        let annotation = |name: &str| metadata?.get("annotations")?.get(name)?.as_str();
        let kind = text(head.get("kind"));
        let Some(words) = annotation("helm.sh/hook") else {
            self.documents.push(Document {
                path: path.to_owned(),
                text: document.to_owned(),
                api_version: text(head.get("apiVersion")),
                kind,
            });
            return Ok(());
        };
        let events = words
            .split(',')
            .map(|word| HookEvent::parse(&word.trim().to_lowercase()));
        let Some(events) = events.collect::<Option<Vec<_>>>() else {
            let line = log_line("INFO", "skipping unknown hooks", &[("hookTypes", words)]);
            log.push(line);
            return Ok(());
        };
        let policies = |name: &str| {
            let words = annotation(name)
                .into_iter()
                .flat_map(|words| words.split(','));
            words.map(|word| word.trim().to_lowercase()).collect()
        };
        let weight = annotation("helm.sh/hook-weight").unwrap_or_default();
        self.hooks.push(Hook {
            name: text(metadata.and_then(|metadata| metadata.get("name"))),
            kind,
            path: path.to_owned(),
            manifest: document.to_owned(),
            events,
            weight: weight.parse().unwrap_or_default(),
            delete_policies: policies("helm.sh/hook-delete-policy"),
            output_log_policies: policies("helm.sh/hook-output-log-policy"),
        });
        Ok(())
    }
}

fn by_kind(a: &str, b: &str) -> std::cmp::Ordering {
    let place = |kind: &str| INSTALL_ORDER.iter().position(|known| *known == kind);
    match (place(a), place(b)) {
        (None, None) => a.cmp(b),
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (Some(_), None) => std::cmp::Ordering::Less,
        (Some(a), Some(b)) => a.cmp(&b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_at_line_starts_only() {
        assert_eq!(split("a: 1\n---\nb: 2\n"), ["a: 1\n", "b: 2\n"]);
        assert_eq!(split("\n\n---  \n\na: 1"), ["a: 1"]);
        assert_eq!(
            split("---apiVersion: v1\n---kind: x"),
            ["apiVersion: v1\n", "kind: x"]
        );
        assert_eq!(split("a: x---\n---\n---\n--- \t\nb"), ["a: x---\n", "b"]);
        assert_eq!(split("------\na"), ["---\na"]);
        assert!(split(" \n---\n").is_empty());
        assert!(split("").is_empty());
        assert_eq!(split("# only a comment\n"), ["# only a comment\n"]);
    }

    #[test]
    fn kinds_come_in_install_order_and_unknown_ones_last() {
        let files = [
            ("c/templates/b.yaml", "kind: Zebra\n---\nkind: Deployment\n"),
            (
                "c/templates/a.yaml",
                "kind: Ant\n---\nkind: Service\n---\nkind: Namespace",
            ),
        ];
        let sorted = Manifests::sort(files, &mut Vec::new()).unwrap();
        let kinds: Vec<_> = sorted
            .documents
            .iter()
            .map(|one| one.kind.as_str())
            .collect();
        assert_eq!(
            kinds,
            ["Namespace", "Service", "Deployment", "Ant", "Zebra"]
        );
    }

    #[test]
    fn hooks_are_split_off_and_unknown_ones_dropped() {
        let hook = |words: &str| {
            format!(
                "kind: Job\nmetadata:\n  name: j\n  annotations:\n    helm.sh/hook: {words}\n    helm.sh/hook-weight: -5\n    helm.sh/hook-delete-policy: A, b\n"
            )
        };
        let (good, bad) = (hook("Pre-Install, test-success"), hook("crd-install"));
        let mut log = Vec::new();
        let files = [("c/a", good.as_str()), ("c/b", bad.as_str())];
        let sorted = Manifests::sort(files, &mut log).unwrap();
        assert!(sorted.documents.is_empty());
        assert_eq!(sorted.hooks.len(), 1);
        let hook = &sorted.hooks[0];
        assert_eq!(hook.events, [HookEvent::PreInstall, HookEvent::Test]);
        assert_eq!((hook.weight, hook.name.as_str()), (-5, "j"));
        assert_eq!(hook.delete_policies, ["a", "b"]);
        assert_eq!(
            log,
            ["level=INFO msg=\"skipping unknown hooks\" hookTypes=crd-install"]
        );
    }

    #[test]
    fn a_document_that_is_no_object_names_its_file() {
        let error = Manifests::sort([("c/templates/x", "just text")], &mut Vec::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "YAML parse error on c/templates/x: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go value of type util.SimpleHead"
        );
    }
}
