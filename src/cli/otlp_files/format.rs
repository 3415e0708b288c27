use clap::ValueEnum;

/// How requests stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// OTLP/JSON: one document, or one a line, as the Collector's file exporter writes them
    Json,
    /// One request in protobuf
    Protobuf,
    /// Many requests, each after its length in 4 bytes (big-endian), as the Collector's file
    /// exporter writes them with `format: proto` or with a compression
    LengthPrefixed,
}

/// The tag of field 1 with a length: what every request that is not empty begins with, but for one of
/// profiles, where the dictionary in field 2 may stand first.
const REQUEST_TAG: u8 = 0x0a;
const DICTIONARY_TAG: u8 = 0x12;

impl Format {
    /// What a file is that begins with `head`, of which no more than [`HEAD`] bytes matter.
    ///
    /// 0x0a begins a request in protobuf, and is a line feed too. Less than 0x0a is the first byte of
    /// a length below 160 MiB, and no field of a request; but 0x09, where that is 144 MiB or more, is
    /// a tab too. Behind those two, JSON has to show its first name.
    pub(super) fn detect(head: &[u8]) -> Option<Self> {
        let head = head.get(..HEAD).unwrap_or(head);
        let text = head.strip_prefix(BYTE_ORDER_MARK);
        let is_marked = text.is_some();
        let text = text.unwrap_or(head);
        match text.first() {
            Some(b'{' | b' ' | b'\r') => Some(Self::Json),
            Some(b'\n' | b'\t') if is_marked || begins_json(text) => Some(Self::Json),
            Some(&(REQUEST_TAG | DICTIONARY_TAG)) => Some(Self::Protobuf),
            Some(0..REQUEST_TAG) => Some(Self::LengthPrefixed),
            _ => None,
        }
    }

    /// Whether it is text, which a terminal can show.
    pub(in crate::cli) fn is_text(self) -> bool {
        self == Self::Json
    }
}

/// What some editors put before a text in UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// How many bytes [`Format::detect`] has to see: as many as empty lines may stand in front.
pub(super) const HEAD: usize = 256;

/// Whether an object begins behind white space, with a name or empty. No request in protobuf reads
/// like that.
fn begins_json(text: &[u8]) -> bool {
    let Some(object) = text.trim_ascii_start().strip_prefix(b"{") else {
        return false;
    };
    let object = object.trim_ascii_start();
    let Some(name) = object.strip_prefix(b"\"") else {
        return object.strip_prefix(b"}").is_some_and(|rest| {
            let rest = rest.trim_ascii_start();
            rest.is_empty() || rest.starts_with(b"{")
        });
    };
    let len = name
        .iter()
        .take_while(|c| c.is_ascii_alphanumeric())
        .count();
    let rest = name.get(len..).and_then(|rest| rest.strip_prefix(b"\""));
    len > 3 && rest.is_some_and(|rest| rest.trim_ascii_start().starts_with(b":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_format() {
        for (head, format) in [
            (&b"{\"resourceSpans\""[..], Some(Format::Json)),
            (b"  {", Some(Format::Json)),
            (b"\xef\xbb\xbf{", Some(Format::Json)),
            (b"\n{\"resourceSpans\":[]}", Some(Format::Json)),
            (b"\r\n\n{ \"resourceSpans\" : [", Some(Format::Json)),
            (b"\n\n {\n\t\"resourceLogs\": [", Some(Format::Json)),
            (b"\n{}\n", Some(Format::Json)),
            (b"\xef\xbb\xbf\n{", Some(Format::Json)),
            (b"\x0a\x7b\x0a\x05", Some(Format::Protobuf)),
            (b"\x0a\x7b\x22\x05value", Some(Format::Protobuf)),
            (
                b"\x0a\x0a\x0a\x08\x0a\x06\x0a\x01a\x12\x01",
                Some(Format::Protobuf),
            ),
            (b"\x0a\x00", Some(Format::Protobuf)),
            (b"\x12\x02\x0a\x00", Some(Format::Protobuf)),
            (b"\x00\x00\x01\x00\x0a", Some(Format::LengthPrefixed)),
            (b"\x03\xff\xff\xff", Some(Format::LengthPrefixed)),
            (b"\x09\x00\x00\x01\x0a", Some(Format::LengthPrefixed)),
            (b"\x09{\"r\x0a", Some(Format::LengthPrefixed)),
            (b"\t{\"resourceSpans\":[]}", Some(Format::Json)),
            (b"\t\t{\n}\n", Some(Format::Json)),
            (b"\xef\xbb\xbf\t{", Some(Format::Json)),
            (b"[", None),
            (b"resourceSpans:", None),
            (b"\x89PNG", None),
            (b"", None),
        ] {
            assert_eq!(Format::detect(head), format, "{}", head.escape_ascii());
        }
    }
}
