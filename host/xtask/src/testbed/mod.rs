//! The test bed's binaries: real Kubernetes servers, kwok, Helm, Tiller, built once from `tests/testbed/<module>` and
//! kept in a cache outside the target folder, under the hash of the module's files.
//!
//! Found in this order: `TEST_ASSET_*` and `KUBEBUILDER_ASSETS` (for the parts they have), then the cache, which is
//! filled when a part is missing.

mod cache;
mod go;

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use cache::root as cache_root;

use crate::folders::Folders;

/// A program of the test bed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// The file's name in the cache.
    pub binary: &'static str,
    /// The Go package that becomes it.
    package: &'static str,
}

/// A Go module under `tests/testbed` and what it builds.
#[derive(Debug)]
pub struct Module {
    /// Its folder's name.
    pub name: &'static str,
    tools: &'static [Tool],
    /// Versions that the release builds write into the binaries.
    stamps: &'static [&'static str],
    /// Folders to keep beside the binaries: (module, folder in it, name in the cache).
    extras: &'static [(&'static str, &'static str, &'static str)],
}

/// The servers, kubectl, and kwok in the place of nodes.
pub const KUBERNETES: Module = Module {
    name: "kubernetes",
    tools: &[
        Tool {
            binary: "etcd",
            package: "go.etcd.io/etcd/server/v3",
        },
        Tool {
            binary: "kube-apiserver",
            package: "k8s.io/kubernetes/cmd/kube-apiserver",
        },
        Tool {
            binary: "kube-controller-manager",
            package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        },
        Tool {
            binary: "kube-scheduler",
            package: "k8s.io/kubernetes/cmd/kube-scheduler",
        },
        Tool {
            binary: "kubectl",
            package: "k8s.io/kubernetes/cmd/kubectl",
        },
        Tool {
            binary: "kwok",
            package: "sigs.k8s.io/kwok/cmd/kwok",
        },
    ],
    // Without it the server calls itself v0.0.0 and Helm refuses charts that have a kubeVersion.
    stamps: &["k8s.io/component-base/version.gitVersion=v1.37.2"],
    extras: &[("sigs.k8s.io/kwok", "kustomize/stage", "stages")],
};

/// Helm 4, the judge of parity.
pub const HELM: Module = Module {
    name: "helm",
    tools: &[Tool {
        binary: "helm",
        package: "helm.sh/helm/v4/cmd/helm",
    }],
    stamps: &["helm.sh/helm/v4/internal/version.version=v4.3.1"],
    extras: &[],
};

/// Helm 3, as a maker of releases that others take over.
pub const HELM3: Module = Module {
    name: "helm3",
    tools: &[Tool {
        binary: "helm3",
        package: "helm.sh/helm/v3/cmd/helm",
    }],
    stamps: &["helm.sh/helm/v3/internal/version.version=v3.22.0"],
    extras: &[],
};

/// Tiller and the client that speaks to it.
pub const TILLER: Module = Module {
    name: "tiller",
    tools: &[
        Tool {
            binary: "tiller",
            package: "k8s.io/helm/cmd/tiller",
        },
        Tool {
            binary: "helm2",
            package: "k8s.io/helm/cmd/helm",
        },
    ],
    // Without them it calls itself unreleased and accepts every client.
    stamps: &[
        "k8s.io/helm/pkg/version.Version=v2.17.0",
        "k8s.io/helm/pkg/version.BuildMetadata=",
    ],
    extras: &[],
};

/// The API server of cluster-registry v0.0.3, rebuilt with its oddities.
pub const CLUSTERREGISTRY: Module = Module {
    name: "clusterregistry",
    tools: &[Tool {
        binary: "clusterregistry",
        package: "optikon.io/testbed/clusterregistry",
    }],
    stamps: &[],
    extras: &[],
};

/// Every module, in the order they are built.
pub const MODULES: &[&Module] = &[&KUBERNETES, &CLUSTERREGISTRY, &HELM, &HELM3, &TILLER];

