//! Keys, certificates and ciphers as templates make them, read back by another library.
//!
//! What sprig promises of a certificate: subject, alternative names, days, usages, who signed it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::cell::RefCell;
use std::rc::Rc;

use helm_functions::{
    Environment, EnvironmentError, KeyAlgorithm, NativeEnvironment, SignatureScheme, functions,
};
use helm_template::{Limits, MissingKey, Templates, Value};
use x509_parser::pem::Pem;
use x509_parser::prelude::{GeneralName, X509Certificate};

/// The machine's environment; writes down what it was asked.
#[derive(Default)]
struct Watched {
    asked: RefCell<Vec<&'static str>>,
}

impl Watched {
    fn note(&self, what: &'static str) {
        let mut asked = self.asked.borrow_mut();
        if asked.last() != Some(&what) {
            asked.push(what);
        }
    }
}

impl Environment for Watched {
    fn now(&self) -> i128 {
        self.note("now");
        NativeEnvironment.now()
    }

    fn random(&self, buffer: &mut [u8]) -> Result<(), EnvironmentError> {
        self.note("random");
        NativeEnvironment.random(buffer)
    }

    fn generate_key(&self, algorithm: KeyAlgorithm) -> Result<Vec<u8>, EnvironmentError> {
        self.note("generate_key");
        NativeEnvironment.generate_key(algorithm)
    }

    fn sign(
        &self,
        key: &[u8],
        scheme: SignatureScheme,
        message: &[u8],
    ) -> Result<Vec<u8>, EnvironmentError> {
        self.note("sign");
        NativeEnvironment.sign(key, scheme, message)
    }

    fn public_key(&self, key: &[u8]) -> Result<Vec<u8>, EnvironmentError> {
        self.note("public_key");
        NativeEnvironment.public_key(key)
    }

    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<serde_json::Value, EnvironmentError> {
        self.note("lookup");
        NativeEnvironment.lookup(api_version, kind, namespace, name)
    }
}

/// The output, and what the environment was asked for it.
fn watched(template: &str) -> (String, Vec<&'static str>) {
    let watched = Rc::new(Watched::default());
    let environment: Rc<dyn Environment> = watched.clone();
    let templates = Templates::new("gotpl", Rc::new(functions(&environment)), MissingKey::Zero);
    templates.parse("t", template).unwrap();
    let output = templates.execute("t", &Value::Nil, &Limits::default());
    let output = output.unwrap_or_else(|error| panic!("{template}: {}", error.text()));
    (output.to_string(), watched.asked.take())
}

fn run(template: &str) -> String {
    watched(template).0
}

/// The parts between lines `%%`, as PEM blocks.
fn blocks(output: &str) -> Vec<Pem> {
    Pem::iter_from_buffer(output.as_bytes())
        .map(|block| block.unwrap())
        .collect()
}

fn common_name(certificate: &X509Certificate<'_>) -> String {
    let name = certificate.subject().iter_common_name().next().unwrap();
    name.as_str().unwrap().to_owned()
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Some(names) = certificate.subject_alternative_name().unwrap() else {
        return Vec::new();
    };
    let shown = names.value.general_names.iter().map(|name| match name {
        GeneralName::DNSName(name) => format!("DNS:{name}"),
        GeneralName::IPAddress(bytes) => format!("IP:{bytes:?}"),
        other => panic!("{other:?}"),
    });
    shown.collect()
}

fn assert_days(certificate: &X509Certificate<'_>, days: i64) {
    let validity = certificate.validity();
    let seconds = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert_eq!(seconds, days * 86_400);
    assert!(validity.is_valid());
}

/// Usages as sprig sets them; only an authority signs certificates.
fn assert_usages(certificate: &X509Certificate<'_>, is_authority: bool) {
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    assert!(usage.value.digital_signature() && usage.value.key_encipherment());
    assert_eq!(usage.value.key_cert_sign(), is_authority);
    let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.server_auth && purposes.client_auth && !purposes.code_signing);
    let constraints = certificate.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical);
    assert_eq!(constraints.value.ca, is_authority);
}

