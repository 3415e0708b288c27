//! The signal of a request in protobuf, which does not say it.

use std::path::Path;

use slimspan_proto::{Field, Fields, Signal, WireType};

/// The signal that the name of a file has as a word: `chat.traces.pb`, `logs-2025.proto.zst`.
pub(super) fn of_name(path: &Path) -> Option<Signal> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let mut named = Signal::ALL
        .into_iter()
        .filter(|signal| words.contains(&signal.name()));
    let signal = named.next()?;
    named.next().is_none().then_some(signal)
}

/// The signals that `request` can be a request of: those whose records have fields of these
/// types. All that are read, where it holds no record.
pub(super) fn possible(request: &[u8]) -> Vec<Signal> {
    let mut signals = Signal::READ.to_vec();
    // Record by record, because the first one may hold too little to tell.
    for resource in messages(request, 0..request.len(), 1) {
        for scope in messages(request, resource, 2) {
            for record in messages(request, scope, 2) {
                signals.retain(|signal| is_record(*signal, request, record.clone()));
                if signals.len() <= 1 {
                    return signals;
                }
            }
        }
    }
    signals
}

type Range = std::ops::Range<usize>;

/// The messages in the fields `number` of a message.
fn messages(request: &[u8], message: Range, number: u32) -> impl Iterator<Item = Range> {
    Fields::new(request, message)
        .flatten()
        .filter(move |field| field.number == number && field.wire_type == WireType::Len)
        .map(|field| field.body)
}

/// Whether a message can be a span, log record or metric. What a schema does not know yet says
/// nothing.
fn is_record(signal: Signal, request: &[u8], record: Range) -> bool {
    let mut fields = Vec::new();
    for field in Fields::new(request, record) {
        let Ok(field) = field else { return false };
        if expected(signal, field.number).is_some_and(|wire_type| wire_type != field.wire_type) {
            return false;
        }
        fields.push(field);
    }
    let is_long = |number, len| {
        let field = fields.iter().find(|field| field.number == number);
        field.is_some_and(|field| field.body.len() == len)
    };
    match signal {
        // Its ids are required. This is what tells a span from a metric without numbers.
        Signal::Traces => is_long(1, 16) && is_long(2, 8),
        Signal::Metrics => {
            let mut names = fields.iter().filter(|field| field.number == 1);
            names.any(|name| is_text(request, name))
        }
        Signal::Logs => true,
        // No field of them is known.
        Signal::Profiles => false,
    }
}

fn is_text(request: &[u8], field: &Field) -> bool {
    let body = request.get(field.body.clone()).unwrap_or_default();
    !body.is_empty() && std::str::from_utf8(body).is_ok_and(|text| !text.contains('\0'))
}

/// The wire type of a field of `Span`, `LogRecord` or `Metric`; of a metric, also of the numbers
/// that are reserved.
fn expected(signal: Signal, number: u32) -> Option<WireType> {
    Some(match (signal, number) {
        (Signal::Traces, 7 | 8) | (Signal::Logs, 1 | 11) => WireType::Fixed64,
        (Signal::Traces, 16) | (Signal::Logs, 8) => WireType::Fixed32,
        (Signal::Traces, 6 | 10 | 12 | 14) | (Signal::Logs, 2 | 7) => WireType::Varint,
        (Signal::Traces, 1..=15)
        | (Signal::Logs, 3 | 5 | 6 | 9 | 10 | 12)
        | (Signal::Metrics, 1..=12) => WireType::Len,
        _ => return None,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_signal_where_it_names_one() {
        for (name, signal) in [
            ("chat.traces.pb", Some(Signal::Traces)),
            ("a/b/LOGS-2025-01-01.proto.zst", Some(Signal::Logs)),
            ("metrics", Some(Signal::Metrics)),
            ("traces/request.pb", None),
            ("traces-and-logs.pb", None),
            ("catalogs.pb", None),
            ("", None),
        ] {
            assert_eq!(of_name(Path::new(name)), signal, "{name}");
        }
    }

    #[test]
    fn captured_requests_tell_their_signal() {
        let captures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures");
        let mut count = 0;
        for entry in std::fs::read_dir(captures).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "pb") {
                let request = std::fs::read(&path).unwrap();
                assert_eq!(
                    possible(&request),
                    [of_name(&path).unwrap()],
                    "{}",
                    path.display()
                );
                count += 1;
            }
        }
        assert!(count > 30, "the captures are where they are expected");
    }

    /// A request with one record.
    fn request(record: &[u8]) -> Vec<u8> {
        let nest = |number: u8, message: &[u8]| {
            let len = u8::try_from(message.len()).unwrap();
            [&[number << 3 | 2, len], message].concat()
        };
        nest(1, &nest(2, &nest(2, record)))
    }

    #[test]
    fn generated_requests_tell_their_signal() {
        use opentelemetry_proto::tonic::logs::v1::LogRecord;
        use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, metric};
        use opentelemetry_proto::tonic::trace::v1::Span;
        use prost::Message as _;

        let span = Span {
            trace_id: vec![b'a'; 16],
            span_id: vec![b'b'; 8],
            name: "sixteen letters.".to_owned(),
            ..Span::default()
        };
        // Without a time, a span with printable ids is a metric as well.
        let metrics_too = possible(&request(&span.encode_to_vec()));
        assert_eq!(metrics_too, [Signal::Traces, Signal::Metrics]);
        let span = Span {
            end_time_unix_nano: 1,
            ..span
        };
        assert_eq!(possible(&request(&span.encode_to_vec())), [Signal::Traces]);
        let metric = Metric {
            name: "queue.size".to_owned(),
            data: Some(metric::Data::Gauge(Gauge::default())),
            ..Metric::default()
        };
        assert_eq!(
            possible(&request(&metric.encode_to_vec())),
            [Signal::Metrics]
        );
        let log = LogRecord {
            time_unix_nano: 1,
            ..LogRecord::default()
        };
        assert_eq!(possible(&request(&log.encode_to_vec())), [Signal::Logs]);
    }

    #[test]
    fn no_record_tells_nothing_and_garbage_is_no_record() {
        assert_eq!(possible(b""), Signal::READ);
        assert_eq!(possible(b"\x0a\x00"), Signal::READ);
        assert_eq!(possible(&request(b"\xff\xff")), []);
    }
}
