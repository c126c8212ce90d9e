//! X.509 certificates: authorities, self-signed and signed ones, and those a chart brings along.

use std::any::Any;
use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;

use helm_template::{Context, Error, Functions, Object, Signature, Str, Type, Value};
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::EXPENSIVE;
use super::der::{self, BIT_STRING, OCTET_STRING, OID, SET, sequence, tlv, unsigned};
use super::keys::PrivateKey;
use super::pem;
use crate::args::{any, int, list, text};
use crate::codes::decode64;
use crate::dates::Time;
use crate::environment::{Environment, KeyAlgorithm};

/// Sprig's pair of a certificate and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateValue {
    /// The certificate.
    pub cert: String,
    /// The private key.
    pub key: String,
}

impl Object for CertificateValue {
    fn type_name(&self) -> Cow<'static, str> {
        "sprig.certificate".into()
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("Cert", self.cert.as_str().into()),
            ("Key", self.key.as_str().into()),
        ]
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<Self>() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

const PAIR: Type = Type::Named("sprig.certificate");

/// What a certificate is to say.
struct Request<'a> {
    name: &'a Str,
    ips: &'a [Value],
    dns: &'a [Value],
    days: i64,
    is_authority: bool,
}

/// Who signs: the certificate itself, or an authority.
enum Signer<'a> {
    Itself,
    Authority(&'a CertificateValue),
}

/// A function that makes a certificate, once with a new key and once with a given one.
fn pair(
    functions: &mut Functions,
    environment: &Rc<dyn Environment>,
    names: [&'static str; 2],
    params: [&'static [Type]; 2],
    make: fn(&[Value]) -> Result<(Request<'_>, Signer<'_>), Error>,
) {
    let [new, given] = names;
    let own = Rc::clone(environment);
    functions.add(new, Signature::fixed(params[0]), move |context, args| {
        context.charge(EXPENSIVE)?;
        let (request, signer) = make(args)?;
        issue(context, own.as_ref(), &request, &signer, None)
    });
    let own = Rc::clone(environment);
    functions.add(given, Signature::fixed(params[1]), move |context, args| {
        let pem = args
            .last()
            .and_then(Value::as_text)
            .map(Str::to_text)
            .unwrap_or_default();
        let key = PrivateKey::from_pem(&pem)
            .map_err(|error| Error::new(format!("parsing private key: {error}")))?;
        let (request, signer) = make(args)?;
        issue(context, own.as_ref(), &request, &signer, Some(key))
    });
}

pub(super) fn register(functions: &mut Functions, environment: &Rc<dyn Environment>) {
    const CA: &[Type] = &[Type::Str, Type::Int];
    const CA_KEY: &[Type] = &[Type::Str, Type::Int, Type::Str];
    pair(
        functions,
        environment,
        ["genCA", "genCAWithKey"],
        [CA, CA_KEY],
        |args| {
            let (name, days) = (text(args, 0)?, int(args, 1)?);
            Ok((
                Request {
                    name,
                    ips: &[],
                    dns: &[],
                    days,
                    is_authority: true,
                },
                Signer::Itself,
            ))
        },
    );
    fn names(args: &[Value]) -> Result<Request<'_>, Error> {
        Ok(Request {
            name: text(args, 0)?,
            ips: list(args, 1)?.items(),
            dns: list(args, 2)?.items(),
            days: int(args, 3)?,
            is_authority: false,
        })
    }
    const SELF: &[Type] = &[Type::Str, Type::List, Type::List, Type::Int];
    const SELF_KEY: &[Type] = &[Type::Str, Type::List, Type::List, Type::Int, Type::Str];
    let both = ["genSelfSignedCert", "genSelfSignedCertWithKey"];
    pair(functions, environment, both, [SELF, SELF_KEY], |args| {
        Ok((names(args)?, Signer::Itself))
    });
    const SIGNED: &[Type] = &[Type::Str, Type::List, Type::List, Type::Int, PAIR];
    const SIGNED_KEY: &[Type] = &[
        Type::Str,
        Type::List,
        Type::List,
        Type::Int,
        PAIR,
        Type::Str,
    ];
    let both = ["genSignedCert", "genSignedCertWithKey"];
    pair(functions, environment, both, [SIGNED, SIGNED_KEY], |args| {
        let authority = any(args, 4)?
            .as_object::<CertificateValue>()
            .ok_or_else(|| Error::new("argument is no certificate"))?;
        Ok((names(args)?, Signer::Authority(authority)))
    });
    functions.add(
        "buildCustomCert",
        Signature::fixed(&[Type::Str, Type::Str]),
        |_, args| build(text(args, 0)?, text(args, 1)?),
    );
}

fn build(cert: &Str, key: &Str) -> Result<Value, Error> {
    let decoded = |text: &Str, what: &str| {
        decode64(text.as_bytes())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|_| Error::new(format!("unable to decode base64 {what}")))
    };
    let cert = decoded(cert, "certificate")?;
    let key = decoded(key, "private key")?;
    parse(&cert, "decodedCert")?;
    PrivateKey::from_pem(&key)
        .map_err(|error| Error::new(format!("error parsing private key: {error}")))?;
    Ok(Value::object(CertificateValue { cert, key }))
}

