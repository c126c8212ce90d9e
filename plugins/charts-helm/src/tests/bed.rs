//! A release over an API server in memory.

use std::rc::Rc;

use futures::executor::block_on;
use helm_functions::NativeEnvironment;
use optikon_plugin_sdk::{Error, charts::Outcome};
use serde_json::{Value, json};

use super::server::{Clock, Fixed, Server, archive};
use crate::{
    flow::Flow,
    plan::{Plan, prepare},
    record::Record,
    store::stored_of,
};

pub(super) const CHART: (&str, &str) = (
    "Chart.yaml",
    "apiVersion: v2\nname: c\nversion: 1.0.0\nappVersion: \"7\"\n",
);
pub(super) const A: (&str, &str) = (
    "templates/a.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {v: {{ .Values.v | default \"0\" | quote }}}\n",
);
pub(super) const B: (&str, &str) = (
    "templates/b.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n",
);
pub(super) const KEPT: (&str, &str) = (
    "templates/b.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, annotations: {helm.sh/resource-policy: keep}}\n",
);
pub(super) const DEPLOYMENT: (&str, &str) = (
    "templates/d.yaml",
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: 1}\n",
);
pub(super) const HOOK: (&str, &str) = (
    "templates/h.yaml",
    "apiVersion: batch/v1\nkind: Job\nmetadata: {name: h, annotations: {helm.sh/hook: \"pre-install,pre-upgrade\", helm.sh/hook-delete-policy: \"before-hook-creation,hook-succeeded\"}}\n",
);
pub(super) const MAPS: &str = "/api/v1/namespaces/demo/configmaps";
pub(super) const SECRETS: &str = "/api/v1/namespaces/demo/secrets";

#[derive(Default)]
pub(super) struct Bed {
    pub(super) server: Server,
    pub(super) clock: Clock,
}

impl Bed {
    pub(super) fn flow(&self, options: &Value) -> Flow<'_, Server, Clock, Fixed> {
        let target = Rc::new(Fixed::default());
        Flow::new(
            &self.server,
            &self.clock,
            target,
            Rc::new(NativeEnvironment),
            &options.to_string(),
        )
        .unwrap()
    }

    pub(super) fn plan(&self, files: &[(&str, &str)], values: &str) -> Plan {
        let mut all = vec![CHART];
        all.extend_from_slice(files);
        let target = Rc::new(Fixed {
            action: "install".into(),
            revision: 1,
            ..Fixed::default()
        });
        block_on(prepare(
            &archive(&all),
            &[values.to_owned()],
            target,
            Rc::new(NativeEnvironment),
            Some(&self.server),
        ))
        .unwrap()
    }

    pub(super) fn install(
        &self,
        files: &[(&str, &str)],
        options: &Value,
    ) -> Result<Outcome, Error> {
        block_on(self.flow(options).install(self.plan(files, "{}")))
    }

    pub(super) fn upgrade(
        &self,
        files: &[(&str, &str)],
        values: &str,
        options: &Value,
    ) -> Result<Outcome, Error> {
        block_on(self.flow(options).upgrade(self.plan(files, values)))
    }

    pub(super) fn record(&self, version: u32) -> Record {
        let path = format!("{SECRETS}/sh.helm.release.v1.rel.v{version}");
        stored_of(&self.server.get(&path).unwrap(), None)
            .unwrap()
            .record
    }

    pub(super) fn statuses(&self) -> Vec<String> {
        let objects = self.server.objects.borrow();
        let mut found: Vec<_> = objects
            .iter()
            .filter(|(p, _)| p.contains("/sh.helm.release"))
            .map(|(p, v)| {
                let record = stored_of(v, None).unwrap().record;
                assert_eq!(v["metadata"]["labels"]["status"], record.info.status);
                assert!(p.ends_with(&format!("v{}", record.version)));
                (
                    record.version,
                    format!("{} {}", record.version, record.info.status),
                )
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, text)| text).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.server.get(&format!("{MAPS}/{name}")).is_some()
    }

    pub(super) fn operation(&self, id: &str) {
        *self.clock.operation.borrow_mut() = Some(id.to_owned());
    }
}

pub(super) fn job_done(object: &mut Value) {
    if object["kind"] == "Job" {
        object["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    }
}