#[test]
fn private_keys_come_in_the_pem_form_of_their_sort() {
    for (sort, head) in [
        ("dsa", "DSA PRIVATE KEY"),
        ("ecdsa", "EC PRIVATE KEY"),
        ("ed25519", "PRIVATE KEY"),
    ] {
        let key = run(&format!("{{{{ genPrivateKey \"{sort}\" }}}}"));
        assert!(
            key.starts_with(&format!("-----BEGIN {head}-----\n")),
            "{key}"
        );
        assert!(key.ends_with(&format!("-----END {head}-----\n")), "{key}");
        assert_eq!(blocks(&key).len(), 1);
        assert!(key.lines().all(|line| line.len() <= 64), "{key}");
    }
    assert_eq!(run(r#"{{ genPrivateKey "rot13" }}"#), "Unknown type rot13");
}

#[test]
fn an_authority_signs_itself_and_others() {
    let output = run(
        r#"{{ $ca := genCA "my-ca" 365 }}{{ $ca.Cert }}{{ $ca.Key -}}
        {{ $c := genSignedCert "web.example" (list "10.0.0.1" "::1" "::ffff:1.2.3.4") (list "a.example" "*.b.example") 30 $ca -}}
        {{ $c.Cert }}{{ $c.Key -}}
        {{ $again := genCAWithKey "my-ca" 7 $ca.Key }}{{ $again.Cert }}{{ $again.Key -}}
        {{ $d := genSignedCertWithKey "other" nil nil 1 $ca (genPrivateKey "ed25519") }}{{ $d.Cert }}{{ $d.Key }}"#,
    );
    let blocks = blocks(&output);
    let labels: Vec<&str> = blocks.iter().map(|block| block.label.as_str()).collect();
    let rsa = ["CERTIFICATE", "RSA PRIVATE KEY"];
    assert_eq!(
        labels,
        [rsa, rsa, rsa, ["CERTIFICATE", "PRIVATE KEY"]].concat()
    );
    let [authority, signed, again, other] = [0, 2, 4, 6].map(|at| blocks[at].parse_x509().unwrap());

    assert_eq!(common_name(&authority), "my-ca");
    assert_days(&authority, 365);
    assert_usages(&authority, true);
    assert_eq!(authority.subject(), authority.issuer());
    authority.verify_signature(None).unwrap();

    assert_eq!(common_name(&signed), "web.example");
    assert_days(&signed, 30);
    assert_usages(&signed, false);
    let local = format!("IP:{:?}", std::net::Ipv6Addr::LOCALHOST.octets());
    assert_eq!(
        names(&signed),
        [
            "DNS:a.example",
            "DNS:*.b.example",
            "IP:[10, 0, 0, 1]",
            &local,
            "IP:[1, 2, 3, 4]"
        ]
    );
    assert_eq!(signed.issuer(), authority.subject());
    signed
        .verify_signature(Some(authority.public_key()))
        .unwrap();
    assert!(signed.verify_signature(Some(signed.public_key())).is_err());

    assert_eq!(
        blocks[5].contents, blocks[1].contents,
        "the given key is kept"
    );
    assert_eq!(again.public_key(), authority.public_key());
    again.verify_signature(None).unwrap();
    assert_days(&again, 7);

    assert_eq!(names(&other), Vec::<String>::new());
    other
        .verify_signature(Some(authority.public_key()))
        .unwrap();
    let serials = [&authority, &signed, &again, &other].map(|one| one.raw_serial().to_vec());
    for (at, serial) in serials.iter().enumerate() {
        assert!(!serials[..at].contains(serial), "serials differ");
    }
}

#[test]
fn a_self_signed_certificate_takes_any_sort_of_key() {
    for sort in ["ecdsa", "ed25519"] {
        let output = run(&format!(
            r#"{{{{ $key := genPrivateKey "{sort}" }}}}{{{{ $key -}}}}
            {{{{ $c := genSelfSignedCertWithKey "self" (list "127.0.0.1") (list "self.local") 90 $key }}}}
            {{{{- $c.Cert }}}}{{{{ $c.Key }}}}"#
        ));
        let blocks = blocks(&output);
        assert_eq!(blocks[0], blocks[2], "{sort}: the key is as it was given");
        let certificate = blocks[1].parse_x509().unwrap();
        certificate.verify_signature(None).unwrap();
        assert_usages(&certificate, false);
        assert_days(&certificate, 90);
        assert_eq!(names(&certificate), ["DNS:self.local", "IP:[127, 0, 0, 1]"]);
    }
    let output = run(
        r#"{{ with genSelfSignedCert "self" nil (list "x") 1 }}{{ .Cert }}{{ .Key }}{{ end }}"#,
    );
    let blocks = blocks(&output);
    blocks[0]
        .parse_x509()
        .unwrap()
        .verify_signature(None)
        .unwrap();
    assert_eq!(blocks[1].label, "RSA PRIVATE KEY");
}

#[test]
fn a_brought_certificate_signs() {
    let output = run(
        r#"{{ $key := genPrivateKey "ecdsa" }}{{ $made := genCAWithKey "brought" 10 $key -}}
        {{ $ca := buildCustomCert (b64enc $made.Cert) (b64enc $made.Key) -}}
        {{ if and (eq $ca.Cert $made.Cert) (eq $ca.Key $made.Key) }}same{{ end }}
{{ $ca.Cert }}{{ (genSignedCertWithKey "leaf" nil nil 1 $ca $key).Cert }}"#,
    );
    assert!(output.starts_with("same\n"), "{output}");
    let blocks = blocks(&output);
    let [authority, leaf] = [0, 1].map(|at| blocks[at].parse_x509().unwrap());
    leaf.verify_signature(Some(authority.public_key())).unwrap();
    assert_eq!(common_name(&leaf), "leaf");
}

#[test]
fn encrypted_text_comes_back() {
    let round = r#"{{ range list "" "a" "sixteen bytes ok" "naïve text of more than a block" }}{{ . | encryptAES "key" | decryptAES "key" }}|{{ end }}"#;
    assert_eq!(
        run(round),
        "|a|sixteen bytes ok|naïve text of more than a block|"
    );
    let differing = r#"{{ eq (encryptAES "k" "x") (encryptAES "k" "x") }}"#;
    assert_eq!(run(differing), "false");
}

#[test]
fn the_outside_is_asked_only_for_what_a_function_needs() {
    let cases: [(&str, &[&str]); 16] = [
        (
            r#"{{ sha256sum "x" }}{{ derivePassword 1 "pin" "p" "u" "s" }}"#,
            &[],
        ),
        (
            r#"{{ if false }}{{ now }}{{ uuidv4 }}{{ genCA "x" 1 }}{{ end }}"#,
            &[],
        ),
        (
            r#"{{ randBytes 0 }}{{ randAlpha 0 }}{{ shuffle "a" }}{{ encryptAES "k" "" }}"#,
            &[],
        ),
        (r#"{{ genPrivateKey "none" }}{{ htpasswd "a:b" "c" }}"#, &[]),
        (r#"{{ date "2006" 0 }}{{ toDate "2006" "2020" }}"#, &[]),
        (r#"{{ now | date "2006" }}"#, &["now"]),
        (r#"{{ ago now }}"#, &["now"]),
        (r#"{{ htmlDate "x" }}"#, &["now"]),
        (r#"{{ uuidv4 }}"#, &["random"]),
        (r#"{{ randAlphaNum 3 }}"#, &["random"]),
        (r#"{{ shuffle "abc" }}"#, &["random"]),
        (r#"{{ bcrypt "x" }}"#, &["random"]),
        (r#"{{ encryptAES "k" "x" }}"#, &["random"]),
        (r#"{{ genPrivateKey "ed25519" }}"#, &["generate_key"]),
        (r#"{{ lookup "v1" "Pod" "a" "b" }}"#, &["lookup"]),
        (r#"{{ randInt 0 10 }}"#, &["random"]),
    ];
    for (template, asked) in cases {
        assert_eq!(watched(template).1, asked, "{template}");
    }
    let (_, asked) =
        watched(r#"{{ $k := genPrivateKey "ecdsa" }}{{ $_ := genCAWithKey "x" 1 $k }}"#);
    for wanted in ["generate_key", "public_key", "random", "now", "sign"] {
        assert!(asked.contains(&wanted), "{wanted}: {asked:?}");
    }
}
