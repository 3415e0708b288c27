//! What somebody may have meant.

use std::fmt::Display;

/// How much two words have to have in common, from 0 to 1.
const LIKENESS: f64 = 0.8;

/// The rest of an error about a word that is not known: the nearest that is, and all that are.
pub(super) fn known_are<K: Display>(
    word: &str,
    verb: &str,
    known: impl IntoIterator<Item = K>,
) -> String {
    let known: Vec<String> = known.into_iter().map(|known| known.to_string()).collect();
    if known.is_empty() {
        return String::new();
    }
    let did_you_mean = match nearest(word, known.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean \"{nearest}\"? "),
        None => String::new(),
    };
    let known = known.iter().map(String::as_str);
    let known = known.map(|known| if known.is_empty() { "\"\"" } else { known });
    let known: Vec<&str> = known.collect();
    format!("; {did_you_mean}{verb} are {}", known.join(", "))
}

/// The known word that is most like `word`, if any is.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let lower = word.to_lowercase();
    let likely = known.map(|known| {
        let other = known.to_lowercase();
        let likeness = strsim::normalized_damerau_levenshtein(&lower, &other)
            .max(strsim::jaro_winkler(&lower, &other) - 0.08);
        (known, likeness)
    });
    let (known, likeness) = likely.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    (likeness >= LIKENESS).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_like_a_word_is_found() {
        let known = [
            "endpoint",
            "compression",
            "headers",
            "timeout",
            "retry_on_failure",
            "sending_queue",
            "max_request_bytes",
            "dead_letters",
            "tls",
        ];
        for (word, expected) in [
            ("endpont", Some("endpoint")),
            ("Endpoint", Some("endpoint")),
            ("endpoints", Some("endpoint")),
            ("header", Some("headers")),
            ("retry_on_failures", Some("retry_on_failure")),
            ("max_request_size", Some("max_request_bytes")),
            ("sendingqueue", Some("sending_queue")),
            ("tsl", None),
            ("url", None),
            ("", None),
            ("balancer_name", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), expected, "{word}");
        }
    }

    #[test]
    fn all_are_named() {
        assert_eq!(
            known_are("normla", "known", ["basic", "normal"]),
            "; did you mean \"normal\"? known are basic, normal"
        );
        assert_eq!(known_are("x", "known", ["basic"]), "; known are basic");
        assert_eq!(known_are("x", "known", [""; 0]), "");
    }
}
