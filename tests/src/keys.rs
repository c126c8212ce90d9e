//! Keys and certificates of the test bed, made anew in every test process and shared by its clusters.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

/// The bearer token of system:masters.
pub const ADMIN_TOKEN: &str = "testbed-admin-token";
/// The bearer token of user `viewer`, who has no rights unless a test binds some.
pub const VIEWER_TOKEN: &str = "testbed-viewer-token";

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

/// A certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS #8.
    pub key: String,
}

/// What a certificate says.
#[derive(Debug, Clone, Default)]
pub struct Subject<'a> {
    /// CN.
    pub common_name: &'a str,
    /// O: groups of a Kubernetes client.
    pub organizations: &'a [&'a str],
    /// DNS names and IP addresses of a server.
    pub hosts: &'a [&'a str],
    /// Whether its time is over.
    pub expired: bool,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(common_name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = named(common_name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate_pem,
        })
    }

    /// The certificate to trust, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Issues a certificate for servers and clients alike.
    ///
    /// # Errors
    /// When a host is neither a name nor an address.
    pub fn issue(&self, subject: &Subject<'_>) -> Result<Pair> {
        let hosts: Vec<String> = subject
            .hosts
            .iter()
            .map(|host| (*host).to_owned())
            .collect();
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name = named(subject.common_name, subject.organizations);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        if subject.expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 2);
        }
        let key = KeyPair::generate()?;
        Ok(Pair {
            certificate: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn named(common_name: &str, organizations: &[&str]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    for organization in organizations {
        name.push(DnType::OrganizationName, *organization);
    }
    name
}

/// The files that the servers of the test bed read, in one folder.
#[derive(Debug)]
pub struct Keys {
    folder: PathBuf,
    /// The authority of every server, and of client certificates.
    pub authority: Authority,
    /// The authority of the front proxy (aggregated API servers).
    pub front_authority: Authority,
    /// A client certificate of system:masters.
    pub admin: Pair,
}

impl Keys {
    /// Makes all of them and writes them to `folder`.
    ///
    /// # Errors
    /// When the folder is not writable.
    pub fn make(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let authority = Authority::new("optikon-testbed")?;
        let front_authority = Authority::new("optikon-testbed-front")?;
        let server = Subject {
            hosts: &["127.0.0.1", "localhost"],
            ..Subject::default()
        };
        let admin = authority.issue(&Subject {
            common_name: "testbed-admin",
            organizations: &["system:masters"],
            ..Subject::default()
        })?;
        let keys = Self {
            folder: folder.to_path_buf(),
            admin,
            authority,
            front_authority,
        };
        keys.write("ca.crt", keys.authority.pem())?;
        keys.write("front-ca.crt", keys.front_authority.pem())?;
        keys.write_pair("admin", &keys.admin)?;
        for name in ["apiserver", "kubelet"] {
            let subject = Subject {
                common_name: name,
                ..server.clone()
            };
            keys.write_pair(name, &keys.authority.issue(&subject)?)?;
        }
        let front = keys.front_authority.issue(&Subject {
            common_name: "front-proxy-client",
            ..Subject::default()
        })?;
        keys.write_pair("front-proxy", &front)?;
        let accounts = KeyPair::generate()?;
        keys.write("service-accounts.key", &accounts.serialize_pem())?;
        keys.write("service-accounts.pub", &accounts.public_key_pem())?;
        keys.write(
            "tokens.csv",
            &format!("{ADMIN_TOKEN},admin,1,system:masters\n{VIEWER_TOKEN},viewer,2,\n"),
        )?;
        Ok(keys)
    }

    fn write_pair(&self, name: &str, pair: &Pair) -> Result<()> {
        self.write(&format!("{name}.crt"), &pair.certificate)?;
        self.write(&format!("{name}.key"), &pair.key)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.file(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// The path of one of the files.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