impl Module {
    /// Where its Go files lie.
    #[must_use]
    pub fn folder(&self, folders: &Folders) -> PathBuf {
        folders.root.join("tests").join("testbed").join(self.name)
    }
}

/// Where each binary of a module is.
#[derive(Debug, Clone)]
pub struct Binaries {
    module: &'static str,
    found: Vec<(&'static str, PathBuf)>,
    home: PathBuf,
}

impl Binaries {
    /// The path of a binary by its name in the cache.
    ///
    /// # Errors
    /// When the module has none of that name.
    pub fn path(&self, binary: &str) -> Result<&Path> {
        self.found
            .iter()
            .find(|(name, _)| *name == binary)
            .map(|(_, path)| path.as_path())
            .with_context(|| format!("module {} has no binary {binary}", self.module))
    }

    /// The paths of all binaries.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        self.found.iter().map(|(_, path)| path.as_path())
    }

    /// A folder kept beside the binaries, such as kwok's `stages`.
    #[must_use]
    pub fn extra(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// The folder of the cached binaries, for a `PATH`.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.home.join("bin")
    }
}

/// Finds a module's binaries, and builds those that are nowhere (minutes, once).
///
/// # Errors
/// When a binary is named by the environment but is not there, or cannot be built.
pub fn find(folders: &Folders, module: &'static Module) -> Result<Binaries> {
    let given = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let mut found = Vec::new();
    let mut wanted = Vec::new();
    for tool in module.tools {
        match from_environment(tool.binary, |name| given(name).map(PathBuf::from))? {
            Some(path) => found.push((tool.binary, path)),
            None => wanted.push(*tool),
        }
    }
    let home = cache::home(folders, module)?;
    if !wanted.is_empty() {
        cache::fill(folders, module, &home, &wanted)?;
    }
    for tool in wanted {
        found.push((tool.binary, home.join("bin").join(tool.binary)));
    }
    Ok(Binaries {
        module: module.name,
        found,
        home,
    })
}

/// What the environment names: `TEST_ASSET_KUBE_APISERVER=/file`, or `KUBEBUILDER_ASSETS=/folder` with such a file.
fn from_environment(
    binary: &str,
    given: impl Fn(&str) -> Option<PathBuf>,
) -> Result<Option<PathBuf>> {
    let variable = format!("TEST_ASSET_{}", binary.to_uppercase().replace('-', "_"));
    if let Some(path) = given(&variable) {
        if !path.is_file() {
            bail!("{variable} names {}, which is no file", path.display());
        }
        return Ok(Some(path));
    }
    Ok(given("KUBEBUILDER_ASSETS")
        .map(|folder| folder.join(binary))
        .filter(|path| path.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_asset_wins_over_the_folder_of_assets() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("mine");
        std::fs::write(&own, "").unwrap();
        std::fs::write(folder.path().join("kube-apiserver"), "").unwrap();
        let both = |name: &str| match name {
            "TEST_ASSET_KUBE_APISERVER" => Some(own.clone()),
            "KUBEBUILDER_ASSETS" => Some(folder.path().to_path_buf()),
            _ => None,
        };
        assert_eq!(
            from_environment("kube-apiserver", both).unwrap(),
            Some(own.clone())
        );
        let only_folder =
            |name: &str| (name == "KUBEBUILDER_ASSETS").then(|| folder.path().to_path_buf());
        assert_eq!(
            from_environment("kube-apiserver", only_folder).unwrap(),
            Some(folder.path().join("kube-apiserver"))
        );
        assert_eq!(from_environment("kwok", only_folder).unwrap(), None);
    }

    #[test]
    fn an_asset_that_is_not_there_is_an_error() {
        let error = from_environment("etcd", |_| Some(PathBuf::from("nowhere"))).unwrap_err();
        assert!(error.to_string().contains("TEST_ASSET_ETCD names nowhere"));
    }
}
