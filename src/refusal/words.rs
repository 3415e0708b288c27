//! What the log has of a refusal. A backend may quote what it refuses, such as the beginning of a value that is too
//! long for it, and what telemetry says is for no log.

use std::fmt;

use super::{CODES, Refusal};

/// A refusal for the log.
struct InLog<'a>(&'a Refusal);

/// What stands in the log for `len` bytes of a backend's own words.
pub fn unlogged(len: usize) -> String {
    format!("{len} bytes of its own words, which may quote telemetry and are not logged")
}

impl Refusal {
    /// The last `len` bytes of its message are the other side's own words.
    #[must_use]
    pub fn quoting(self, len: usize) -> Self {
        Self {
            quoted: len,
            ..self
        }
    }

    /// How many bytes at the end of its message are the other side's own words.
    pub fn quoted(&self) -> usize {
        self.quoted
    }

    /// The refusal for the log: of the other side's own words it says how many they are.
    pub fn in_log(&self) -> impl fmt::Display {
        InLog(self)
    }
}

impl fmt::Display for InLog<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal {
            message, quoted, ..
        } = self.0;
        if *quoted == 0 {
            return f.write_str(message);
        }
        let ours = message.len().saturating_sub(*quoted);
        let ours = message.get(..ours).unwrap_or_default();
        let code = CODES[self.0.code_number()];
        write!(f, "{ours}[{code}, {}]", unlogged(*quoted))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use tonic::Status;

    use super::*;
    use crate::refusal::Culprit;

    #[test]
    fn the_log_has_none_of_a_backends_words() {
        let said = "immense term: caf\u{e9}";
        let over_http = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            Refusal::of_otlp_http("otlp_http", status, &HeaderMap::new(), Some(said))
        };
        for refusal in [
            Refusal::of_backend("otlp_grpc", &Status::invalid_argument(said)),
            Refusal::of_backend("otlp_grpc", &Status::unavailable(said)),
            over_http(400),
            over_http(429),
            over_http(503),
        ] {
            assert!(refusal.to_string().ends_with(said), "{refusal}");
            let logged = refusal.in_log().to_string();
            assert!(!logged.contains("term"), "{logged}");
            for part in ["otlp_", CODES[refusal.code_number()], "19 bytes"] {
                assert!(logged.contains(part), "{part}: {logged}");
            }
        }
    }

    #[test]
    fn what_is_said_here_is_logged() {
        let silent = Refusal::of_otlp_http(
            "otlp_http",
            StatusCode::BAD_GATEWAY,
            &HeaderMap::new(),
            None,
        );
        for refusal in [
            Refusal::malformed("no OTLP"),
            Refusal::unavailable(Culprit::Backend, "away"),
            silent,
        ] {
            assert_eq!(refusal.in_log().to_string(), refusal.to_string());
        }
    }
}