fn parse(pem: &str, variable: &str) -> Result<Certificate, Error> {
    let block = pem::decode(pem).ok_or_else(|| Error::new("unable to decode certificate"))?;
    Certificate::from_der(&block.bytes).map_err(|_| {
        Error::new(format!(
            "error parsing certificate: {variable}.Bytes: x509: malformed certificate"
        ))
    })
}

/// The name to sign under, its key, and that key's identifier if its certificate has one.
struct Issuer {
    name: Vec<u8>,
    key: PrivateKey,
    key_identifier: Option<Vec<u8>>,
}

impl Issuer {
    fn read(pair: &CertificateValue) -> Result<Self, Error> {
        const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";
        let certificate = parse(&pair.cert, "decodedSignerCert")?;
        let key = PrivateKey::from_pem(&pair.key)
            .map_err(|error| Error::new(format!("error parsing private key: {error}")))?;
        let name = certificate
            .tbs_certificate
            .subject
            .to_der()
            .map_err(|error| Error::new(format!("error creating certificate: {error}")))?;
        let extensions = certificate.tbs_certificate.extensions.unwrap_or_default();
        let identifier = extensions
            .iter()
            .find(|one| one.extn_id.to_string() == SUBJECT_KEY_IDENTIFIER);
        let key_identifier = identifier.and_then(|extension| {
            let mut value = extension.extn_value.as_bytes();
            der::expect(&mut value, OCTET_STRING).map(|element| element.content.to_vec())
        });
        Ok(Self {
            name,
            key,
            key_identifier,
        })
    }
}

/// `CN=…` in the string type Go chooses; nothing at all for an empty name.
fn subject(name: &Str) -> Vec<u8> {
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    if name.is_empty() {
        return sequence(&[]);
    }
    let text = name.to_text();
    let printable = |b: u8| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b);
    let tag = if text.bytes().all(printable) {
        der::PRINTABLE_STRING
    } else {
        der::UTF8_STRING
    };
    let attribute = sequence(&[&tlv(OID, COMMON_NAME), &tlv(tag, text.as_bytes())]);
    sequence(&[&tlv(SET, &attribute)])
}

fn moment(time: &Time) -> Result<Vec<u8>, Error> {
    match time.civil().year {
        1950..=2049 => Ok(tlv(der::UTC_TIME, &time.format(b"060102150405Z"))),
        0..=9999 => Ok(tlv(der::GENERALIZED_TIME, &time.format(b"20060102150405Z"))),
        _ => Err(Error::new(
            "error creating certificate: asn1: structure error: cannot represent time as \
             GeneralizedTime",
        )),
    }
}

fn extension(last: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { der::TRUE } else { &[] };
    sequence(&[
        &tlv(OID, &[0x55, 0x1d, last]),
        critical,
        &tlv(OCTET_STRING, value),
    ])
}

/// Addresses and host names the certificate is valid for; `None` when there are none.
fn alternative_names(request: &Request<'_>) -> Result<Option<Vec<u8>>, Error> {
    let mut names = Vec::new();
    let mut addresses = Vec::new();
    for ip in request.ips {
        let Value::Str(ip) = ip else {
            let shown = crate::go::print(ip)?;
            return Err(Error::new(format!(
                "error parsing ip: {shown} is not a string"
            )));
        };
        let address = ip.as_str().and_then(|ip| ip.parse::<IpAddr>().ok());
        let address = address.ok_or_else(|| Error::new(format!("error parsing ip: {ip}")))?;
        addresses.extend(match address.to_canonical() {
            IpAddr::V4(address) => tlv(0x87, &address.octets()),
            IpAddr::V6(address) => tlv(0x87, &address.octets()),
        });
    }
    for name in request.dns {
        let Value::Str(name) = name else {
            let shown = crate::go::print(name)?;
            return Err(Error::new(format!(
                "error processing alternate dns name: {shown} is not a string"
            )));
        };
        if !name.as_bytes().is_ascii() {
            return Err(Error::new(format!(
                "error creating certificate: x509: {} cannot be encoded as an IA5String",
                crate::go::quote(name.as_bytes())
            )));
        }
        names.extend(tlv(0x82, name.as_bytes()));
    }
    names.extend(addresses);
    Ok((!names.is_empty()).then(|| sequence(&[&names])))
}

