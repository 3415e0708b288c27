//! From what was taken out of a request to the entries that tell of it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use jiff::Timestamp;
use slimspan_artifact::{
    Digest, Extraction, Shape, ValuePath, extension_of_media_type, media_type_of_extension,
};
use slimspan_proto::{Carrier, Origin, Signal, Spot, Step, origins, spots};

use super::entry::{Entry, State};
use super::ids::{EntryId, SpanId, TraceId};
use crate::tenant::TenantId;

/// Bytes of a sender's text that an entry repeats.
const MAX_TEXT: usize = 255;

/// What is not known by its bytes.
const UNKNOWN: &str = "application/octet-stream";

/// How a file stands where there is a reference alone, which its sender wrote.
const CLAIMED: &str = "reference";

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
    /// Of so many files that its sender stores itself at most it is told.
    pub most_claims: usize,
}

/// What one entry is about.
struct Place<'a> {
    at: usize,
    carrier: Carrier,
    attribute: &'a str,
    /// Where it stands in its value, and what is known of where that stands.
    path: Option<&'a ValuePath>,
    spot: OnSpot,
    shape: &'static str,
    digest: Option<Digest>,
    content_type: &'a str,
    size: u64,
    file_name: Option<&'a str>,
    state: State,
}

/// Where something stands in what its attribute belongs to, and in the value of that.
#[derive(Default)]
struct OnSpot {
    index: Option<u32>,
    event: Option<String>,
    path: Option<String>,
}

impl OnSpot {
    fn of(spot: &Spot<'_>, within: Option<&ValuePath>) -> Self {
        let mut path = ValuePath::default();
        for step in &spot.steps {
            match step {
                Step::Key(key) => path.key(key),
                Step::Index(index) => path.index(*index),
            }
        }
        if let Some(within) = within {
            path.join(within);
        }
        let path = path.as_str();
        Self {
            index: spot.number.and_then(|number| u32::try_from(number).ok()),
            event: (!spot.event.is_empty()).then(|| text(spot.event).into_owned()),
            path: (!path.is_empty()).then(|| path.to_owned()),
        }
    }
}

impl Taken<'_> {
    /// An entry for each reference, also those to files that their senders store themselves, and for each file that
    /// had been cut before it came. `state` says where the bytes of an artifact are that was taken out.
    pub fn entries(&self, state: impl Fn(&Digest) -> State) -> Vec<Entry> {
        let mut places = self.places(state);
        if places.is_empty() {
            return Vec::new();
        }
        let offsets: Vec<usize> = places.iter().map(|place| place.at).collect();
        let origins = origins(self.signal, self.request, &offsets);
        spots(self.signal, self.request, &offsets, |number, spot| {
            if let Some(place) = places.get_mut(number) {
                place.spot = OnSpot::of(spot, place.path);
            }
        });
        let recorded = Timestamp::now();
        let mut met = HashMap::new();
        let mut before = HashMap::new();
        let entries = places.into_iter().zip(&origins).map(|(place, origin)| {
            // Of all in a span the time is the same: their order is in nothing else.
            let item = (origin.service, origin.trace, origin.span, origin.time);
            let before = before.entry(item).or_insert(0_u32);
            let position = *before;
            *before = before.saturating_add(1);
            let mut hash = self.hash(&place, origin);
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
                    path: Some(&moved.path),
                    spot: OnSpot::default(),
                    shape: moved.shape.name(),
                    digest: Some(moved.digest),
                    content_type: moved.proven.as_deref().unwrap_or(&moved.media_type),
                    size: moved.size as u64,
                    file_name: moved.file_name.as_deref(),
                    state,
                });
            }
            if number == 0 {
                places.extend(extraction.cuts.iter().map(|cut| Place {
                    at: cut.at,
                    carrier: cut.carrier,
                    attribute: &cut.attribute,
                    path: None,
                    spot: OnSpot::default(),
                    shape: Shape::Base64.name(),
                    digest: None,
                    content_type: UNKNOWN,
                    size: cut.size as u64,
                    file_name: None,
                    state: State::Truncated,
                }));
                let claims = extraction.claims.iter().take(self.most_claims);
                places.extend(claims.map(|claim| Place {
                    at: claim.at,
                    carrier: claim.carrier,
                    attribute: &claim.attribute,
                    path: None,
                    spot: OnSpot::default(),
                    shape: CLAIMED,
                    digest: Some(claim.digest),
                    content_type: known(&claim.media_type),
                    size: claim.size,
                    file_name: claim.file_name.as_deref(),
                    state: State::Referred,
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
        let size = place.size.to_le_bytes();
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
        if place.state == State::Referred {
            // What its sender says of it takes no place of what was taken out there.
            hash.update(CLAIMED.as_bytes());
        }
        hash
    }

    fn entry(
        &self,
        place: Place<'_>,
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
            carrier_index: place.spot.index,
            event_name: place.spot.event,
            attribute: place.attribute.to_owned(),
            path: place.spot.path,
            position,
            shape: place.shape.to_owned(),
            digest: place.digest,
            content_type: content_type(place.content_type),
            size: place.size,
            file_name: place
                .file_name
                .map(|name| text(name.as_bytes()).into_owned()),
            state: place.state,
        })
    }
}

