//! What a backend repeats of a request's credentials is told nobody.

use http::{HeaderMap, HeaderValue};

use crate::answer::Answer;

/// What is shorter is a word rather than a secret, and stands in answers for other reasons.
const SHORTEST: usize = 6;

/// What a request had in its headers for the backend alone. A backend that quotes it tells it to senders
/// and to the log.
#[derive(Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// The values of headers that are credentials, whole and without a scheme.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.values().filter(|value| value.is_sensitive());
        let values = values.filter_map(|value: &HeaderValue| value.to_str().ok());
        let with_rests = values.flat_map(|value| {
            let rest = value.split_once(' ').map(|(_, rest)| rest.trim());
            std::iter::once(value).chain(rest)
        });
        let long = with_rests.filter(|secret| secret.len() >= SHORTEST);
        let mut secrets: Vec<_> = long.map(ToOwned::to_owned).collect();
        // The whole first, lest a part of it leaves the rest.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    /// The text without them.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret) {
                text = text.replace(secret, "[REDACTED]");
            }
        }
        text
    }

    /// The answer without them in its words.
    pub(super) fn redact_answer(&self, answer: Answer) -> Answer {
        let said = answer.message();
        let redacted = self.redact(&said);
        if redacted == said {
            // As it came.
            return answer;
        }
        let rejected = answer.rejected().unwrap_or_default();
        let rejected = usize::try_from(rejected).unwrap_or(usize::MAX);
        Answer::rejecting(rejected, &redacted)
    }
}
