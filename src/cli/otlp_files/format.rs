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

/// The tag of field 1 with a length: what every request that is not empty begins with.
const REQUEST_TAG: u8 = 0x0a;

impl Format {
    /// What a file is that begins with `head`.
    ///
    /// 0x0a begins a request in protobuf, and is a line feed too: a file of JSON that begins with
    /// an empty line is taken for protobuf. Less than 0x0a is the first byte of a length below
    /// 160 MiB, and no field of a request.
    pub(super) fn detect(head: &[u8]) -> Option<Self> {
        let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
        match head.first() {
            Some(b'{' | b' ' | b'\t' | b'\r') => Some(Self::Json),
            Some(&REQUEST_TAG) => Some(Self::Protobuf),
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

/// How many bytes [`Format::detect`] has to see.
pub(super) const HEAD: usize = BYTE_ORDER_MARK.len() + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_format() {
        for (head, format) in [
            (&b"{\"resourceSpans\""[..], Some(Format::Json)),
            (b"  {", Some(Format::Json)),
            (b"\xef\xbb\xbf{", Some(Format::Json)),
            (b"\x0a\x7b\x0a\x05", Some(Format::Protobuf)),
            (b"\x00\x00\x01\x00\x0a", Some(Format::LengthPrefixed)),
            (b"\x03\xff\xff\xff", Some(Format::LengthPrefixed)),
            (b"[", None),
            (b"resourceSpans:", None),
            (b"\x89PNG", None),
            (b"", None),
        ] {
            assert_eq!(Format::detect(head), format, "{}", head.escape_ascii());
        }
    }
}
