use bytesize::ByteSize;
use slimspan_artifact::Digest;

use super::changes::{Change, changes};
use super::savings;
use crate::terminal::{Page, Piece, Style, excerpt, replace_references};

/// How many characters of a value are shown.
const VALUE: usize = 100;

/// What became of a request of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DemoOutcome<'a> {
    /// The name of the case.
    pub(super) name: &'a str,
    /// The trace request as it was sent to slimspan.
    pub(super) original: &'a [u8],
    /// The trace request as it went on to the backend.
    pub(super) slim: &'a [u8],
    /// The artifacts that were found in it.
    pub(super) artifacts: Vec<StoredArtifact>,
    /// The backend's answer: accepted, or why not.
    pub(super) answer: Result<(), String>,
}

/// An artifact of a request, and what was found where it is said to lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredArtifact {
    /// SHA-256 of the artifact's bytes.
    pub(super) digest: Digest,
    /// What the bytes are.
    pub(super) media_type: String,
    /// Size in bytes.
    pub(super) size: u64,
    /// Where the artifact lies.
    pub(super) uri: String,
    /// Whether the stored bytes were fetched and have the digest, or why not.
    pub(super) verified: Result<(), String>,
}

/// Tells a person what went in, what came out, where the files lie and what that saved.
///
/// Every line ends with a line feed.
pub(super) fn report(outcomes: &[DemoOutcome<'_>], style: Style) -> String {
    let mut page = Page::new(style);
    for (index, outcome) in outcomes.iter().enumerate() {
        page.line(
            0,
            [
                Piece::aside(format!("{} of {}  ", index + 1, outcomes.len())),
                Piece::title(outcome.name),
            ],
        );
        one_outcome(&mut page, outcome);
        page.line(0, []);
    }
    savings::table(&mut page, outcomes);
    page.finish()
}

fn one_outcome(page: &mut Page, outcome: &DemoOutcome<'_>) {
    size(page, "in", outcome.original.len());
    let changes = changes(outcome.original, outcome.slim);
    for change in changes.iter().flatten() {
        value(page, &change.key, &change.before);
    }
    size(page, "out", outcome.slim.len());
    match &changes {
        Err(error) => page.line(2, [Piece::bad(error.to_string())]),
        Ok(changes) if changes.is_empty() => page.line(2, [Piece::text(unchanged(outcome))]),
        Ok(changes) => changes.iter().for_each(|change| replaced(page, change)),
    }
    for artifact in &outcome.artifacts {
        stored(page, artifact);
    }
    let answer = match &outcome.answer {
        Ok(()) => Piece::good("accepted"),
        Err(reason) => Piece::bad(format!("refused: {reason}")),
    };
    page.line(1, [heading("backend"), answer]);
}

fn unchanged(outcome: &DemoOutcome<'_>) -> &'static str {
    if outcome.original == outcome.slim {
        "the same bytes: nothing to move"
    } else {
        "the same span attributes"
    }
}

fn replaced(page: &mut Page, change: &Change) {
    let (text, references) = replace_references(&change.after);
    value(page, &change.key_after, &text);
    for reference in references {
        page.line(3, [Piece::artifact(format!("↳ {}", reference.summary()))]);
    }
}

fn stored(page: &mut Page, artifact: &StoredArtifact) {
    page.line(
        1,
        [
            heading("stored"),
            Piece::text(format!(
                "{}, {}, sha256 {}",
                ByteSize::b(artifact.size),
                artifact.media_type,
                artifact.digest
            )),
        ],
    );
    page.line(2, [Piece::artifact(artifact.uri.as_str())]);
    let verified = match &artifact.verified {
        Ok(()) => Piece::good("fetched again: the bytes have this SHA-256"),
        Err(reason) => Piece::bad(format!("not verified: {reason}")),
    };
    page.line(2, [verified]);
}

fn size(page: &mut Page, name: &'static str, bytes: usize) {
    page.line(
        1,
        [
            heading(name),
            Piece::text(ByteSize::b(bytes as u64).to_string()),
        ],
    );
}

fn value(page: &mut Page, key: &str, text: &str) {
    page.line(
        2,
        [
            Piece::label(key),
            Piece::text(" = "),
            Piece::text(excerpt(text, VALUE)),
        ],
    );
}

fn heading(name: &'static str) -> Piece<'static> {
    Piece::label(format!("{name:<9}"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use opentelemetry_proto::tonic::{
        collector::trace::v1::ExportTraceServiceRequest,
        common::v1::{AnyValue, KeyValue, any_value::Value},
        trace::v1::{ResourceSpans, ScopeSpans, Span},
    };
    use prost::Message as _;

    use super::*;

    static FILE: [u8; 20_000] = [7; 20_000];

    fn request(value: Value) -> Vec<u8> {
        let span = Span {
            attributes: vec![KeyValue {
                key: "document".to_owned(),
                value: Some(AnyValue { value: Some(value) }),
                ..KeyValue::default()
            }],
            ..Span::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans {
                    spans: vec![span],
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        }
        .encode_to_vec()
    }

    fn artifact(verified: Result<(), String>) -> StoredArtifact {
        StoredArtifact {
            digest: Digest::of(&FILE),
            media_type: "application/pdf".to_owned(),
            size: 20_000,
            uri: "file:///blobs/a.pdf".to_owned(),
            verified,
        }
    }

    fn reference() -> String {
        format!(
            r#"{{"type":"artifact","sha256":"{}","content_type":"application/pdf","size_bytes":20000,"uri":"file:///blobs/a.pdf","encoding":"bytes"}}"#,
            Digest::of(&FILE)
        )
    }

    #[test]
    fn tells_the_whole_story() {
        let original = request(Value::BytesValue(FILE.to_vec()));
        let slim = request(Value::StringValue(reference()));
        let outcomes = [
            DemoOutcome {
                name: "a document",
                original: &original,
                slim: &slim,
                artifacts: vec![artifact(Ok(()))],
                answer: Ok(()),
            },
            DemoOutcome {
                name: "the slim one",
                original: &slim,
                slim: &slim,
                artifacts: Vec::new(),
                answer: Err("no room".to_owned()),
            },
        ];
        let digest = Digest::of(&FILE);
        let short = digest.to_string().get(..12).unwrap().to_owned();
        assert_eq!(
            report(&outcomes, Style::Plain),
            format!(
                "\
1 of 2  a document
  in       19.6 KiB
    document = 20000 bytes 07070707070707070707070707070707…
  out      222 B
    document = ‹artifact›
      ↳ artifact application/pdf 19.5 KiB sha256 {short}… file:///blobs/a.pdf
  stored   19.5 KiB, application/pdf, sha256 {digest}
    file:///blobs/a.pdf
    fetched again: the bytes have this SHA-256
  backend  accepted

2 of 2  the slim one
  in       222 B
  out      222 B
    the same bytes: nothing to move
  backend  refused: no room

request               in         out      stored       saved
a document      19.6 KiB       222 B    19.5 KiB      98.9 %
the slim one       222 B       222 B         0 B       0.0 %
total           19.8 KiB       444 B    19.5 KiB      97.8 %
"
            )
        );
    }

    #[test]
    fn says_what_could_not_be_verified_and_counts_a_file_once() {
        let bytes = request(Value::BytesValue(FILE.to_vec()));
        let failed = DemoOutcome {
            name: "a",
            original: &bytes,
            slim: &bytes,
            artifacts: vec![artifact(Err("no such object".to_owned()))],
            answer: Ok(()),
        };
        let text = report(&[failed.clone(), failed], Style::Plain);
        assert!(text.contains("not verified: no such object"), "{text}");
        let total = text.lines().last().unwrap();
        assert!(total.ends_with("19.5 KiB       0.0 %"), "{total}");
    }

    #[test]
    fn survives_requests_that_do_not_decode_and_an_empty_demo() {
        let outcome = DemoOutcome {
            name: "broken",
            original: &[],
            slim: &[0xff],
            artifacts: Vec::new(),
            answer: Ok(()),
        };
        let text = report(&[outcome], Style::Plain);
        assert!(text.contains("failed to decode"), "{text}");
        assert!(text.ends_with("          -\n"), "{text}");
        assert!(report(&[], Style::Plain).starts_with("request"));
    }

    #[test]
    fn colours_only_when_told() {
        assert!(!report(&[], Style::Plain).contains('\u{1b}'));
        assert!(report(&[], Style::Ansi).contains('\u{1b}'));
    }
}
