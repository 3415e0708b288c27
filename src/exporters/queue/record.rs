//! A request as it stands on disk: the message `slimspan.artifact.v1.QueuedRequest`.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use slimspan_proto::{Fields, Signal, WireType, varint, varint_width, write_varint};

use super::partition::Sender;
use crate::client::Client;
use crate::exporters::departure::Notice;

/// What stands in front of the request, which is not copied to be written.
pub(super) fn beginning(
    signal: Signal,
    items: usize,
    sender: &Sender,
    notices: &[Notice],
    len: usize,
) -> Bytes {
    let (items, len) = (items as u64, len as u64);
    let mut beginning = vec![1 << 3, number(signal), 2 << 3];
    write_varint(&mut beginning, items, varint_width(items));
    for (name, value) in sender.client.all_metadata() {
        let mut metadata = Vec::new();
        bytes_to(&mut metadata, 1, name.as_str().as_bytes());
        bytes_to(&mut metadata, 2, value.as_bytes());
        bytes_to(&mut beginning, 4, &metadata);
    }
    for tenant in &sender.tenants {
        bytes_to(&mut beginning, 6, tenant.as_bytes());
    }
    if sender.alone {
        beginning.extend([7 << 3, 1]);
    }
    // These can be long, and who only looks for the sender need not read them.
    for Notice { to, what } in notices {
        let mut notice = Vec::with_capacity(to.len() + what.len() + 16);
        bytes_to(&mut notice, 1, to.as_bytes());
        bytes_to(&mut notice, 2, what);
        bytes_to(&mut beginning, 5, &notice);
    }
    beginning.push(REQUEST);
    write_varint(&mut beginning, len, varint_width(len));
    beginning.into()
}

/// Signal and number of items are within the first so many bytes.
pub(super) const BEGINNING: usize = 24;

/// What each notice begins with. They stand behind all that is known of the sender.
const NOTICE: u8 = 5 << 3 | 2;

/// What the request begins with, which stands last.
const REQUEST: u8 = 3 << 3 | 2;

fn bytes_to(to: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    to.push(field << 3 | 2);
    let len = bytes.len() as u64;
    write_varint(to, len, varint_width(len));
    to.extend_from_slice(bytes);
}

/// The signal and the number of items in a record of which at least the beginning is there.
pub(super) fn read_beginning(record: &[u8]) -> Option<(Signal, usize)> {
    let (mut signal, mut items) = (None, None);
    for field in Fields::new(record, 0..record.len()) {
        // The request is cut, where this is only the beginning.
        let Ok(field) = field else { break };
        if field.wire_type != WireType::Varint {
            continue;
        }
        let (value, _) = varint(record, field.body.start, field.body.end).ok()?;
        match field.number {
            1 => {
                let mut signals = Signal::ALL.into_iter();
                signal = signals.find(|signal| u64::from(number(*signal)) == value);
            }
            2 => items = usize::try_from(value).ok(),
            _ => {}
        }
    }
    Some((signal?, items?))
}

/// The request in a record; `None` where it is none.
pub(super) fn request(record: &Bytes) -> Option<Bytes> {
    let mut request = None;
    for field in Fields::new(record, 0..record.len()) {
        let field = field.ok()?;
        if field.number == 3 && field.wire_type == WireType::Len {
            request = Some(record.slice(field.body));
        }
    }
    request
}

/// What is known of the sender of a request in a record of which all in front of the request is there, or of
/// what is to be told; `None` where it is not, or the record is none.
pub(super) fn sender(record: &[u8]) -> Option<Sender> {
    let (mut metadata, mut tenants, mut alone) = (HeaderMap::new(), Vec::new(), false);
    let (mut end, mut is_all) = (0, false);
    for field in Fields::new(record, 0..record.len()) {
        let Ok(field) = field else {
            // Only what stands behind may be cut.
            is_all |= matches!(record.get(end), Some(&(REQUEST | NOTICE)));
            break;
        };
        end = field.body.end;
        match (field.number, field.wire_type) {
            (3 | 5, WireType::Len) => is_all = true,
            (4, WireType::Len) => {
                let (name, value) = header(record, field.body)?;
                metadata.append(name, value);
            }
            (6, WireType::Len) => {
                let tenant = record.get(field.body)?;
                tenants.push(String::from_utf8_lossy(tenant).into_owned());
            }
            (7, WireType::Varint) => alone = true,
            _ => {}
        }
    }
    is_all.then(|| Sender {
        client: Client::unknown().with_metadata(metadata),
        tenants,
        alone,
    })
}

