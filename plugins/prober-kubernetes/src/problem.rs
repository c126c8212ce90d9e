//! Why something could not be seen: a typed reason and one line for people.

use optikon_plugin_sdk::{Fault, Response, prober::Verdict};
use serde_json::{Value, json};

/// What fits into an observation.
const MAX_MESSAGE_BYTES: usize = 1_000;

/// A typed reason and its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `Forbidden`, `Timeout`, `TlsExpired`…
    pub reason: String,
    /// One line.
    pub message: String,
}

impl Problem {
    /// Any problem; the message becomes one bounded line.
    pub fn new(reason: &str, message: &str) -> Self {
        Self {
            reason: reason.to_owned(),
            message: one_line(message),
        }
    }

    /// Why a request got no answer.
    pub fn of_fault(fault: &Fault) -> Self {
        Self::new(&reason_of(fault), &fault.message)
    }

    /// What a status that is not 2xx says.
    pub fn of_status(what: &str, response: &Response) -> Self {
        let reason = match response.status {
            300..=399 => "NotKubernetes",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 | 405 => "NotServed",
            410 => "Expired",
            429 => "Throttled",
            408 | 504 => "Timeout",
            500.. => "Unavailable",
            _ => "Refused",
        };
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let said = body
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let colon = if said.is_empty() { "" } else { ": " };
        Self::new(
            reason,
            &format!("{what} was answered {}{colon}{said}", response.status),
        )
    }

    /// No time was left to ask.
    pub fn out_of_time(what: &str) -> Self {
        Self::new("Timeout", &format!("no time was left for {what}"))
    }

    /// Whether the credential lacks the right.
    pub fn is_forbidden(&self) -> bool {
        self.reason == "Forbidden"
    }

    /// As it stands in `status.parts`.
    pub fn to_json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message})
    }
}

/// The reason that people see for a fault's word. Words that came later are shown in their own letters.
fn reason_of(fault: &Fault) -> String {
    match fault.reason.as_str() {
        "protocol" => "NotKubernetes".to_owned(),
        "tls-other" => "TlsProtocol".to_owned(),
        // The message begins with the last real reason; that something is being spared is no news to people.
        "breaker-open" => {
            let last = fault.message.split(':').next().unwrap_or_default();
            let is_word =
                (1..=64).contains(&last.len()) && last.chars().all(|c| c.is_ascii_alphanumeric());
            if is_word {
                last.to_owned()
            } else {
                "Unavailable".to_owned()
            }
        }
        word => {
            let parts = word
                .split(|c: char| !c.is_ascii_alphanumeric())
                .filter(|part| !part.is_empty());
            let named: String = parts.flat_map(capitalised).take(64).collect();
            if named.is_empty() {
                "Unknown".to_owned()
            } else {
                named
            }
        }
    }
}

fn capitalised(word: &str) -> impl Iterator<Item = char> {
    let (first, rest) = word.split_at_checked(1).unwrap_or(("", word));
    first
        .chars()
        .map(|c| c.to_ascii_uppercase())
        .chain(rest.chars())
}

/// What a fault of the first request says about the member.
pub fn verdict_of(fault: &Fault) -> Verdict {
    match fault.reason.as_str() {
        "unauthorized" => Verdict::NotReady,
        // Nothing was sent, so nothing is known of the member.
        "credential-unbound" | "credential-unreadable" | "bad-config" => Verdict::Unknown,
        _ => Verdict::Unreachable,
    }
}

/// Bounded, without control characters.
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if line.len() + c.len_utf8() > MAX_MESSAGE_BYTES {
            break;
        }
        line.push(c);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(reason: &str, message: &str) -> Fault {
        Fault {
            reason: reason.into(),
            message: message.into(),
            phase_ms: vec![],
        }
    }

    #[test]
    fn every_fault_has_the_reason_that_people_know() {
        for (word, reason) in [
            ("dns", "Dns"),
            ("connect", "Connect"),
            ("proxy", "Proxy"),
            ("tls-untrusted", "TlsUntrusted"),
            ("tls-expired", "TlsExpired"),
            ("tls-name", "TlsName"),
            ("tls-other", "TlsProtocol"),
            ("unauthorized", "Unauthorized"),
            ("timeout", "Timeout"),
            ("too-large", "TooLarge"),
            ("denied", "Denied"),
            ("protocol", "NotKubernetes"),
            ("credential-unbound", "CredentialUnbound"),
            ("credential-unreadable", "CredentialUnreadable"),
            ("bad-config", "BadConfig"),
            ("of-tomorrow", "OfTomorrow"),
            ("", "Unknown"),
        ] {
            assert_eq!(
                Problem::of_fault(&fault(word, "m")).reason,
                reason,
                "{word}"
            );
        }
    }

    #[test]
    fn an_open_breaker_shows_the_last_real_reason() {
        let open = fault(
            "breaker-open",
            "TlsExpired: the certificate expired (not tried again for 9 ms)",
        );
        assert_eq!(Problem::of_fault(&open).reason, "TlsExpired");
        assert_eq!(
            Problem::of_fault(&fault("breaker-open", "<b>")).reason,
            "Unavailable"
        );
    }

    #[test]
    fn a_message_is_one_bounded_line() {
        let problem = Problem::new("X", &"é\n".repeat(5_000));
        assert!(problem.message.len() <= 1_000);
        assert!(!problem.message.contains('\n'));
    }
}
