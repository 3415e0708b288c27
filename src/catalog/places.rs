//! From what was taken out of a request to the entries that tell of it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use jiff::Timestamp;
use slimspan_artifact::{Digest, Extraction, Shape};
use slimspan_proto::{Carrier, Origin, Signal, origins};

use super::entry::{Entry, State};
use super::ids::{EntryId, SpanId, TraceId};
use crate::tenant::TenantId;

/// Bytes of a sender's text that an entry repeats.
const MAX_TEXT: usize = 255;

/// What is not known by its bytes.
const UNKNOWN: &str = "application/octet-stream";

/// Whose request it is, and when it was recorded.
#[derive(Debug, Clone, Copy)]
pub struct Taken<'a> {
    /// Its signal.
    pub signal: Signal,
    /// As it came.
    pub request: &'a Bytes,
    /// Whose it is.
    pub tenant: &'a TenantId,
    /// What was taken out of it, once for each form of references.
    pub extractions: &'a [Extraction],
}

/// What one entry is about.
struct Place<'a> {
    at: usize,
    carrier: Carrier,
    attribute: &'a str,
    shape: Shape,
    digest: Option<Digest>,
    content_type: &'a str,
    size: usize,
    file_name: Option<&'a str>,
    state: State,
}

impl Taken<'_> {
    /// An entry for each reference, and for each file that had been cut before it came. `state` says where
    /// the bytes of an artifact are that is referred to.
    pub fn entries(&self, state: impl Fn(&Digest) -> State) -> Vec<Entry> {
        let places = self.places(state);
        if places.is_empty() {
            return Vec::new();
        }
        let offsets: Vec<usize> = places.iter().map(|place| place.at).collect();
        let origins = origins(self.signal, self.request, &offsets);
        let recorded = Timestamp::now();
        let mut met = HashMap::new();
        let mut before = HashMap::new();
        let entries = places.iter().zip(&origins).map(|(place, origin)| {
            // Of all in a span the time is the same: their order is in nothing else.
            let item = (origin.service, origin.trace, origin.span, origin.time);
            let before = before.entry(item).or_insert(0_u32);
            let position = *before;
            *before = before.saturating_add(1);
            let mut hash = self.hash(place, origin);
            let times = met.entry(*hash.finalize().as_bytes()).or_insert(0_u64);
            // The same file twice in one attribute is two references.
            hash.update(&times.to_le_bytes());
            *times += 1;
            self.entry(place, position, origin, recorded, &hash)
        });
        entries.flatten().collect()
    }

    fn places(&self, state: impl Fn(&Digest) -> State) -> Vec<Place<'_>> {
        let mut places = Vec::new();
        let mut of_others = HashSet::new();
        for (number, extraction) in self.extractions.iter().enumerate() {
            let before = places.len();
            for moved in &extraction.moves {
                // In another form of references the same file stands in the same place.
                if number > 0 && of_others.contains(&(moved.at, moved.digest)) {
                    continue;
                }
                let state = if moved.stored {
                    state(&moved.digest)
                } else {
                    State::Dropped
                };
                places.push(Place {
                    at: moved.at,
                    carrier: moved.carrier,
                    attribute: &moved.attribute,
                    shape: moved.shape,
                    digest: Some(moved.digest),
                    content_type: moved.proven.as_deref().unwrap_or(&moved.media_type),
                    size: moved.size,
                    file_name: moved.file_name.as_deref(),
                    state,
                });
            }
            if number == 0 {
                places.extend(extraction.cuts.iter().map(|cut| Place {
                    at: cut.at,
                    carrier: cut.carrier,
                    attribute: &cut.attribute,
                    shape: Shape::Base64,
                    digest: None,
                    content_type: UNKNOWN,
                    size: cut.size,
                    file_name: None,
                    state: State::Truncated,
                }));
            }
            if self.extractions.len() > 1 {
                let new = places.iter().skip(before);
                of_others.extend(new.filter_map(|place| Some((place.at, place.digest?))));
            }
        }
        places.sort_by_key(|place| place.at);
        places
    }

    /// What is the same however often this reference comes, through whichever replica.
    fn hash(&self, place: &Place<'_>, origin: &Origin<'_>) -> blake3::Hasher {
        let mut hash = blake3::Hasher::new();
        let digest = place.digest.map(|digest| *digest.as_bytes());
        let size = (place.size as u64).to_le_bytes();
        let parts: [&[u8]; 9] = [
            self.tenant.as_str().as_bytes(),
            self.signal.name().as_bytes(),
            origin.service,
            origin.trace,
            origin.span,
            &origin.time.to_le_bytes(),
            carrier(place.carrier).as_bytes(),
            place.attribute.as_bytes(),
            // Of what was cut there is no digest.
            digest.as_ref().map_or(&size[..], |digest| &digest[..]),
        ];
        for part in parts {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash
    }

    fn entry(
        &self,
        place: &Place<'_>,
        position: u32,
        origin: &Origin<'_>,
        recorded: Timestamp,
        hash: &blake3::Hasher,
    ) -> Option<Entry> {
        let time = Timestamp::from_nanosecond(origin.time.into()).ok();
        Some(Entry {
            id: EntryId::new(hash.finalize().as_bytes().get(..16)?)?,
            recorded,
            settled: None,
            time: time.filter(|_| origin.time > 0).unwrap_or(recorded),
            tenant: self.tenant.clone(),
            signal: Some(self.signal.name().to_owned()),
            service: text(origin.service).into_owned(),
            trace: TraceId::new(origin.trace),
            span: SpanId::new(origin.span),
            span_name: text(origin.name).into_owned(),
            carrier: carrier(place.carrier).to_owned(),
            attribute: place.attribute.to_owned(),
            position,
            shape: place.shape.name().to_owned(),
            digest: place.digest,
            content_type: content_type(place.content_type),
            size: place.size as u64,
            file_name: place
                .file_name
                .map(|name| text(name.as_bytes()).into_owned()),
            state: place.state,
        })
    }
}

/// The beginning of a sender's text.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    let cut = bytes.len().min(MAX_TEXT);
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(
            text.get(..text.floor_char_boundary(cut))
                .unwrap_or_default(),
        ),
        Err(_) => String::from_utf8_lossy(bytes.get(..cut).unwrap_or_default()),
    }
}

/// A type without its parameters, in lower case.
fn content_type(text: &str) -> String {
    let (essence, _) = text.split_once(';').unwrap_or((text, ""));
    let essence = essence.trim();
    if essence.is_empty() || essence.len() > MAX_TEXT {
        return UNKNOWN.to_owned();
    }
    essence.to_ascii_lowercase()
}

fn carrier(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Resource => "resource",
        Carrier::Scope => "scope",
        Carrier::Span => "span",
        Carrier::Event => "event",
        Carrier::Link => "link",
        Carrier::LogBody | Carrier::LogAttribute => "log",
        Carrier::Metric => "metric",
    }
}
