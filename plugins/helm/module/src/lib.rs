//! The engine alone as a WebAssembly module: what `cargo xtask bench render` weighs.
//!
//! It does all of `helm template` for an archive in its memory, so that nothing of the engine is left out by the linker.
//! Clock, randomness, keys and lookups would be imports of whoever runs it; here there are none.

use std::rc::Rc;

use helm_engine::{ChartSource, TemplateArgs, template};
use helm_functions::{Environment, EnvironmentError, KeyAlgorithm, SignatureScheme};

/// Nothing but the module itself.
#[derive(Debug)]
struct Alone;

fn none<T>() -> Result<T, EnvironmentError> {
    Err(EnvironmentError(
        "there is nothing around this module".into(),
    ))
}

impl Environment for Alone {
    fn now(&self) -> i128 {
        0
    }

    fn random(&self, _: &mut [u8]) -> Result<(), EnvironmentError> {
        none()
    }

    fn generate_key(&self, _: KeyAlgorithm) -> Result<Vec<u8>, EnvironmentError> {
        none()
    }

    fn sign(&self, _: &[u8], _: SignatureScheme, _: &[u8]) -> Result<Vec<u8>, EnvironmentError> {
        none()
    }

    fn public_key(&self, _: &[u8]) -> Result<Vec<u8>, EnvironmentError> {
        none()
    }

    fn lookup(
        &self,
        _: &str,
        _: &str,
        _: &str,
        _: &str,
    ) -> Result<serde_json::Value, EnvironmentError> {
        none()
    }
}

/// A buffer for an archive or a text, which [`render`] takes back.
#[unsafe(no_mangle)]
#[allow(
    unsafe_code,
    reason = "whoever runs the module finds functions by their names"
)]
pub extern "C" fn buffer(len: usize) -> *mut Vec<u8> {
    Box::into_raw(Box::new(vec![0; len]))
}

/// Renders the archive in the first buffer with the values file and the `--set` text in the others; returns a buffer
/// with what was printed.
///
/// # Safety
/// The three must be of [`buffer`], and are used up.
#[unsafe(no_mangle)]
#[allow(
    unsafe_code,
    reason = "whoever runs the module finds functions by their names"
)]
pub unsafe extern "C" fn render(
    archive: *mut Vec<u8>,
    values: *mut Vec<u8>,
    set: *mut Vec<u8>,
) -> *mut Vec<u8> {
    // SAFETY: as this function's contract says, each is what `Box::into_raw` gave out in `buffer`.
    let [archive, values, set] =
        [archive, values, set].map(|buffer| unsafe { *Box::from_raw(buffer) });
    let environment: Rc<dyn Environment> = Rc::new(Alone);
    let mut args = TemplateArgs::default();
    args.values.files.push(("values".into(), values));
    let set = String::from_utf8_lossy(&set).into_owned();
    args.values.set.push(set.clone());
    args.values.set_string.push(set.clone());
    args.values.set_json.push(set.clone());
    args.values.set_literal.push(set.clone());
    args.values.set_file.push(set);
    let source = ChartSource::Archive("chart".into(), archive);
    let read = &mut |path: &str| Err(format!("{path} lies outside the module"));
    let output = template(&source, &args, &environment, read);
    Box::into_raw(Box::new((output.stdout + &output.stderr).into_bytes()))
}
