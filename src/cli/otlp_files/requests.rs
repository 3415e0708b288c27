use std::io::{self, BufRead, Read};
use std::path::Path;

use anyhow::bail;
use bytes::Bytes;
use slimspan_proto::Signal;

use super::compression::{decompressed, peek};
use super::format::{BYTE_ORDER_MARK, HEAD};
use super::{Format, ReadOptions, Request, documents, frames, json, signal};

/// No protobuf is larger; what seems to be is no request, and not to be held in memory.
const LARGEST: usize = 2 << 30;

/// The requests of a file, one after the other; after an error there are no more.
pub(in crate::cli) struct Requests<'r> {
    format: Format,
    source: Source<'r>,
    /// What `--signal` says.
    signal: Option<Signal>,
    /// What the name of the file says.
    named: Option<Signal>,
}

type Reader<'r> = Box<dyn BufRead + 'r>;

enum Source<'r> {
    Documents(Reader<'r>),
    Frames(Reader<'r>),
    One(Reader<'r>),
    Ended,
}

impl<'r> Requests<'r> {
    /// The requests in `reader`, which came from a file at `path`.
    pub(in crate::cli) fn read(
        reader: impl Read + 'r,
        path: Option<&Path>,
        options: ReadOptions,
    ) -> anyhow::Result<Self> {
        let (head, mut reader) = peek(decompressed(reader)?, HEAD)?;
        let Some(format) = options.format.or_else(|| Format::detect(&head)) else {
            if head.is_empty() {
                // The request that holds nothing is an empty file in protobuf.
                return Ok(Self::new(Format::Protobuf, Source::Ended));
            }
            bail!(
                "the file begins neither like OTLP in protobuf nor like OTLP/JSON: name files that \
                 hold OTLP export requests, or say what it is with --format"
            );
        };
        if format == Format::Json && head.starts_with(BYTE_ORDER_MARK) {
            reader.consume(BYTE_ORDER_MARK.len());
        }
        let reader: Reader<'r> = Box::new(reader);
        let source = match format {
            Format::Json => Source::Documents(reader),
            Format::LengthPrefixed => Source::Frames(reader),
            Format::Protobuf => Source::One(reader),
        };
        Ok(Self {
            signal: options.signal,
            named: path.and_then(signal::of_name),
            ..Self::new(format, source)
        })
    }

    fn new(format: Format, source: Source<'r>) -> Self {
        Self {
            format,
            source,
            signal: None,
            named: None,
        }
    }

    /// How the requests stand in the file.
    pub(in crate::cli) fn format(&self) -> Format {
        self.format
    }

    /// Whether the file holds nothing at all. That is known before any request of it is read; of
    /// what is left behind those, it tells nothing.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        matches!(self.source, Source::Ended)
    }

    /// `request` as it stands in a file of this format.
    pub(in crate::cli) fn framed(&self, request: Bytes) -> io::Result<Bytes> {
        match self.format {
            Format::Json => Ok([&request[..], b"\n"].concat().into()),
            Format::Protobuf => Ok(request),
            Format::LengthPrefixed => frames::frame(&request),
        }
    }

    fn next_request(&mut self) -> anyhow::Result<Option<Request>> {
        let bytes = match &mut self.source {
            Source::Documents(reader) => documents::next(reader, LARGEST)?,
            Source::Frames(reader) => frames::next(reader, LARGEST)?,
            Source::One(reader) => {
                let mut request = Vec::new();
                reader.take(LARGEST as u64 + 1).read_to_end(&mut request)?;
                if request.len() > LARGEST {
                    bail!("it is larger than 2 GiB, which no request in protobuf can be");
                }
                self.source = Source::Ended;
                Some(request.into())
            }
            Source::Ended => None,
        };
        bytes.map(|bytes| self.request(bytes)).transpose()
    }

    fn request(&self, bytes: Bytes) -> anyhow::Result<Request> {
        // A frame may hold JSON too.
        if self.format != Format::Protobuf && Format::detect(&bytes) == Some(Format::Json) {
            let (signal, protobuf) = json::to_protobuf(&bytes)?;
            return Ok(Request {
                signal,
                protobuf,
                json: Some(bytes),
            });
        }
        Ok(Request {
            signal: self.signal_of(&bytes)?,
            protobuf: bytes,
            json: None,
        })
    }

    /// The fields of a request are better evidence than the name of its file: a file may hold
    /// requests of several signals.
    fn signal_of(&self, request: &[u8]) -> anyhow::Result<Signal> {
        if let Some(signal) = self.signal {
            return Ok(signal);
        }
        if self.named == Some(Signal::Profiles) {
            // No field of theirs is known, so that their name is all the evidence there is.
            return Ok(Signal::Profiles);
        }
        let possible = signal::possible(request);
        match (possible.as_slice(), self.named) {
            ([only], _) => Ok(*only),
            ([], _) => bail!("it is no OTLP export request in protobuf"),
            (_, Some(named)) if possible.contains(&named) => Ok(named),
            _ if request.is_empty() => Ok(Signal::Traces),
            _ => {
                let names: Vec<&str> = possible.iter().map(|signal| signal.name()).collect();
                bail!(
                    "it could be a request of {}: say which with --signal",
                    names.join(" or ")
                )
            }
        }
    }
}

impl Iterator for Requests<'_> {
    type Item = anyhow::Result<Request>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_request();
        if next.is_err() {
            self.source = Source::Ended;
        }
        next.transpose()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const TRACES: &[u8] = br#"{"resourceSpans":[]}"#;

    /// The signals of the requests in a file with this name.
    fn signals(bytes: &[u8], name: &str) -> anyhow::Result<Vec<Signal>> {
        let options = ReadOptions::default();
        let requests = Requests::read(bytes, Some(Path::new(name)), options)?;
        requests.map(|request| Ok(request?.signal)).collect()
    }

    #[test]
    fn a_file_may_be_empty_or_hold_empty_requests() {
        assert_eq!(signals(b"", "a").unwrap(), []);
        assert_eq!(signals(b"{}\n{}", "a").unwrap(), [Signal::Traces; 2]);
        let frames = [0; 8];
        assert_eq!(signals(&frames, "a.logs").unwrap(), [Signal::Logs; 2]);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        let text = [BYTE_ORDER_MARK, TRACES].concat();
        assert_eq!(signals(&text, "a").unwrap(), [Signal::Traces]);
    }

    #[test]
    fn empty_lines_may_stand_before_json() {
        let text = [b"\n\r\n", TRACES, b"\n\n", TRACES].concat();
        assert_eq!(signals(&text, "a").unwrap(), [Signal::Traces; 2]);
    }

    #[test]
    fn requests_in_json_name_their_signal_whatever_the_file_is_called() {
        let text = [TRACES, b"\n{\"resourceMetrics\":[]}"].concat();
        let expected = [Signal::Traces, Signal::Metrics];
        assert_eq!(signals(&text, "a.logs.json").unwrap(), expected);
    }

    #[test]
    fn there_is_nothing_after_an_error() {
        let text = [TRACES, b"{\"resourceSpans\":7}", TRACES].concat();
        let requests = Requests::read(text.as_slice(), None, ReadOptions::default()).unwrap();
        let outcomes: Vec<bool> = requests.map(|request| request.is_ok()).collect();
        assert_eq!(outcomes, [true, false]);
    }

    #[test]
    fn the_name_of_a_file_decides_only_what_its_requests_leave_open() {
        // A resource without records.
        let open = b"\x0a\x02\x0a\x00";
        assert_eq!(signals(open, "a.logs.pb").unwrap(), [Signal::Logs]);
        let error = signals(open, "a.pb").unwrap_err().to_string();
        assert!(error.contains("traces or metrics or logs"), "{error}");
        // A record with a time, as a log record has it.
        let log = b"\x0a\x0d\x12\x0b\x12\x09\x09\0\0\0\0\0\0\0\x01";
        assert_eq!(signals(log, "a.traces.pb").unwrap(), [Signal::Logs]);
    }
}