/// The beginning of a sender's text.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    // However long it is, and for however many files it is asked for.
    let head = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    match std::str::from_utf8(head) {
        Ok(text) => Cow::Borrowed(text),
        // The cut is in the middle of a character.
        Err(error) if head.len() < bytes.len() && error.error_len().is_none() => {
            String::from_utf8_lossy(head.get(..error.valid_up_to()).unwrap_or_default())
        }
        Err(_) => String::from_utf8_lossy(head),
    }
}

/// A type that a sender names, if it is one of those that files have: what entries have in common is counted, and so
/// is not to be of any number.
fn known(media_type: &str) -> &str {
    let extension = extension_of_media_type(&media_type.to_ascii_lowercase());
    media_type_of_extension(extension).unwrap_or(UNKNOWN)
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use slimspan_artifact::{Location, MOST_CLAIMS, Policy, extract};
    use slimspan_generators::wire::nested;
    use slimspan_generators::{Random, fake_file};

    use super::*;

    fn attribute(key: &str, value: &[u8]) -> Vec<u8> {
        [nested(&[1], key), nested(&[2], value)].concat()
    }

    fn event(name: &str, value: &[u8]) -> Vec<u8> {
        let attributes = nested(&[3], attribute("message", value));
        nested(&[11], [nested(&[2], name), attributes].concat())
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(text("é".repeat(200).as_bytes()), "é".repeat(127));
        assert_eq!(text(&[b'a'; 300]), "a".repeat(255));
        assert_eq!(text(b"a\xc3"), "a\u{fffd}");
    }

    /// It is told what its sender says of it, as far as that is something that files are.
    #[test]
    fn a_file_that_its_sender_stores_is_told() {
        let digest = Digest::of(b"a");
        let claim = |content_type: &str| {
            let text = format!(
                r#"{{"type":"logfire.artifact","sha256":"{digest}","content_type":"{content_type}","size_bytes":9,"filename":"{}"}}"#,
                "é".repeat(200)
            );
            attribute("chart", &nested(&[1], &text))
        };
        let types = ["IMAGE/PNG", "image/jpg", "x/anything", "text/html"];
        let span = types.map(|of| nested(&[9], claim(of))).concat();
        let request = Bytes::from(nested(&[1, 2, 2], span));
        let policy = Policy::new(8192, Location::Store("memory://x".to_owned()));
        let extraction = extract(Signal::Traces, &request, &policy).unwrap();
        let taken = Taken {
            signal: Signal::Traces,
            request: &request,
            tenant: &TenantId::default(),
            // In two forms it is one reference.
            extractions: &[extraction.clone(), extraction],
            most_claims: MOST_CLAIMS,
        };
        let entries = taken.entries(|_| State::Stored);
        let told: Vec<_> = entries.iter().map(|of| of.content_type.as_str()).collect();
        let expected = ["image/png", "image/jpeg", UNKNOWN, "text/html"];
        assert_eq!(told, expected);
        let ids: std::collections::BTreeSet<_> = entries.iter().map(|of| of.id).collect();
        assert_eq!(ids.len(), types.len());
        for (number, entry) in entries.iter().enumerate() {
            assert_eq!((entry.state, entry.digest), (State::Referred, Some(digest)));
            assert_eq!((entry.size, entry.shape.as_str()), (9, CLAIMED));
            assert_eq!(entry.file_name, Some("é".repeat(127)));
            assert_eq!(
                (entry.attribute.as_str(), entry.position as usize),
                ("chart", number)
            );
        }
    }

    /// Later a sender may say of the same file in the same place that it stores it itself.
    #[test]
    fn what_is_said_of_a_file_takes_no_place_of_what_was_taken_out() {
        let file = fake_file(&mut Random::new(1), 20_000);
        let digest = Digest::of(&file);
        let values = [
            format!("data:image/png;base64,{}", STANDARD.encode(&file)),
            format!(
                r#"{{"type":"logfire.artifact","sha256":"{digest}","content_type":"image/png","size_bytes":20000}}"#
            ),
        ];
        let ids = values.map(|value| {
            let span = nested(&[9], attribute("chart", &nested(&[1], &value)));
            let request = Bytes::from(nested(&[1, 2, 2], span));
            let policy = Policy::new(8192, Location::Store("memory://x".to_owned()));
            let extraction = extract(Signal::Traces, &request, &policy).unwrap();
            let taken = Taken {
                signal: Signal::Traces,
                request: &request,
                tenant: &TenantId::default(),
                extractions: &[extraction],
                most_claims: MOST_CLAIMS,
            };
            let [entry] = <[Entry; 1]>::try_from(taken.entries(|_| State::Stored)).unwrap();
            assert_eq!(entry.digest, Some(digest));
            entry.id
        });
        assert_ne!(ids[0], ids[1]);
    }

    /// Each is short, and its entry is not.
    #[test]
    fn of_very_many_that_a_sender_stores_the_first_are_told() {
        let claims = (0..2 * MOST_CLAIMS as u64).map(|number| {
            let digest = Digest::of(&number.to_le_bytes());
            let text = format!(
                r#"{{"type":"logfire.artifact","sha256":"{digest}","content_type":"image/png","size_bytes":{number}}}"#
            );
            nested(&[9], attribute("chart", &nested(&[1], &text)))
        });
        let span: Vec<u8> = claims.flatten().collect();
        let request = Bytes::from(nested(&[1, 2, 2], span));
        let policy = Policy::new(8192, Location::Store("memory://x".to_owned()));
        let extraction = extract(Signal::Traces, &request, &policy).unwrap();
        assert_eq!(extraction.request, request);
        let taken = Taken {
            signal: Signal::Traces,
            request: &request,
            tenant: &TenantId::default(),
            extractions: &[extraction],
            most_claims: usize::MAX,
        };
        let entries = taken.entries(|_| State::Stored);
        let sizes: Vec<u64> = entries.iter().map(|entry| entry.size).collect();
        assert_eq!(sizes, (0..MOST_CLAIMS as u64).collect::<Vec<_>>());
    }

    /// Each is told by its own path, also where it is the same file, and the event that has it by its number.
    #[test]
    fn files_in_one_attribute_are_told_apart() {
        let file = STANDARD.encode(fake_file(&mut Random::new(1), 20_000));
        let uri = format!("data:image/png;base64,{file}");
        let messages = format!(
            r#"[{{"parts":[{{"text":"see"}},{{"data":"{uri}"}}]}},{{"parts":[{{"data":"{uri}"}}]}}]"#
        );
        let list = nested(&[1], attribute("notes", &nested(&[1], &messages)));
        let elements = [
            nested(&[1], nested(&[1], "see")),
            nested(&[1], nested(&[6], list)),
        ];
        let span = [
            nested(&[9], attribute("chat", &nested(&[1], &messages))),
            event("choice", &nested(&[1], "nothing")),
            event("choice", &nested(&[5], elements.concat())),
            nested(&[9], attribute("file", &nested(&[1], &uri))),
        ];
        let request = Bytes::from(nested(&[1, 2, 2], span.concat()));
        let policy = Policy::new(8192, Location::Store("memory://x".to_owned()));
        let extraction = extract(Signal::Traces, &request, &policy).unwrap();
        let taken = Taken {
            signal: Signal::Traces,
            request: &request,
            tenant: &TenantId::default(),
            extractions: &[extraction],
            most_claims: MOST_CLAIMS,
        };
        let entries = taken.entries(|_| State::Stored);
        let told: Vec<_> = entries
            .iter()
            .map(|entry| {
                let event = entry.event_name.as_deref();
                let path = entry.path.as_deref();
                (entry.attribute.as_str(), entry.carrier_index, event, path)
            })
            .collect();
        let second = |path| ("message", Some(1), Some("choice"), Some(path));
        assert_eq!(
            told,
            [
                ("chat", None, None, Some("[0].parts[1].data")),
                ("chat", None, None, Some("[1].parts[0].data")),
                second("[1].notes[0].parts[1].data"),
                second("[1].notes[1].parts[0].data"),
                ("file", None, None, None),
            ]
        );
    }
}