fn header(record: &[u8], range: Range<usize>) -> Option<(HeaderName, HeaderValue)> {
    let (mut name, mut value) = (None, None);
    for part in Fields::new(record, range) {
        let part = part.ok()?;
        let bytes = record.get(part.body)?;
        match part.number {
            1 => name = HeaderName::from_bytes(bytes).ok(),
            2 => value = HeaderValue::from_bytes(bytes).ok(),
            _ => {}
        }
    }
    Some((name?, value?))
}

/// What is to be told of the request in a record; `None` where the record is none.
pub(super) fn notices(record: &Bytes) -> Option<Vec<Notice>> {
    let mut notices = Vec::new();
    for field in Fields::new(record, 0..record.len()) {
        let field = field.ok()?;
        if field.number != 5 || field.wire_type != WireType::Len {
            continue;
        }
        let mut notice = Notice {
            to: String::new(),
            what: Bytes::new(),
        };
        for part in Fields::new(record, field.body) {
            let part = part.ok()?;
            let bytes = record.get(part.body)?;
            match part.number {
                1 => notice.to = String::from_utf8(bytes.to_vec()).ok()?,
                // Not as a part of the record, whose memory the request has.
                2 => notice.what = Bytes::copy_from_slice(bytes),
                _ => {}
            }
        }
        notices.push(notice);
    }
    Some(notices)
}

fn number(signal: Signal) -> u8 {
    match signal {
        Signal::Traces => 1,
        Signal::Logs => 2,
        Signal::Metrics => 3,
        Signal::Profiles => 4,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was() {
        let mut metadata = HeaderMap::new();
        metadata.append("x-tenant", HeaderValue::from_static("a"));
        metadata.append("x-tenant", HeaderValue::from_static(""));
        metadata.append("x-long", HeaderValue::from_str(&"l".repeat(300)).unwrap());
        let known = Sender {
            client: Client::unknown().with_metadata(metadata),
            tenants: vec!["acme".to_owned(), "b".to_owned()],
            alone: true,
        };
        let senders = [Sender::default(), known];
        let told = [("s3://media/x", 0), ("/srv/files", 70_000)];
        let told = told.map(|(to, len)| Notice {
            to: to.to_owned(),
            what: Bytes::from(vec![b'n'; len]),
        });
        for (number, signal) in Signal::ALL.into_iter().enumerate() {
            let known = &senders[number % 2];
            let told = &told[..number % 3];
            let of_sender = beginning(signal, 0, known, &[], 0).len();
            for (items, len) in [(0, 0), (1, 127), (300, 128), (usize::MAX, 70_000)] {
                let sent = Bytes::from(vec![7; len]);
                let beginning = beginning(signal, items, known, told, len);
                let record = Bytes::from([beginning.clone(), sent.clone()].concat());
                assert_eq!(request(&record), Some(sent));
                assert_eq!(notices(&record).unwrap(), told);
                // All in front of the request is enough, or of what is to be told.
                let cuts = [beginning.len() + 1, of_sender + 12];
                let cuts = cuts.map(|cut| cut.min(record.len()));
                for record in [&record[..], &record[..cuts[0]], &record[..cuts[1]]] {
                    let found = sender(record).unwrap();
                    assert!(found.client.all_metadata().eq(known.client.all_metadata()));
                    let (of_found, of_known) = (&found.tenants, &known.tenants);
                    assert_eq!((of_found, found.alone), (of_known, known.alone));
                }
                assert!(sender(&record[..3]).is_none());
                let start = &record[..record.len().min(BEGINNING)];
                assert_eq!(read_beginning(start), Some((signal, items)));
                assert_eq!(request(&record.slice(..record.len() - 1)), None);
            }
        }
        assert_eq!(read_beginning(b"\x08\x09\x10\x00"), None);
        assert_eq!(request(&Bytes::from_static(b"\x08\x01\x10\x00")), None);
    }
}
