//! `facts`: what a plan may depend on; which function is called is noted.

use wasmtime::component::Resource;

use crate::{bindings::host::optikon::host::facts, noted::Target, state::Ctx};

impl facts::Host for Ctx {}

impl facts::HostTarget for Ctx {
    fn release(&mut self, target: Resource<Target>) -> wasmtime::Result<String> {
        Ok(self.table.get(&target)?.0.read("release").release.clone())
    }

    fn namespace(&mut self, target: Resource<Target>) -> wasmtime::Result<String> {
        Ok(self
            .table
            .get(&target)?
            .0
            .read("namespace")
            .namespace
            .clone())
    }

    fn action(&mut self, target: Resource<Target>) -> wasmtime::Result<String> {
        Ok(self.table.get(&target)?.0.read("action").action.clone())
    }

    fn revision(&mut self, target: Resource<Target>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&target)?.0.read("revision").revision)
    }

    fn cluster(&mut self, target: Resource<Target>) -> wasmtime::Result<String> {
        Ok(self.table.get(&target)?.0.read("cluster").cluster.clone())
    }

    fn labels(&mut self, target: Resource<Target>) -> wasmtime::Result<Vec<(String, String)>> {
        let labels = &self.table.get(&target)?.0.read("labels").labels;
        Ok(labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn kube_version(&mut self, target: Resource<Target>) -> wasmtime::Result<String> {
        Ok(self
            .table
            .get(&target)?
            .0
            .read("kube-version")
            .kube_version
            .clone())
    }

    fn api_versions(&mut self, target: Resource<Target>) -> wasmtime::Result<Vec<String>> {
        Ok(self
            .table
            .get(&target)?
            .0
            .read("api-versions")
            .api_versions
            .clone())
    }

    fn drop(&mut self, target: Resource<Target>) -> wasmtime::Result<()> {
        self.table.delete(target)?;
        Ok(())
    }
}
