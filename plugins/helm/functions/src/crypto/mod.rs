//! Digests, random text, passwords, ciphers, keys and certificates.

mod cert;
mod cipher;
mod der;
mod digest;
mod keys;
mod passwords;
mod pem;
mod random;

use std::rc::Rc;

use helm_template::Functions;

pub use cert::CertificateValue;

use crate::environment::Environment;

pub(crate) fn register(functions: &mut Functions, environment: &Rc<dyn Environment>) {
    digest::register(functions);
    random::register(functions, environment);
    passwords::register(functions, environment);
    cipher::register(functions, environment);
    keys::register(functions, environment);
    cert::register(functions, environment);
}

/// Steps charged for what takes tens of milliseconds.
const EXPENSIVE: u64 = 250_000;
