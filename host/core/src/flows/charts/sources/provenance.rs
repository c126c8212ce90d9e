//! Whether a chart is signed by somebody whom the operator trusts.
//!
//! `helm package --sign` writes a `.prov` beside the archive: the chart's `Chart.yaml` and the archive's
//! digest, signed in clear text. The signature is the keyring's matter, here is what was signed.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;

use crate::{
    error::{Error, Result},
    flows::kubeconfig,
    ports::Keyring,
};

/// As Helm writes it between the two documents.
const SEPARATOR: &str = "\n...\n";

/// Who is trusted, and whether a chart must be signed by one of them.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The trusted keys.
    pub keyring: Arc<dyn Keyring>,
    /// A chart without a good signature is refused; else one without any signature is taken.
    pub is_required: bool,
}

#[derive(Deserialize)]
struct Sums {
    #[serde(default)]
    files: BTreeMap<String, String>,
}

impl Provenance {
    /// Who signed the archive of this digest.
    ///
    /// # Errors
    /// `Invalid` when the signature is not good or is another archive's, and when there is none but
    /// one is required.
    pub(in crate::flows::charts) fn signer(
        &self,
        provenance: Option<&[u8]>,
        digest: &str,
        now_ms: u64,
    ) -> Result<Option<String>> {
        let refuse = |why: String| Error::invalid("chart", why);
        let Some(provenance) = provenance else {
            if self.is_required {
                return Err(refuse(
                    "is not signed, and only signed charts are taken here; send its .prov along, or have the repository offer it".into(),
                ));
            }
            return Ok(None);
        };
        let signed = self
            .keyring
            .verify(provenance, now_ms)
            .map_err(|why| refuse(format!("its provenance is not good: {why}")))?;
        let text = signed.text.replace("\r\n", "\n");
        let (_, sums) = text
            .rsplit_once(SEPARATOR)
            .ok_or_else(|| refuse("its provenance lists no files".into()))?;
        let sums: Sums = kubeconfig::yaml(sums, "the list of files in the provenance")
            .map_err(|error| refuse(error.to_string()))?;
        if sums.files.values().any(|sum| sum == digest) {
            Ok(Some(signed.by))
        } else {
            Err(refuse("its provenance is for another archive".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Signed;

    /// Takes everything that begins with `good`.
    #[derive(Debug)]
    struct Trusting;

    impl Keyring for Trusting {
        fn verify(&self, provenance: &[u8], _: u64) -> Result<Signed, String> {
            let text = String::from_utf8_lossy(provenance).into_owned();
            let text = text.strip_prefix("good").ok_or("nobody knows the key")?;
            Ok(Signed {
                text: text.to_owned(),
                by: "Maker".into(),
            })
        }
    }

    #[test]
    fn only_a_signature_of_this_very_archive_counts() {
        let (digest, other) = ("a".repeat(64), "b".repeat(64));
        let digest = format!("sha256:{digest}");
        let prov = |sum: &str| {
            format!(
                "good\r\nname: web\r\nversion: 1.0.0\r\n...\r\nfiles:\r\n  web-1.0.0.tgz: {sum}\r\n"
            )
        };
        let signer = |is_required: bool, prov: Option<&str>| {
            let provenance = Provenance {
                keyring: Arc::new(Trusting),
                is_required,
            };
            provenance.signer(prov.map(str::as_bytes), &digest, 0)
        };
        assert_eq!(
            signer(true, Some(&prov(&digest))).unwrap().as_deref(),
            Some("Maker")
        );
        assert_eq!(signer(false, None).unwrap(), None);
        for (is_required, prov, word) in [
            (true, None, "is not signed"),
            (
                false,
                Some(prov(&format!("sha256:{other}"))),
                "another archive",
            ),
            (false, Some("bad".into()), "nobody knows"),
            (
                false,
                Some("good, but without files".into()),
                "lists no files",
            ),
            (false, Some("good\n...\nfiles: [".into()), "not valid YAML"),
        ] {
            let error = signer(is_required, prov.as_deref()).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