fn extensions(
    request: &Request<'_>,
    names: Option<Vec<u8>>,
    public_bits: &[u8],
    authority_key: Option<&[u8]>,
) -> Vec<u8> {
    const KEY_PURPOSE: [u8; 7] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03];
    // Signing and key encipherment; an authority may also sign certificates.
    let usage: &[u8] = if request.is_authority {
        &[2, 0xa4]
    } else {
        &[5, 0xa0]
    };
    let purpose = |last: u8| tlv(OID, &[&KEY_PURPOSE[..], &[last]].concat());
    let purposes = sequence(&[&purpose(1), &purpose(2)]);
    let constraints = sequence(&[if request.is_authority { der::TRUE } else { &[] }]);
    let mut all = vec![
        extension(0x0f, true, &tlv(BIT_STRING, usage)),
        extension(0x25, false, &purposes),
        extension(0x13, true, &constraints),
    ];
    if request.is_authority {
        let digest = Sha256::digest(public_bits);
        let identifier = digest.get(..20).unwrap_or_default();
        all.push(extension(0x0e, false, &tlv(OCTET_STRING, identifier)));
    }
    if let Some(identifier) = authority_key {
        all.push(extension(0x23, false, &sequence(&[&tlv(0x80, identifier)])));
    }
    if let Some(names) = names {
        all.push(extension(0x11, request.name.is_empty(), &names));
    }
    tlv(0xa3, &tlv(der::SEQUENCE, &all.concat()))
}

/// Makes and signs a certificate for the key, or for a new one.
fn issue(
    context: &mut dyn Context,
    environment: &dyn Environment,
    request: &Request<'_>,
    signer: &Signer<'_>,
    given: Option<PrivateKey>,
) -> Result<Value, Error> {
    context.charge(EXPENSIVE / 16)?;
    let subject = subject(request.name);
    let authority = match signer {
        Signer::Itself => None,
        Signer::Authority(pair) => Some(Issuer::read(pair)?),
    };
    // A key takes long to make: what is wrong with the names is said before.
    let names = alternative_names(request)?;
    let key = match given {
        Some(key) => key,
        None => PrivateKey::generate(environment, KeyAlgorithm::Rsa(2048))?,
    };
    let issuer = authority.unwrap_or_else(|| Issuer {
        name: subject.clone(),
        key: key.clone(),
        key_identifier: None,
    });
    let public = key.public(environment)?;
    let public_bits = PrivateKey::public_bits(&public)
        .ok_or_else(|| Error::new("error creating certificate: the public key is malformed"))?;
    let authority_key = issuer
        .key_identifier
        .as_deref()
        .filter(|_| issuer.name != subject);
    let extensions = extensions(request, names, &public_bits, authority_key);
    let (scheme, identifier) = issuer.key.scheme()?;

    let mut serial = [0; 16];
    environment.random(&mut serial)?;
    let start = Time::from_unix_nanos(environment.now());
    const DAY: i64 = 24 * 3_600 * 1_000_000_000;
    let validity = sequence(&[
        &moment(&start)?,
        &moment(&start.add(DAY.wrapping_mul(request.days)))?,
    ]);
    // Version 3.
    let version = tlv(0xa0, &[der::INTEGER, 1, 2]);
    let body = sequence(&[
        &version,
        &unsigned(&serial),
        &identifier,
        &issuer.name,
        &validity,
        &subject,
        &public,
        &extensions,
    ]);
    let signature = environment.sign(&issuer.key.pkcs8, scheme, &body)?;
    let signature = tlv(BIT_STRING, &[&[0], signature.as_slice()].concat());
    let certificate = sequence(&[&body, &identifier, &signature]);
    Ok(Value::object(CertificateValue {
        cert: pem::encode("CERTIFICATE", &certificate),
        key: key.to_pem(environment)?,
    }))
}
