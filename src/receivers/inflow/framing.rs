//! Where requests of HTTP/1 begin and end.
//!
//! Its own implementation finds that out, too, and tells nobody. What is seen here agrees with it about
//! everything that it accepts; about what it refuses, nothing need be known.

/// Longer values of the headers that matter are none.
const VALUE: usize = 64;

const LENGTH: &[u8] = b"content-length";
const CODING: &[u8] = b"transfer-encoding";

/// The way through the requests of one connection.
#[derive(Debug, Clone)]
pub(super) struct Framing {
    at: At,
    /// Heads that have become whole.
    heads: u64,
}

/// What comes next.
#[derive(Debug, Clone)]
enum At {
    Head(Head),
    /// So many bytes of a body.
    Body(u64),
    Chunks(Chunk),
    /// A head that says in two ways where its request ends, and that was broken for it: whoever reads it
    /// refuses it, and ends.
    Broken,
    /// Something that nobody accepts.
    Lost,
}

/// The head of a request, as far as it has come.
#[derive(Debug, Clone, Default)]
struct Head {
    has_begun: bool,
    /// Behind the line of the request.
    in_headers: bool,
    /// The line so far, up to where it can matter no more.
    line: Vec<u8>,
    /// Whether the line has nothing but its end.
    is_blank: bool,
    header: Header,
    length: Option<Length>,
    coding: Option<bool>,
}

/// What a line of the head is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Header {
    /// Its name is still coming.
    #[default]
    Name,
    Length,
    Coding,
    Other,
}

/// The length that a head announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Of(u64),
    Odd,
}

/// A body in chunks, as far as it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// The size of the next one: so far, and whether there is a digit.
    Size(u64, bool),
    /// What stands behind the size.
    Extension(u64),
    /// The end of that line.
    SizeEnd(u64),
    /// Bytes that are left of it.
    Data(u64),
    DataCr,
    DataLf,
    /// The beginning of a line behind the last chunk.
    Trailers,
    Trailer,
    TrailerLf,
    LastLf,
}

/// Nobody knows where the next request begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost;

impl Framing {
    pub(super) fn new() -> Self {
        Self {
            at: At::Head(Head::default()),
            heads: 0,
        }
    }

    /// How many heads have become whole.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether a head has begun and is not whole.
    pub(super) fn is_in_head(&self) -> bool {
        match &self.at {
            At::Head(head) => head.has_begun,
            At::Broken => true,
            _ => false,
        }
    }

    /// More bytes have come. A request that says in two ways where it ends is made one that nobody
    /// accepts: whoever stands in front of slimspan may have seen the other end, and what follows would be
    /// a request that it never saw. Returns how many bytes may be read: behind what nobody accepts, none.
    pub(super) fn add(&mut self, bytes: &mut [u8]) -> Result<usize, Lost> {
        if matches!(self.at, At::Lost) && !bytes.is_empty() {
            return Err(Lost);
        }
        let all = bytes.len();
        let mut rest = bytes;
        while !rest.is_empty() {
            let passed = match &mut self.at {
                At::Lost => return Ok(all - rest.len()),
                At::Broken => return Ok(all),
                At::Head(head) => {
                    let [byte, ..] = rest else { break };
                    match head.add(*byte) {
                        Next::More => {}
                        Next::Ambiguous => {
                            // No name of a header has it, so that the request ends here with 400.
                            *byte = 0;
                            self.at = At::Broken;
                        }
                        Next::End => {
                            self.heads += 1;
                            self.at = head.body();
                        }
                    }
                    1
                }
                At::Body(left) => {
                    let passed = (*left).min(rest.len() as u64);
                    *left -= passed;
                    if *left == 0 {
                        self.at = At::Head(Head::default());
                    }
                    usize::try_from(passed).unwrap_or(rest.len())
                }
                At::Chunks(Chunk::Data(left)) => {
                    let passed = (*left).min(rest.len() as u64);
                    *left -= passed;
                    if *left == 0 {
                        self.at = At::Chunks(Chunk::DataCr);
                    }
                    usize::try_from(passed).unwrap_or(rest.len())
                }
                At::Chunks(chunk) => {
                    let [byte, ..] = rest else { break };
                    self.at = chunk.after(*byte);
                    1
                }
            };
            rest = rest.get_mut(passed..).unwrap_or_default();
        }
        Ok(all)
    }
}

