//! JSON objects after each other, on a line each or not.

use std::io::{self, BufRead};

use bytes::Bytes;
use memchr::{memchr2, memchr3};

/// The next object of `reader`, as long as it is not larger than `limit`; `None` at the end.
///
/// Only where it ends is looked for: whether it is JSON inside is for who reads it.
pub(super) fn next(reader: &mut impl BufRead, limit: usize) -> io::Result<Option<Bytes>> {
    match next_symbol(reader)? {
        None => return Ok(None),
        Some(b'{') => {}
        Some(other) => {
            let found = other.escape_ascii();
            let message = format!("expected {{, which begins a request in JSON, found {found}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
    }
    let mut document = Vec::new();
    let mut scanner = Scanner::default();
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            let message = "the file ends in the middle of a request";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        let end = scanner.end_in(chunk);
        let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
        if part.len() > limit - document.len() {
            let message = format!("a request is larger than {limit} bytes, or its }} is missing");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        document.extend_from_slice(part);
        let taken = part.len();
        reader.consume(taken);
        if end.is_some() {
            return Ok(Some(document.into()));
        }
    }
}

/// The first byte that is not white space, which is skipped.
fn next_symbol(reader: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(None);
        }
        let space = chunk.iter().take_while(|byte| byte.is_ascii_whitespace());
        let space = space.count();
        let symbol = chunk.get(space).copied();
        reader.consume(space);
        if symbol.is_some() {
            return Ok(symbol);
        }
    }
}

/// Finds the brace that closes the first one, over any number of chunks.
#[derive(Debug, Default)]
struct Scanner {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scanner {
    /// Where in `chunk` the object ends, if it does.
    fn end_in(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        if std::mem::take(&mut self.escaped) {
            at = 1;
        }
        loop {
            let rest = chunk.get(at..)?;
            let found = if self.in_string {
                memchr2(b'"', b'\\', rest)?
            } else {
                memchr3(b'"', b'{', b'}', rest)?
            };
            at += found + 1;
            match rest.get(found)? {
                b'"' => self.in_string = !self.in_string,
                b'{' => self.depth += 1,
                b'}' => self.depth -= 1,
                // What comes after a backslash ends no string.
                _ if at == chunk.len() => self.escaped = true,
                _ => at += 1,
            }
            if self.depth == 0 {
                return Some(at);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::BufReader;

    use super::*;

    const DOCUMENTS: [&str; 4] = [
        r#"{"a":"}\"{\\","b":[{},{"c":"\\\""}]}"#,
        "{\n  \"a\": \"größe\"\n}",
        "{}",
        r#"{"a":"\u007d"}"#,
    ];

    /// All of `text`, read in chunks of this size.
    fn read(text: &str, chunk: usize) -> io::Result<Vec<Bytes>> {
        let mut reader = BufReader::with_capacity(chunk, text.as_bytes());
        let mut documents = Vec::new();
        while let Some(document) = next(&mut reader, 100)? {
            documents.push(document);
        }
        Ok(documents)
    }

    #[test]
    fn documents_end_where_their_first_brace_is_closed() {
        for separator in ["\n", "", "\r\n\r\n \t"] {
            let text = DOCUMENTS.join(separator) + separator;
            for chunk in 1..text.len() {
                assert_eq!(read(&text, chunk).unwrap(), DOCUMENTS, "{chunk}");
            }
        }
        assert_eq!(read(" \n", 10).unwrap(), [] as [Bytes; 0]);
    }

    #[test]
    fn what_is_no_document_says_why() {
        let long = format!("{{\"a\":\"{}\"}}", "a".repeat(100));
        for (text, reason) in [
            ("{}[{}]", "found ["),
            ("{} x", "found x"),
            ("{\"a\":\"}", "ends in the middle"),
            ("{\"a\":\"\\", "ends in the middle"),
            (long.as_str(), "larger than 100 bytes"),
        ] {
            for chunk in [1, 1000] {
                let error = read(text, chunk).unwrap_err().to_string();
                assert!(error.contains(reason), "{text}: {error}");
            }
        }
    }
}
