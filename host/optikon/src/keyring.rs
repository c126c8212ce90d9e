//! The OpenPGP keys whose signatures of charts count: `[charts] keyring`.
//!
//! What `helm verify` looks at is looked at here, and more: a signature counts when a key of the file made it that may
//! sign, was not revoked and has not expired, with a hash that nobody can collide. Signatures of third parties on the keys
//! are no matter: that a key stands in the operator's file is all the trust there is.

use std::{fs, path::Path};

use optikon_core::ports::{Keyring, Signed};
use pgp::{
    composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey},
    crypto::hash::HashAlgorithm,
    packet::{Signature, SignatureType},
    types::{KeyDetails, Tag, VerifyingKey},
};

/// A keyring is a handful of keys.
const MAX_KEYRING_BYTES: u64 = 16 << 20;
/// Clocks differ.
const MAX_AHEAD_SECONDS: u64 = 300;

/// The keys of a file.
#[derive(Debug)]
pub(crate) struct Keys(Vec<SignedPublicKey>);

impl Keys {
    /// Reads a file of public keys, armoured or not.
    ///
    /// # Errors
    /// What is wrong with the file, for people.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let shown = file.display();
        let size = fs::metadata(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
        if size.len() > MAX_KEYRING_BYTES {
            return Err(format!(
                "{shown} is no keyring: it has {} bytes",
                size.len()
            ));
        }
        let bytes = fs::read(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
        Self::parse(&bytes).map_err(|why| format!("{shown} {why}"))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let bad = |error: pgp::errors::Error| format!("is no file of OpenPGP public keys: {error}");
        let begins = String::from_utf8_lossy(bytes.get(..64).unwrap_or(bytes)).into_owned();
        if begins.contains("PRIVATE KEY") {
            return Err("holds private keys; export the public ones alone (gpg --export)".into());
        }
        let keys: Result<Vec<_>, _> = if begins.trim_start().starts_with("-----BEGIN") {
            SignedPublicKey::from_armor_many(bytes)
                .map_err(bad)?
                .0
                .collect()
        } else {
            SignedPublicKey::from_bytes_many(bytes)
                .map_err(bad)?
                .collect()
        };
        let keys = keys.map_err(bad)?;
        if keys.is_empty() {
            return Err("holds no OpenPGP public key".into());
        }
        Ok(Self(keys))
    }
}

impl Keyring for Keys {
    fn verify(&self, signed: &[u8], now_ms: u64) -> Result<Signed, String> {
        let (message, _) = CleartextSignedMessage::from_armor(signed)
            .map_err(|error| format!("it is no text that is signed in the clear: {error}"))?;
        let text = message.signed_text();
        let now = now_ms / 1000;
        // A known key's verdict says more than that others are not it.
        let mut why = None;
        for signature in message.signatures() {
            for key in &self.0 {
                match made_by(signature, key, &text, now) {
                    Some(Ok(())) => {
                        return Ok(Signed {
                            text,
                            by: owner(key),
                        });
                    }
                    Some(Err(reason)) => why = Some(format!("{} {reason}", owner(key))),
                    None => {}
                }
            }
        }
        Err(why.unwrap_or_else(|| {
            "no key of the keyring made its signature, or what was signed has been changed".into()
        }))
    }
}

/// Whose key it is, for people.
fn owner(key: &SignedPublicKey) -> String {
    let user = key.details.users.first();
    let name = user.and_then(|user| user.id.as_str().map(str::to_owned));
    name.unwrap_or_else(|| key.fingerprint().to_string())
}

/// Whether the key or one of its subkeys made the signature, and if so, whether it counts.
fn made_by(
    signature: &Signature,
    key: &SignedPublicKey,
    text: &str,
    now: u64,
) -> Option<Result<(), String>> {
    if verifies(signature, &key.primary_key, text) {
        return Some(counts(signature, now).and_then(|()| primary(key, true, now)));
    }
    let subkeys = key.public_subkeys.iter();
    let mut made = subkeys.filter(|subkey| verifies(signature, &subkey.key, text));
    let subkey = made.next()?;
    let verdict = counts(signature, now)
        .and_then(|()| primary(key, false, now))
        .and_then(|()| bound(key, subkey, now));
    Some(verdict)
}

fn verifies(signature: &Signature, key: &impl VerifyingKey, text: &str) -> bool {
    signature.verify(key, text.as_bytes()).is_ok()
}

fn counts(signature: &Signature, now: u64) -> Result<(), String> {
    if !matches!(
        signature.typ(),
        Some(SignatureType::Text | SignatureType::Binary)
    ) {
        return Err("signed something else".into());
    }
    let is_strong = matches!(
        signature.hash_alg(),
        Some(
            HashAlgorithm::Sha224
                | HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    );
    if !is_strong {
        return Err("signed with a hash that is broken".into());
    }
    let created = signature.created().map(|at| u64::from(at.as_secs()));
    let created = created.ok_or("did not say when it signed")?;
    if created > now + MAX_AHEAD_SECONDS {
        return Err("signed in the future".into());
    }
    let lasts = signature.signature_expiration_time();
    if is_over(created, lasts.map(|d| d.as_secs()), now) {
        return Err("signed for a time that is over".into());
    }
    Ok(())
}

/// A duration of 0 is for ever.
fn is_over(begin: u64, seconds: Option<u32>, now: u64) -> bool {
    seconds.is_some_and(|seconds| seconds > 0 && begin + u64::from(seconds) <= now)
}

/// Whether the key as its owner left it is in force, and, where it is the one that signs, may.
fn primary(key: &SignedPublicKey, signs: bool, now: u64) -> Result<(), String> {
    let of_key = &key.primary_key;
    let revocations = &key.details.revocation_signatures;
    if revocations.iter().any(|s| s.verify_key(of_key).is_ok()) {
        return Err("revoked the key that signed".into());
    }
    let of_users = key.details.users.iter().flat_map(|user| {
        let own = user.signatures.iter().filter(|s| {
            s.is_certification()
                && s.verify_certification(of_key, Tag::UserId, &user.id)
                    .is_ok()
        });
        own.collect::<Vec<_>>()
    });
    let direct = key.details.direct_signatures.iter();
    let direct = direct.filter(|s| s.verify_key(of_key).is_ok());
    let newest = of_users.chain(direct).max_by_key(|s| s.created());
    let newest = newest.ok_or("has a key that nobody bound to a name")?;
    let begin = u64::from(of_key.created_at().as_secs());
    if is_over(
        begin,
        newest.key_expiration_time().map(|d| d.as_secs()),
        now,
    ) {
        return Err("has a key that has expired".into());
    }
    if signs && !newest.key_flags().sign() {
        return Err("has a key that is not for signing".into());
    }
    Ok(())
}

/// Whether the subkey is the key's own, in force, and for signing.
fn bound(key: &SignedPublicKey, subkey: &SignedPublicSubKey, now: u64) -> Result<(), String> {
    let by = &key.primary_key;
    let own = || {
        let all = subkey.signatures.iter();
        all.filter(|s| s.verify_subkey_binding(by, &subkey.key).is_ok())
    };
    if own().any(|s| s.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err("revoked the subkey that signed".into());
    }
    let newest = own().max_by_key(|s| s.created());
    let newest = newest.ok_or("has no such subkey")?;
    let begin = u64::from(subkey.key.created_at().as_secs());
    if is_over(
        begin,
        newest.key_expiration_time().map(|d| d.as_secs()),
        now,
    ) {
        return Err("has a subkey that has expired".into());
    }
    // Without its own signature somebody could bind a stranger's key to his.
    let back = newest.embedded_signature();
    let is_own = back.is_some_and(|s| s.verify_primary_key_binding(&subkey.key, by).is_ok());
    if !newest.key_flags().sign() || !is_own {
        return Err("has a subkey that is not for signing".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pgp::{
        composed::{
            ArmorOptions, KeyType, SecretKeyParamsBuilder, SignedSecretKey, SubkeyParamsBuilder,
        },
        ser::Serialize,
        types::Password,
    };

    use super::*;

    const TEXT: &str = "name: web\n- dashed\n...\nfiles:\n  web-1.0.0.tgz: sha256:00\n";

    fn key(name: &str, signs: bool) -> SignedSecretKey {
        let mut subkey = SubkeyParamsBuilder::default();
        subkey.key_type(KeyType::Ed25519Legacy).can_sign(true);
        let mut params = SecretKeyParamsBuilder::default();
        params
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(signs)
            .primary_user_id(name.into())
            .subkeys(vec![subkey.build().unwrap()]);
        let params = params.build().unwrap();
        params.generate(rand::thread_rng()).unwrap()
    }

    fn now_ms() -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        u64::try_from(since.unwrap().as_millis()).unwrap()
    }

    fn signed(key: &SignedSecretKey, by_subkey: bool) -> String {
        let (rng, none) = (rand::thread_rng(), Password::empty());
        let message = if by_subkey {
            CleartextSignedMessage::sign(rng, TEXT, &key.secret_subkeys[0].key, &none)
        } else {
            CleartextSignedMessage::sign(rng, TEXT, &key.primary_key, &none)
        };
        message
            .unwrap()
            .to_armored_string(ArmorOptions::default())
            .unwrap()
    }

    fn ring(keys: &[&SignedSecretKey], is_armoured: bool) -> Keys {
        let mut bytes = Vec::new();
        for key in keys {
            let public = SignedPublicKey::from((*key).clone());
            if is_armoured {
                bytes = public.to_armored_bytes(ArmorOptions::default()).unwrap();
            } else {
                public.to_writer(&mut bytes).unwrap();
            }
        }
        Keys::parse(&bytes).unwrap()
    }

    #[test]
    fn a_key_of_the_ring_or_its_subkey_signs() {
        let (maker, other) = (key("Maker <m@example.org>", true), key("Other", true));
        for keys in [ring(&[&other, &maker], false), ring(&[&maker], true)] {
            for by_subkey in [false, true] {
                let found = keys.verify(signed(&maker, by_subkey).as_bytes(), now_ms());
                let found = found.unwrap();
                assert_eq!(found.by, "Maker <m@example.org>");
                assert_eq!(found.text.replace("\r\n", "\n"), TEXT);
            }
        }
    }

    #[test]
    fn strangers_changes_and_keys_for_other_things_do_not_count() {
        let (maker, other) = (key("Maker", true), key("Other", true));
        let keys = ring(&[&maker], false);
        let refuse = |text: &str, now: u64, word: &str| {
            let why = keys.verify(text.as_bytes(), now).unwrap_err();
            assert!(why.contains(word), "{why}");
        };
        refuse(&signed(&other, false), now_ms(), "no key of the keyring");
        let changed = signed(&maker, false).replace("sha256:00", "sha256:01");
        refuse(&changed, now_ms(), "has been changed");
        refuse(&signed(&maker, false), 1_000_000, "in the future");
        refuse("name: web\n", now_ms(), "signed in the clear");
        refuse("", now_ms(), "signed in the clear");

        let certifier = key("Certifier", false);
        let keys = ring(&[&certifier], false);
        let why = keys.verify(signed(&certifier, false).as_bytes(), now_ms());
        assert!(why.unwrap_err().contains("not for signing"));

        // Somebody else's subkey under one's own name.
        let mut stolen = SignedPublicKey::from(other.clone());
        stolen.public_subkeys = SignedPublicKey::from(maker.clone()).public_subkeys;
        let why = Keys(vec![stolen]).verify(signed(&maker, true).as_bytes(), now_ms());
        assert!(why.unwrap_err().contains("no such subkey"));
    }

    #[test]
    fn a_file_without_public_keys_is_refused() {
        let private = key("Maker", true)
            .to_armored_string(ArmorOptions::default())
            .unwrap();
        for (bytes, word) in [
            ("", "no OpenPGP public key"),
            ("hello", "is no"),
            (private.as_str(), "private"),
            ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n", "is no"),
        ] {
            let why = Keys::parse(bytes.as_bytes()).unwrap_err();
            assert!(why.contains(word), "{bytes}: {why}");
        }
    }
}
