//! Bytes that JavaScript wrote as JSON numbers, twelve characters and more for each.

use std::io::Write as _;

use super::Codec;

/// How a Node.js buffer starts.
const NODE_BUFFER: &[u8] = br#"{"type":"Buffer","data":["#;

/// Bytes that were read from numbers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) bytes: Vec<u8>,
    pub(crate) codec: Codec,
    /// The characters that they took.
    pub(crate) len: usize,
}

impl Numbers {
    /// Reads the bytes at the start of `text`, where writing them again gives the very same text:
    /// whole numbers from 0 to 255, in order, without white space.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        let mut bytes = Vec::new();
        let codec = if text.starts_with(NODE_BUFFER) {
            reader.at = NODE_BUFFER.len();
            loop {
                bytes.push(reader.byte()?);
                if !reader.more(b"]}")? {
                    break Codec::NodeBuffer;
                }
            }
        } else {
            reader.accept(b"{")?;
            loop {
                reader.index(bytes.len())?;
                bytes.push(reader.byte()?);
                if !reader.more(b"}")? {
                    break Codec::IndexObject;
                }
            }
        };
        Some(Self {
            bytes,
            codec,
            len: reader.at,
        })
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn accept(&mut self, token: &[u8]) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        rest.starts_with(token).then(|| self.at += token.len())
    }

    /// A comma and so more of it, or the end.
    fn more(&mut self, end: &[u8]) -> Option<bool> {
        if self.accept(b",").is_some() {
            return Some(true);
        }
        self.accept(end).map(|()| false)
    }

    /// The name of the member `index`, and its colon.
    fn index(&mut self, index: usize) -> Option<()> {
        self.accept(b"\"")?;
        (self.number(9)? == index).then_some(())?;
        self.accept(b"\":")
    }

    fn byte(&mut self) -> Option<u8> {
        u8::try_from(self.number(3)?).ok()
    }

    /// A whole number of at most `max` digits, without leading zeros.
    fn number(&mut self, max: usize) -> Option<usize> {
        let digits = self.text.get(self.at..)?;
        let len = digits
            .iter()
            .take(max)
            .take_while(|digit| digit.is_ascii_digit())
            .count();
        let digits = digits.get(..len)?;
        if len == 0 || len > 1 && digits.starts_with(b"0") {
            return None;
        }
        self.at += len;
        let value = |sum: usize, digit: &u8| sum * 10 + usize::from(digit - b'0');
        Some(digits.iter().fold(0, value))
    }
}

/// `bytes` as `JSON.stringify` writes a `Uint8Array`.
pub(super) fn index_object(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 13 + 2);
    out.push(b'{');
    for (index, byte) in bytes.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to memory does not fail.
        let _ = write!(out, "{comma}\"{index}\":{byte}");
    }
    out.push(b'}');
    out
}

/// `bytes` as `JSON.stringify` writes a `Buffer`.
pub(super) fn node_buffer(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 4 + 32);
    out.extend_from_slice(NODE_BUFFER);
    for (index, byte) in bytes.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to memory does not fail.
        let _ = write!(out, "{comma}{byte}");
    }
    out.extend_from_slice(b"]}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1_001).collect();
        for codec in [Codec::IndexObject, Codec::NodeBuffer] {
            for len in [1, 9, 10, 11, 100, 101, 1_001] {
                let text = codec.encode(&bytes[..len]);
                let expected = Numbers {
                    bytes: bytes[..len].to_vec(),
                    codec,
                    len: text.len(),
                };
                let longer = [&text, &b",more"[..]].concat();
                assert_eq!(Numbers::read(&longer), Some(expected));
            }
        }
    }

    #[test]
    fn nothing_is_read_that_would_be_written_differently() {
        for text in [
            "",
            "{}",
            r#"{"0":}"#,
            r#"{"0":256}"#,
            r#"{"0":-1}"#,
            r#"{"0":01}"#,
            r#"{"0":1.5}"#,
            r#"{"0": 1}"#,
            r#"{"0":1 }"#,
            r#"{"0":1,}"#,
            r#"{"0":1,"2":1}"#,
            r#"{"0":1,"01":1}"#,
            r#"{"0":1,"1":"2"}"#,
            r#"{"0":1"#,
            r#"{"type":"Buffer","data":[]}"#,
            r#"{"type":"Buffer","data":[1,]}"#,
            r#"{"type":"Buffer","data":[1.5]}"#,
            r#"{"type":"Buffer","data":[1]"#,
            r#"{"type":"Buffer","data":[1],"x":1}"#,
        ] {
            assert_eq!(Numbers::read(text.as_bytes()), None, "{text}");
        }
    }
}
