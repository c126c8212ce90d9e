//! From what went wrong to a typed fault. Types are matched, never texts.

use std::{error::Error as StdError, io};

use optikon_core::words::{Fault, FaultReason};
use rustls::{AlertDescription, CertificateError};

/// Long enough for the errors of a few endpoints, short enough for a condition's message.
const MAX_MESSAGE_BYTES: usize = 1024;

/// A fault whose message may hold foreign text: bounded, one line, no control characters.
pub(crate) fn fault(reason: FaultReason, message: impl AsRef<str>) -> Fault {
    Fault::new(reason, clean(message.as_ref(), MAX_MESSAGE_BYTES))
}

/// Foreign text for a message.
pub(crate) fn clean(text: &str, max_bytes: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(max_bytes));
    for c in text.chars() {
        if clean.len() + c.len_utf8() > max_bytes {
            clean.push('…');
            break;
        }
        // Direction marks would let a message show other than it is.
        let is_hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        clean.push(if is_hidden { '\u{fffd}' } else { c });
    }
    clean
}

/// The rustls error inside an I/O error; `source()` would skip it.
pub(crate) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Why a TLS handshake, or the first read after it, failed.
pub(crate) fn from_tls(error: &rustls::Error) -> Fault {
    use rustls::Error as E;
    match error {
        E::InvalidCertificate(why) => from_certificate(why),
        E::AlertReceived(alert) if is_about_our_certificate(*alert) => fault(
            FaultReason::Unauthorized,
            format!("the server did not accept our client certificate (TLS alert {alert:?})"),
        ),
        E::AlertReceived(alert) => fault(
            FaultReason::TlsOther,
            format!("the server ended TLS with the alert {alert:?}"),
        ),
        E::InvalidMessage(_) => fault(
            FaultReason::Protocol,
            "the peer does not speak TLS; plain HTTP is never used",
        ),
        other => fault(FaultReason::TlsOther, format!("TLS failed: {other}")),
    }
}

fn from_certificate(why: &CertificateError) -> Fault {
    use CertificateError as C;
    let reason = match why {
        C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. } => {
            FaultReason::TlsExpired
        }
        C::NotValidForName | C::NotValidForNameContext { .. } => FaultReason::TlsName,
        C::UnknownIssuer
        | C::BadSignature
        | C::InvalidPurpose
        | C::InvalidPurposeContext { .. }
        | C::Revoked
        | C::BadEncoding => FaultReason::TlsUntrusted,
        _ => FaultReason::TlsOther,
    };
    fault(
        reason,
        format!("the server's certificate is refused: {why}"),
    )
}

/// Alerts that a server sends about what a client presented. TLS 1.3 delivers them with the first
/// read, when the handshake is long over on our side.
fn is_about_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
            // A signature of ours does not verify: another issuer of the same name.
            | AlertDescription::DecryptError
    )
}

/// Why TCP, or TLS on top of it, did not come about.
pub(crate) fn from_io(error: &io::Error, doing: &str) -> Fault {
    match tls_error(error) {
        Some(tls) => from_tls(tls),
        None => fault(FaultReason::Connect, format!("{doing}: {error}")),
    }
}

/// Why an exchange over an established connection failed.
pub(crate) fn from_hyper(error: &hyper::Error) -> Fault {
    if error.is_parse_too_large() {
        return fault(FaultReason::TooLarge, "the response head is too large");
    }
    if error.is_parse() || error.is_parse_status() {
        return fault(FaultReason::Protocol, "the peer does not speak HTTP");
    }
    if let Some(h2) = find::<h2::Error>(error) {
        return from_h2(h2);
    }
    if let Some(io) = find::<io::Error>(error) {
        return from_io(io, "the connection broke");
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return fault(
            FaultReason::Connect,
            "the server closed the connection without an answer",
        );
    }
    fault(FaultReason::Protocol, format!("HTTP failed: {error}"))
}

fn from_h2(error: &h2::Error) -> Fault {
    if let Some(io) = error.get_io() {
        return from_io(io, "the connection broke");
    }
    match error.reason() {
        Some(h2::Reason::NO_ERROR | h2::Reason::REFUSED_STREAM | h2::Reason::CANCEL)
            if error.is_remote() =>
        {
            fault(FaultReason::Connect, "the server closed the connection")
        }
        _ => fault(FaultReason::Protocol, format!("HTTP/2 failed: {error}")),
    }
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_bounded_line() {
        let fault = fault(
            FaultReason::Connect,
            format!("a\nb\u{1b}[0m\u{202e}{}", "é".repeat(2000)),
        );
        assert!(fault.message.starts_with("a\u{fffd}b\u{fffd}[0m\u{fffd}"));
        assert!(fault.message.len() <= MAX_MESSAGE_BYTES + '…'.len_utf8());
    }

    #[test]
    fn every_complaint_about_a_certificate_has_its_reason() {
        use CertificateError as C;
        for (why, wanted) in [
            (C::Expired, FaultReason::TlsExpired),
            (C::NotValidYet, FaultReason::TlsExpired),
            (C::NotValidForName, FaultReason::TlsName),
            (C::UnknownIssuer, FaultReason::TlsUntrusted),
            (C::BadSignature, FaultReason::TlsUntrusted),
            (C::InvalidPurpose, FaultReason::TlsUntrusted),
            (C::Revoked, FaultReason::TlsUntrusted),
            (C::BadEncoding, FaultReason::TlsUntrusted),
            (C::UnhandledCriticalExtension, FaultReason::TlsOther),
        ] {
            let fault = from_tls(&rustls::Error::InvalidCertificate(why));
            assert_eq!(fault.reason, wanted, "{}", fault.message);
        }
    }
}