enum Next {
    More,
    End,
    Ambiguous,
}

impl Head {
    fn add(&mut self, byte: u8) -> Next {
        if !self.has_begun {
            // Empty lines before a request are passed over.
            if matches!(byte, b'\r' | b'\n') {
                return Next::More;
            }
            self.has_begun = true;
        }
        if byte == b'\n' {
            return self.end_of_line();
        }
        if !self.in_headers {
            return Next::More;
        }
        if self.header == Header::Name && byte == b':' {
            self.header = self.named();
            self.line.clear();
            self.is_blank = false;
            let has_both = match self.header {
                Header::Length => self.coding.is_some(),
                Header::Coding => self.length.is_some(),
                _ => false,
            };
            return if has_both {
                Next::Ambiguous
            } else {
                Next::More
            };
        }
        if byte != b'\r' {
            self.is_blank = false;
        }
        if self.header != Header::Other && self.line.len() <= VALUE {
            self.line.push(byte);
        }
        Next::More
    }

    fn named(&self) -> Header {
        if self.line.eq_ignore_ascii_case(LENGTH) {
            Header::Length
        } else if self.line.eq_ignore_ascii_case(CODING) {
            Header::Coding
        } else {
            Header::Other
        }
    }

    fn end_of_line(&mut self) -> Next {
        if self.in_headers && self.is_blank {
            return Next::End;
        }
        let value = self.line.trim_ascii();
        let is_whole = self.line.len() <= VALUE;
        match self.header {
            Header::Length => {
                let length = match length(value) {
                    Some(length) if is_whole => Length::Of(length),
                    _ => Length::Odd,
                };
                let is_same = self.length.is_none_or(|before| before == length);
                self.length = Some(if is_same { length } else { Length::Odd });
            }
            Header::Coding => {
                let last = value.rsplit(|byte| *byte == b',').next();
                let last = last.map(<[u8]>::trim_ascii);
                let is_chunked = last.is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
                self.coding = Some(is_whole && is_chunked);
            }
            Header::Name | Header::Other => {}
        }
        self.in_headers = true;
        self.line.clear();
        self.is_blank = true;
        self.header = Header::Name;
        Next::More
    }

    /// What follows it.
    fn body(&self) -> At {
        match (self.coding, self.length) {
            (Some(true), None) => At::Chunks(Chunk::Size(0, false)),
            (None, None | Some(Length::Of(0))) => At::Head(Self::default()),
            (None, Some(Length::Of(length))) => At::Body(length),
            _ => At::Lost,
        }
    }
}

/// Digits, or the same ones several times with commas between them.
fn length(value: &[u8]) -> Option<u64> {
    let mut found = None;
    for part in value.split(|byte| *byte == b',') {
        let part = part.trim_ascii();
        if part.is_empty() || !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let length: u64 = std::str::from_utf8(part).ok()?.parse().ok()?;
        if found.is_some_and(|found| found != length) {
            return None;
        }
        found = Some(length);
    }
    found
}

