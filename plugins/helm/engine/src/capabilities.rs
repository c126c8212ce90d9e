//! What a cluster can do, and what Helm assumes where there is none.

/// The Helm whose behaviour this is; templates can ask for it.
pub const HELM_VERSION: &str = "v4.3.1";
/// The Go release that Helm version is built with; templates can ask for that too.
pub(crate) const GO_VERSION: &str = "go1.26.8";
/// The client library that Helm version is built with.
pub(crate) const CLIENT_VERSION: &str = "v1.37";

/// A cluster's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeVersion {
    /// As the cluster gives it, with a `v` before it.
    pub version: String,
    /// The numbers alone, with a `v`: what constraints are checked against.
    pub normalized: String,
    /// The first number.
    pub major: String,
    /// The second number.
    pub minor: String,
}

impl Default for KubeVersion {
    /// What Helm 4.3 assumes without a cluster.
    fn default() -> Self {
        Self {
            version: "v1.37.0".into(),
            normalized: "v1.37.0".into(),
            major: "1".into(),
            minor: "37".into(),
        }
    }
}

impl KubeVersion {
    /// Reads a version as Kubernetes does: at least two numbers, anything may follow.
    ///
    /// # Errors
    /// In the words of the Kubernetes library.
    pub fn parse(text: &str) -> Result<Self, String> {
        let start = text.trim_start();
        let start = start.strip_prefix('v').unwrap_or(start);
        let mut numbers = Vec::new();
        let mut rest = start;
        loop {
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            if end == 0 {
                break;
            }
            let (number, after) = rest.split_at(end);
            numbers.push(number);
            match after.strip_prefix('.') {
                Some(after) => rest = after,
                None => break,
            }
        }
        if numbers.is_empty() {
            return Err(format!("could not parse {text:?} as version"));
        }
        if numbers.len() < 2 {
            return Err(format!("illegal version string {text:?}"));
        }
        let mut values = Vec::new();
        for (index, number) in numbers.iter().enumerate() {
            if index == 0 && number.len() > 1 && number.starts_with('0') {
                return Err(format!(
                    "illegal zero-prefixed version component {number:?} in {text:?}"
                ));
            }
            let value: u64 = number.parse().map_err(|_| {
                format!("illegal non-numeric version component {number:?} in {text:?}: strconv.ParseUint: parsing {number:?}: value out of range")
            })?;
            values.push(value.to_string());
        }
        let (major, minor) = match values.as_slice() {
            [major, minor, ..] => (major.clone(), minor.clone()),
            _ => return Err(format!("illegal version string {text:?}")),
        };
        Ok(Self {
            version: if text.starts_with('v') {
                text.to_owned()
            } else {
                format!("v{text}")
            },
            normalized: format!("v{}", values.join(".")),
            major,
            minor,
        })
    }
}

/// The API versions that Helm assumes without a cluster, in the order a template sees them.
pub const DEFAULT_API_VERSIONS: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "lifecycle.k8s.io/v1alpha1",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

#[cfg(test)]
mod tests {
    use super::KubeVersion;

    #[test]
    fn suffixes_stay_in_the_version_and_leave_the_normalized_one() {
        let version = KubeVersion::parse("1.33.4-gke.1245000").unwrap();
        assert_eq!(version.version, "v1.33.4-gke.1245000");
        assert_eq!(version.normalized, "v1.33.4");
        assert_eq!(
            (version.major.as_str(), version.minor.as_str()),
            ("1", "33")
        );
    }

    #[test]
    fn what_is_no_version_is_refused() {
        assert_eq!(
            KubeVersion::parse("abc").unwrap_err(),
            "could not parse \"abc\" as version"
        );
        assert!(KubeVersion::parse("1").is_err());
        assert!(KubeVersion::parse("01.2").is_err());
        assert_eq!(KubeVersion::parse("v1.02.x").unwrap().normalized, "v1.2");
    }
}
