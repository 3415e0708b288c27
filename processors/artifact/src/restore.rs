use bytes::Bytes;
use slimspan_proto::{Edit, Malformed, OnMalformed, Signal, Value, ValueKind, Walk, walk};

use crate::reference::{OPENING, Reference};
use crate::{Digest, Encoding, untrusted};

/// Why a request could not be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Nobody has the bytes.
    #[error("artifact {0} is missing")]
    Missing(Digest),
    /// The bytes that were fetched are others.
    #[error("artifact {0} is corrupt: its bytes have another digest")]
    Corrupt(Digest),
    /// The request is none that `extract` made.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Undoes [`extract`](crate::extract): puts the artifacts back where references stand.
///
/// `fetch` gives the bytes of an artifact; they are checked against their digest. What
/// `extract` made comes back byte for byte. The first artifact that cannot be had ends it.
pub fn restore(
    signal: Signal,
    request: &Bytes,
    fetch: impl FnMut(Digest) -> Option<Bytes>,
) -> Result<Bytes, RestoreError> {
    let mut restorer = Restorer {
        fetch,
        outcome: Ok(()),
    };
    // Metrics are never changed, so there is nothing to undo in them.
    if signal == Signal::Metrics || !untrusted::any(request) {
        return Ok(request.clone());
    }
    // The same way through the request as the extractor's when it marks what it did not write.
    let everything = Walk {
        min_len: OPENING.len(),
        on_malformed: OnMalformed::StepOver,
    };
    let splice = walk(signal, request, everything, |value, edit| {
        restorer.visit(value, edit);
    })?;
    restorer.outcome?;
    if splice.is_empty() {
        return Ok(request.clone());
    }
    Ok(splice.apply(request)?.into())
}

struct Restorer<F> {
    fetch: F,
    outcome: Result<(), RestoreError>,
}

impl<F: FnMut(Digest) -> Option<Bytes>> Restorer<F> {
    fn visit(&mut self, value: &Value<'_>, edit: &mut Edit<'_>) {
        if value.kind == ValueKind::String && self.outcome.is_ok() {
            self.outcome = self.restore(value.content, edit);
        }
    }

    fn restore(&mut self, text: &[u8], edit: &mut Edit<'_>) -> Result<(), RestoreError> {
        if let Some((reference, len)) = Reference::parse(text)
            && len == text.len()
        {
            let original = self.original(&reference)?;
            match reference.encoding {
                Encoding::Bytes => edit.set_bytes(&original),
                _ => edit.set_string(&original),
            }
            return Ok(());
        }
        for opening in untrusted::openings(text) {
            let Some(reference) = &opening.reference else {
                let mark = opening.mark();
                edit.replace(mark..mark + untrusted::MARK.len(), Vec::new());
                continue;
            };
            // There are no bytes inside JSON.
            if reference.encoding != Encoding::Bytes {
                let mut original = self.original(reference)?;
                if reference.encoding.is_json_string() {
                    original = json_string(&original);
                }
                edit.replace(opening.range, original);
            }
        }
        Ok(())
    }

    fn original(&mut self, reference: &Reference) -> Result<Vec<u8>, RestoreError> {
        let digest = reference.digest;
        let bytes = (self.fetch)(digest).ok_or(RestoreError::Missing(digest))?;
        if Digest::of(&bytes) != digest {
            return Err(RestoreError::Corrupt(digest));
        }
        let mut original = reference.prefix.clone().unwrap_or_default().into_bytes();
        original.extend_from_slice(&reference.encoding.encode(&bytes));
        Ok(original)
    }
}

/// `text` as a JSON string. It is ASCII and has no control characters.
fn json_string(text: &[u8]) -> Vec<u8> {
    let mut literal = Vec::with_capacity(text.len() + 2);
    literal.push(b'"');
    for &c in text {
        if matches!(c, b'"' | b'\\') {
            literal.push(b'\\');
        }
        literal.push(c);
    }
    literal.push(b'"');
    literal
}