impl Chunk {
    fn after(self, byte: u8) -> At {
        At::Chunks(match (self, byte) {
            (Self::Size(size, _), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                let size = size
                    .checked_mul(16)
                    .and_then(|size| size.checked_add(digit));
                match size {
                    Some(size) => Self::Size(size, true),
                    None => return At::Lost,
                }
            }
            (Self::Size(size, true) | Self::Extension(size), b'\r') => Self::SizeEnd(size),
            (Self::Size(size, true), b'\t' | b' ' | b';') => Self::Extension(size),
            (Self::Extension(size), byte) if byte != b'\n' => Self::Extension(size),
            (Self::SizeEnd(0) | Self::TrailerLf, b'\n') => Self::Trailers,
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size(0, false),
            (Self::Trailers, b'\r') => Self::LastLf,
            (Self::Trailer, b'\r') => Self::TrailerLf,
            (Self::Trailers | Self::Trailer, _) => Self::Trailer,
            (Self::LastLf, b'\n') => return At::Head(Head::default()),
            _ => return At::Lost,
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const REQUESTS: &[&str] = &[
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nhost: x\n\n",
        "\r\n\r\nPOST /x HTTP/1.1\r\nContent-Length: 5\r\nx: y\r\n\r\nhello",
        "POST /x HTTP/1.1\r\ncontent-length:  0 \r\n\r\n",
        "POST /x HTTP/1.1\r\ncontent-length: 2, 2\r\ncontent-length: 2\r\n\r\n\r\n",
        "POST /x HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n\
         5\r\nhello\r\n1f;a=\"b\"\r\n0123456789\r\n\r\n\r\n123456789012345\r\n0 \r\n\r\n",
        "POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
         0\r\na: b\r\nc\n: d\n\r\n\r\n",
        "POST /x HTTP/1.1\r\nx-content-length: 5\r\ncontent-lengths: 7\r\n\r\n",
    ];

    fn after(bytes: &[u8], size: usize) -> (Framing, Vec<u8>, bool) {
        let (mut framing, mut seen) = (Framing::new(), Vec::new());
        for part in bytes.chunks(size) {
            let mut part = part.to_vec();
            let Ok(passed) = framing.add(&mut part) else {
                return (framing, seen, true);
            };
            seen.extend(&part[..passed]);
        }
        (framing, seen, false)
    }

    #[test]
    fn requests_end_where_they_end_wherever_they_are_cut() {
        for size in 1..90 {
            let all = REQUESTS.concat();
            let (framing, seen, _) = after(all.as_bytes(), size);
            assert_eq!(framing.heads(), REQUESTS.len() as u64, "{size}");
            assert!(!framing.is_in_head(), "{size}: {framing:?}");
            assert_eq!(seen, all.as_bytes());
        }
        for request in REQUESTS {
            let begun = request.trim_start().find("HTTP").unwrap();
            let (framing, ..) = after(&request.as_bytes()[..begun], 3);
            assert!(framing.is_in_head() && framing.heads() == 0, "{request}");
        }
    }

    /// What a request that says its end twice becomes is refused by whoever reads it.
    #[test]
    fn a_request_with_a_length_and_chunks_is_broken() {
        for headers in [
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nx: y\r\nCONTENT-LENGTH: 0\r\n",
            "transfer-encoding: identity\r\ncontent-length: 5\r\n",
        ] {
            let request = format!("POST /x HTTP/1.1\r\n{headers}\r\n0\r\n\r\n");
            for size in 1..90 {
                let first = "GET / HTTP/1.1\r\n\r\n";
                let (framing, seen, _) = after([first, &request].concat().as_bytes(), size);
                assert_eq!(framing.heads(), 1, "{headers}");
                assert!(framing.is_in_head(), "{framing:?}");
                let broken: Vec<_> = seen.iter().filter(|byte| **byte == 0).collect();
                assert_eq!(broken.len(), 1, "{headers}");
            }
        }
    }

    #[test]
    fn after_what_nobody_accepts_nothing_is_read() {
        for odd in [
            "content-length: +5\r\n\r\n",
            "content-length: 5\r\ncontent-length: 6\r\n\r\n",
            "content-length: 18446744073709551616\r\n\r\n",
            "transfer-encoding: chunked, gzip\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n10000000000000000\r\n",
            "transfer-encoding: chunked\r\n\r\nfive\r\n",
            "transfer-encoding: chunked\r\n\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n5\nhello",
            "transfer-encoding: chunked\r\n\r\n5\r\nhelloo",
            "transfer-encoding: chunked\r\n\r\n5;a\nb\r\nhello",
        ] {
            let more = "GET / HTTP/1.1\r\n\r\n";
            let request = format!("POST /x HTTP/1.1\r\n{odd}{more}");
            let (framing, _, is_over) = after(request.as_bytes(), 1);
            assert!(is_over && framing.heads() <= 1, "{odd}");
        }
    }
}
