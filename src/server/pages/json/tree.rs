//! A document as it stands in its text, or its beginning, without what is too much of it.
//!
//! It is read from the first byte to the last once, whatever it is nested in, and nothing of it is copied.

/// The most values that are kept. With more of them a browser would be busy for long.
pub(super) const VALUES: usize = 20_000;

/// The most bytes that are kept of names, texts and numbers together.
pub(super) const BYTES: usize = 512 << 10;

/// What is nested deeper is kept as it stands.
pub(super) const DEEPEST: usize = 64;

/// How much is kept of what there is in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measure {
    /// Values of each object and array.
    pub(super) each: usize,
    /// Bytes of each name, text and number.
    pub(super) long: usize,
    /// Whether no measure keeps fewer values: those that are too many by it, too, are left out at the end.
    pub(super) is_fewest: bool,
    /// Whether no measure keeps less of anything.
    pub(super) is_least: bool,
}

/// Why there is no tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    NoJson,
    /// By this measure there are too many values.
    ManyValues,
    /// By this measure there is too much text.
    MuchText,
}

/// A part of the text, and how many bytes of it are left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'t> {
    pub(super) text: &'t str,
    pub(super) left: usize,
}

#[derive(Debug)]
pub(super) struct Value<'t> {
    /// As it is written between its quotes.
    pub(super) name: Option<Piece<'t>>,
    pub(super) kind: Kind<'t>,
}

#[derive(Debug)]
pub(super) enum Kind<'t> {
    Object(Inside<'t>),
    Array(Inside<'t>),
    /// As it is written between its quotes.
    String(Piece<'t>),
    Literal(Piece<'t>),
}

/// What is in an object or array.
#[derive(Debug)]
pub(super) struct Inside<'t> {
    pub(super) values: Vec<Value<'t>>,
    /// How many there are, those included that are not kept.
    pub(super) count: usize,
    /// Whether it ends in the text.
    pub(super) is_whole: bool,
}

/// The one value that a text is. Who gives the beginning of a document gives what ends anywhere; where it is all of
/// one, it has to be known to be JSON.
pub(super) fn read(text: &str, measure: Measure) -> Result<Value<'_>, Stop> {
    let mut reader = Reader {
        text,
        at: 0,
        measure,
        values: VALUES - 1,
        bytes: BYTES,
    };
    reader.space();
    let kind = reader.value(0)?;
    reader.space();
    // What has more behind its first value is no document: lines of JSON, or a log.
    if reader.at < text.len() {
        return Err(Stop::NoJson);
    }
    Ok(Value { name: None, kind })
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    measure: Measure,
    /// How many more may be kept.
    values: usize,
    bytes: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Kind<'t>, Stop> {
        match self.peek() {
            Some(b'{' | b'[') if depth >= DEEPEST => {
                let start = self.at;
                self.skip();
                self.literal(start)
            }
            Some(b'{') => Ok(Kind::Object(self.inside(b'}', depth)?)),
            Some(b'[') => Ok(Kind::Array(self.inside(b']', depth)?)),
            Some(b'"') => {
                let text = self.string();
                self.keep(text)?;
                Ok(Kind::String(text))
            }
            Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                let start = self.at;
                while matches!(
                    self.peek(),
                    Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E')
                ) {
                    self.at += 1;
                }
                self.literal(start)
            }
            _ => Err(Stop::NoJson),
        }
    }

    fn inside(&mut self, close: u8, depth: usize) -> Result<Inside<'t>, Stop> {
        let mut inside = Inside {
            values: Vec::new(),
            count: 0,
            is_whole: false,
        };
        self.at += 1;
        loop {
            self.space();
            match self.peek() {
                Some(byte) if byte == close => {
                    self.at += 1;
                    inside.is_whole = true;
                    return Ok(inside);
                }
                Some(b',') if inside.count > 0 => {
                    self.at += 1;
                    self.space();
                }
                Some(_) if inside.count > 0 => return Err(Stop::NoJson),
                _ => {}
            }
            let mut name = None;
            if close == b'}' && self.peek().is_some() {
                if self.peek() != Some(b'"') {
                    return Err(Stop::NoJson);
                }
                name = Some(self.string());
                self.space();
                if !matches!(self.peek(), Some(b':') | None) {
                    return Err(Stop::NoJson);
                }
                self.at += 1;
                self.space();
            }
            if self.peek().is_none() {
                // The text ends, and the document does not.
                return Ok(inside);
            }
            inside.count += 1;
            if self.has_room(inside.values.len())? {
                if let Some(name) = name {
                    self.keep(name)?;
                }
                let kind = self.value(depth + 1)?;
                inside.values.push(Value { name, kind });
            } else {
                self.skip();
            }
        }
    }

    /// Whether one more is kept where so many are kept already.
    fn has_room(&mut self, kept: usize) -> Result<bool, Stop> {
        if kept >= self.measure.each {
            return Ok(false);
        }
        match self.values.checked_sub(1) {
            Some(values) => self.values = values,
            None if self.measure.is_fewest => return Ok(false),
            None => return Err(Stop::ManyValues),
        }
        match self.bytes {
            0 if self.measure.is_least => Ok(false),
            0 => Err(Stop::MuchText),
            _ => Ok(true),
        }
    }

    /// Counts what is kept.
    fn keep(&mut self, piece: Piece<'_>) -> Result<(), Stop> {
        match self.bytes.checked_sub(piece.text.len()) {
            Some(bytes) => self.bytes = bytes,
            None if self.measure.is_least => self.bytes = 0,
            None => return Err(Stop::MuchText),
        }
        Ok(())
    }

    /// What stands between `start` and here.
    fn literal(&mut self, start: usize) -> Result<Kind<'t>, Stop> {
        let all = &self.text[start..self.at];
        let mut end = all.len().min(self.measure.long);
        while !all.is_char_boundary(end) {
            end -= 1;
        }
        let piece = Piece {
            text: &all[..end],
            left: all.len() - end,
        };
        self.keep(piece)?;
        Ok(Kind::Literal(piece))
    }

    /// What stands between the quotes that begin here, and goes behind them. It ends behind a whole character, or
    /// what is written for one.
    fn string(&mut self) -> Piece<'t> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let (mut at, mut kept) = (start, start);
        loop {
            if at - start <= self.measure.long && self.text.is_char_boundary(at) {
                kept = at;
            }
            match bytes.get(at) {
                None | Some(b'"') => break,
                Some(b'\\') => at += escape(&bytes[at..bytes.len().min(at + 8)]),
                Some(_) => at += 1,
            }
        }
        let end = at.min(bytes.len());
        self.at = (end + 1).min(bytes.len());
        Piece {
            text: &self.text[start.min(end)..kept.min(end)],
            left: end - kept.min(end),
        }
    }

    /// Goes behind a value, whatever is in it.
    fn skip(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string();
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                b'}' | b']' => return,
                b',' if depth == 0 => return,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            if depth == 0 {
                return;
            }
        }
    }
}

/// How long what begins with a backslash is. A character may take two of them.
fn escape(bytes: &[u8]) -> usize {
    let is_high = |digits: &[u8]| {
        digits[0].eq_ignore_ascii_case(&b'd')
            && matches!(digits[1].to_ascii_lowercase(), b'8' | b'9' | b'a' | b'b')
    };
    match bytes {
        [_, b'u', digits @ .., b'\\', b'u'] if digits.len() == 4 && is_high(digits) => 12,
        [_, b'u', ..] => 6,
        _ => 2,
    }
}
