//! What the end of a file is worth: a process that is killed leaves a part of what it wrote last.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::de::IgnoredAny;

/// How records stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A line each, which is an object in JSON.
    Lines,
    /// Each after its length in 4 bytes.
    Lengths,
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lines => "lines of JSON",
            Self::Lengths => "requests after their lengths",
        })
    }
}

/// What is behind the last record that has an end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    Whole,
    /// A record that only lacks the end of its line.
    Unended,
    /// A part of a record.
    Torn {
        /// Where the whole ones end.
        whole: u64,
    },
    /// The file does not hold records.
    Foreign,
}

/// What is read at a time, from the end of the file backwards.
const STEP: u64 = 64 * 1024;

/// The tail of a file of `len` bytes.
pub(super) fn tail(path: &Path, len: u64, framing: Framing) -> io::Result<Tail> {
    if len == 0 {
        return Ok(Tail::Whole);
    }
    let mut file = File::open(path)?;
    match framing {
        Framing::Lines => of_lines(&mut file, len),
        Framing::Lengths => of_lengths(file, len),
    }
}

fn of_lines(file: &mut File, len: u64) -> io::Result<Tail> {
    let mut first = [0];
    file.read_exact(&mut first)?;
    // A power cut leaves zeros of what had not come to the disk.
    let is_ours = match first {
        [b'{' | b' ' | b'\t' | b'\r' | b'\n'] => true,
        [0] => read(file, 0, len.min(STEP))?.iter().all(|byte| *byte == 0),
        _ => false,
    };
    if !is_ours {
        return Ok(Tail::Foreign);
    }
    let mut start = len;
    let whole = loop {
        if start == 0 {
            break 0;
        }
        let end = start;
        start = end.saturating_sub(STEP);
        let part = read(file, start, end - start)?;
        if let Some(at) = memchr::memrchr(b'\n', &part) {
            break start + at as u64 + 1;
        }
    };
    if whole == len {
        return Ok(Tail::Whole);
    }
    let rest = read(file, whole, len - whole)?;
    Ok(match serde_json::from_slice::<IgnoredAny>(&rest) {
        Ok(_) => Tail::Unended,
        Err(_) => Tail::Torn { whole },
    })
}

fn read(file: &mut File, start: u64, len: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut part = Vec::new();
    file.take(len).read_to_end(&mut part)?;
    Ok(part)
}

fn of_lengths(file: File, len: u64) -> io::Result<Tail> {
    let mut reader = BufReader::new(file);
    let mut at = 0;
    while len - at >= 4 {
        let mut length = [0; 4];
        reader.read_exact(&mut length)?;
        // What is larger than 160 MiB is a text, and not to be cut.
        if at == 0 && length[0] > 9 {
            return Ok(Tail::Foreign);
        }
        let length = u32::from_be_bytes(length);
        if u64::from(length) > len - at - 4 {
            return Ok(Tail::Torn { whole: at });
        }
        reader.seek_relative(length.into())?;
        at += 4 + u64::from(length);
    }
    Ok(if at == len {
        Tail::Whole
    } else {
        Tail::Torn { whole: at }
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn of(content: &[u8], framing: Framing) -> Tail {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, content).unwrap();
        tail(&path, content.len() as u64, framing).unwrap()
    }

    #[test]
    fn lines_are_torn_anywhere() {
        let long = "a".repeat(100_000);
        let line = format!("{{\"a\":\"{long}\"}}\n");
        let lines = line.repeat(2);
        assert_eq!(of(lines.as_bytes(), Framing::Lines), Tail::Whole);
        let whole = line.len() as u64;
        for cut in [1, 2, 9, 50_000, line.len() - 3] {
            let cut = lines.len() - 1 - cut;
            let torn = of(&lines.as_bytes()[..cut], Framing::Lines);
            assert_eq!(torn, Tail::Torn { whole }, "{cut}");
        }
        let unended = &lines.as_bytes()[..lines.len() - 1];
        assert_eq!(of(unended, Framing::Lines), Tail::Unended);
    }

    #[test]
    fn messages_are_torn_anywhere() {
        let message = [&[0, 0, 1, 0][..], &[7; 256]].concat();
        let file = message.repeat(3);
        for cut in 0..=file.len() {
            let whole = (cut / 260 * 260) as u64;
            let expected = match cut {
                _ if whole == cut as u64 => Tail::Whole,
                _ => Tail::Torn { whole },
            };
            assert_eq!(of(&file[..cut], Framing::Lengths), expected, "{cut}");
        }
    }
}
