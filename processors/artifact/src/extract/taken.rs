//! What is kept of each file that was taken: what is told of it, and its bytes.

use std::borrow::Cow;

use slimspan_proto::{Carrier, Value, ValueKind};

use super::Extractor;
use crate::detect::{Found, paths_to};
use crate::extraction::{Claim, MOST_CLAIMS, Move};
use crate::placement::Replaced;
use crate::policy::Action;
use crate::reference::claim::Claimed;
use crate::{Artifact, Shape};

impl<'a> Extractor<'a> {
    /// Where a value stands in the request.
    pub(super) fn offset(&self, value: &Value<'a>) -> usize {
        let (at, start) = (value.content.as_ptr(), self.request.as_ptr());
        at.addr().saturating_sub(start.addr())
    }

    /// Keeps what a value says of a file that its sender stores itself, if it does.
    pub(super) fn claimed(&mut self, value: &Value<'a>) {
        if self.extraction.claims.len() >= MOST_CLAIMS {
            return;
        }
        let Some(claimed) = Claimed::read(value.content) else {
            return;
        };
        let claim = Claim {
            attribute: attribute(value).into_owned(),
            carrier: value.carrier,
            at: self.offset(value),
            digest: claimed.digest,
            media_type: claimed.media_type,
            size: claimed.size,
            file_name: claimed.file_name,
        };
        self.extraction.claims.push(claim);
    }

    /// Keeps what was replaced of `found`.
    pub(super) fn moved(&mut self, value: &Value<'a>, found: &[Found], replaced: &[Replaced]) {
        if replaced.is_empty() {
            return;
        }
        let action = self.treatment(value).action;
        let at = self.offset(value);
        let found: Vec<_> = replaced
            .iter()
            .filter_map(|replaced| Some((replaced, found.get(replaced.number)?)))
            .collect();
        let ranges: Vec<_> = found.iter().map(|(_, found)| found.range.clone()).collect();
        let mut paths = match value.kind {
            ValueKind::String => paths_to(value.content, &ranges),
            _ => Vec::new(),
        }
        .into_iter();
        for (replaced, found) in found {
            let content = &found.content;
            let stored = action != Action::Drop && !self.policy.dropped.contains(&content.digest);
            self.extraction.mislabelled += usize::from(found.media_type.contradiction.is_some());
            self.extraction.moves.push(Move {
                attribute: attribute(value).into_owned(),
                shape: Shape::of(found),
                media_type: found.media_type.declared.clone(),
                digest: content.digest,
                size: content.size,
                before: replaced.before,
                after: replaced.after,
                stored,
                carrier: value.carrier,
                at,
                path: paths.next().unwrap_or_default(),
                proven: found.media_type.contradiction.clone(),
                file_name: found.file_name.clone(),
            });
            if !stored {
                continue;
            }
            content.learn(&mut self.extraction);
            let Some(bytes) = &content.bytes else {
                self.extraction.recalled.push(content.digest);
                continue;
            };
            if self.seen.insert(content.digest) {
                self.extraction.artifacts.push(Artifact {
                    digest: content.digest,
                    media_type: found.media_type.proven().to_owned(),
                    bytes: bytes.clone(),
                });
            }
        }
    }
}

/// Bytes of a key that are repeated for every file in the attribute.
const MAX_KEY: usize = 255;

pub(super) fn attribute<'v>(value: &Value<'v>) -> Cow<'v, str> {
    match value.carrier {
        Carrier::LogBody => Cow::Borrowed("(body)"),
        _ => String::from_utf8_lossy(value.attribute.get(..MAX_KEY).unwrap_or(value.attribute)),
    }
}
