use memchr::memchr;

/// Base64 broken into lines of one width, as MIME does (RFC 2045, 6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lines {
    /// Characters of every line but the last.
    pub(crate) width: usize,
    /// Whether lines end in CR and LF; else in LF alone.
    pub(crate) crlf: bool,
    /// Whether the last line ends, too.
    pub(crate) ended: bool,
}

impl Lines {
    /// The longest line that is looked for.
    pub(crate) const MAX_WIDTH: usize = 1000;

    /// Reads text that is broken into lines; `None` where it is one line or the lines are not
    /// regular.
    pub(crate) fn join(text: &[u8]) -> Option<(Vec<u8>, Self)> {
        let first = text.get(..=Self::MAX_WIDTH + 1).unwrap_or(text);
        let end = memchr(b'\n', first)?;
        let crlf = end > 0 && first.get(end - 1) == Some(&b'\r');
        let width = end - usize::from(crlf);
        if width == 0 {
            return None;
        }
        let lines = Self {
            width,
            crlf,
            ended: text.ends_with(b"\n"),
        };
        let mut joined = Vec::with_capacity(text.len());
        for line in text.chunks(width + lines.end().len()) {
            joined.extend_from_slice(line.strip_suffix(lines.end()).unwrap_or(line));
        }
        (lines.split(&joined) == text).then_some((joined, lines))
    }

    /// Undoes [`join`](Self::join).
    pub(crate) fn split(self, joined: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(joined.len() + joined.len() / 32 + 4);
        let mut lines = joined.chunks(self.width.max(1)).peekable();
        while let Some(line) = lines.next() {
            text.extend_from_slice(line);
            if self.ended || lines.peek().is_some() {
                text.extend_from_slice(self.end());
            }
        }
        text
    }

    fn end(self) -> &'static [u8] {
        if self.crlf { b"\r\n" } else { b"\n" }
    }

    /// As `76`, `76crlf`, `76end` or `76crlfend`.
    pub(crate) fn to_token(self) -> String {
        let crlf = if self.crlf { "crlf" } else { "" };
        let ended = if self.ended { "end" } else { "" };
        format!("{}{crlf}{ended}", self.width)
    }

    /// Undoes [`to_token`](Self::to_token).
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let (token, ended) = match token.strip_suffix("end") {
            Some(token) => (token, true),
            None => (token, false),
        };
        let (token, crlf) = match token.strip_suffix("crlf") {
            Some(token) => (token, true),
            None => (token, false),
        };
        let width = token.parse().ok().filter(|width| *width > 0)?;
        Some(Self { width, crlf, ended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_lines_come_back_as_they_were() {
        for (text, token) in [
            ("aaaa\naaaa\naa", "4"),
            ("aaaa\naaaa\naa\n", "4end"),
            ("aaaa\naaaa\n", "4end"),
            ("aaaa\r\naaaa\r\na", "4crlf"),
            ("aaaa\r\naaaa\r\n", "4crlfend"),
            ("a\na", "1"),
        ] {
            let (joined, lines) = Lines::join(text.as_bytes()).unwrap();
            assert_eq!(lines.to_token(), token, "{text:?}");
            assert_eq!(Lines::parse(token), Some(lines));
            assert_eq!(lines.split(&joined), text.as_bytes(), "{text:?}");
            assert!(!joined.contains(&b'\n') && !joined.contains(&b'\r'));
        }
    }

    #[test]
    fn irregular_lines_are_not_joined() {
        for text in [
            "aaaa",
            "\naaaa",
            "aaaa\naaa\naaaa",
            "aaaa\naaaaa",
            "aaaa\naaaa\r\naa",
            "aaaa\r\naaaa\naa",
            "aaaa\naaaa\n\n",
            "aaaa\n\naaaa",
            "\n",
            "",
        ] {
            assert_eq!(Lines::join(text.as_bytes()), None, "{text:?}");
        }
    }
}
