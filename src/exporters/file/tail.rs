//! What the end of a file is worth: a process that is killed leaves a part of what it wrote last.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::ours::{begins_as_frame, begins_as_line, is_frame, is_line, is_torn_frame};

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
    /// Something that no crash leaves: from there on, nobody can tell where records end.
    Damaged {
        /// Where it begins.
        at: u64,
    },
    /// The file does not hold records.
    Foreign,
}

/// What is read at a time.
const STEP: u64 = 64 * 1024;

/// The tail of a file of `len` bytes.
pub(super) fn tail(path: &Path, len: u64, framing: Framing) -> io::Result<Tail> {
    if len == 0 {
        return Ok(Tail::Whole);
    }
    let mut file = File::open(path)?;
    match framing {
        Framing::Lines => of_lines(&mut file, len),
        Framing::Lengths => of_lengths(&mut file, len),
    }
}

/// Whether there is nothing but zeros, which a power cut leaves of what had not come to the disk.
pub(super) fn is_zeros(file: &mut File, start: u64, end: u64) -> io::Result<bool> {
    let mut at = start;
    while at < end {
        let part = read(file, at, (end - at).min(STEP))?;
        if part.is_empty() || part.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += part.len() as u64;
    }
    Ok(true)
}

fn of_lines(file: &mut File, len: u64) -> io::Result<Tail> {
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
    if !is_line_at(file, 0)? {
        // The first one itself may be what is torn.
        let is_ours = whole == 0 && begins_as_line(&read(file, 0, 32)?);
        return Ok(if is_ours || is_zeros(file, 0, len)? {
            Tail::Torn { whole: 0 }
        } else {
            Tail::Foreign
        });
    }
    Ok(if whole == len {
        Tail::Whole
    } else if is_line_at(file, whole)? {
        Tail::Unended
    } else {
        Tail::Torn { whole }
    })
}

fn is_line_at(file: &mut File, start: u64) -> io::Result<bool> {
    file.seek(SeekFrom::Start(start))?;
    is_line(BufReader::new(file))
}

fn read(file: &mut File, start: u64, len: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut part = Vec::new();
    file.take(len).read_to_end(&mut part)?;
    Ok(part)
}

/// What is read of a record to know it for one: its first tag and length.
const HEAD: u64 = 16;

fn of_lengths(file: &mut File, len: u64) -> io::Result<Tail> {
    let mut at = 0;
    let mut is_ours = false;
    while at < len {
        let head = read(file, at, 4 + HEAD)?;
        let Some((length, head)) = head.split_first_chunk::<4>() else {
            let is_ours = is_ours || head.first() == Some(&0);
            return Ok(torn_or_foreign(is_ours, at));
        };
        let length = u32::from_be_bytes(*length);
        let is_last = u64::from(length) > len - at - 4;
        if length == 0 {
            if is_zeros(file, at, len)? {
                return Ok(Tail::Torn { whole: at });
            }
        } else if is_last {
            let head = head.get(..length as usize).unwrap_or(head);
            if !is_ours && !begins_as_frame(head, length, true) {
                return Ok(Tail::Foreign);
            }
            let is_torn = begins_as_frame(head, length, false)
                && is_torn_frame(&read(file, at + 4, len - at - 4)?, length);
            return Ok(if is_torn {
                Tail::Torn { whole: at }
            } else {
                damaged_or_foreign(is_ours, at)
            });
        } else {
            let head = head.get(..length as usize).unwrap_or(head);
            let is_one = begins_as_frame(head, length, false)
                && (is_ours || is_frame(&read(file, at + 4, length.into())?));
            if !is_one {
                return Ok(damaged_or_foreign(is_ours, at));
            }
            is_ours = true;
        }
        at += 4 + u64::from(length);
    }
    Ok(Tail::Whole)
}

fn torn_or_foreign(is_ours: bool, whole: u64) -> Tail {
    if is_ours {
        Tail::Torn { whole }
    } else {
        Tail::Foreign
    }
}

fn damaged_or_foreign(is_ours: bool, at: u64) -> Tail {
    if is_ours {
        Tail::Damaged { at }
    } else {
        Tail::Foreign
    }
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
        let line = format!("{{\"resourceSpans\":[\"{long}\"]}}\n");
        let lines = line.repeat(2);
        assert_eq!(of(lines.as_bytes(), Framing::Lines), Tail::Whole);
        let whole = line.len() as u64;
        for cut in [1, 2, 9, 50_000, line.len() - 3] {
            let cut = lines.len() - 1 - cut;
            let torn = of(&lines.as_bytes()[..cut], Framing::Lines);
            assert_eq!(torn, Tail::Torn { whole }, "{cut}");
        }
        for cut in [1, 5, 20, 99, 50_000] {
            let torn = of(&lines.as_bytes()[..cut], Framing::Lines);
            assert_eq!(torn, Tail::Torn { whole: 0 }, "{cut}");
        }
        let unended = &lines.as_bytes()[..lines.len() - 1];
        assert_eq!(of(unended, Framing::Lines), Tail::Unended);
    }

    #[test]
    fn other_files_are_known_for_such() {
        for text in [
            "{\n  \"resourceSpans\": []\n}",
            "{\n}",
            "{\"name\":1}\n",
            "{\"name\":",
            " \n",
            "\0\0{\"resourceSpans\":[]}\n",
            "hello",
        ] {
            assert_eq!(of(text.as_bytes(), Framing::Lines), Tail::Foreign, "{text}");
        }
        for file in [
            &b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41\0\0\0\x08free\0\0\x2d\0mdat"[..],
            b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x68\x04\0\0\x16\0\0\0",
            b"{\"resourceSpans\":[]}\n",
            b"hello",
            b"h",
        ] {
            assert_eq!(of(file, Framing::Lengths), Tail::Foreign, "{file:?}");
        }
    }

    fn message() -> Vec<u8> {
        [&[0, 0, 1, 0, 0x0a, 0xfd, 1][..], &[7; 253]].concat()
    }

    #[test]
    fn messages_are_torn_anywhere() {
        let file = message().repeat(3);
        for cut in 0..=file.len() {
            let whole = (cut / 260 * 260) as u64;
            let expected = match cut {
                _ if whole == cut as u64 => Tail::Whole,
                _ => Tail::Torn { whole },
            };
            assert_eq!(of(&file[..cut], Framing::Lengths), expected, "{cut}");
        }
        let zeros = [&file[..], &[0; 10]].concat();
        assert_eq!(of(&zeros, Framing::Lengths), Tail::Torn { whole: 780 });
        let zstd = zstd::bulk::compress(&file, 1).unwrap();
        let frame = [&(zstd.len() as u32).to_be_bytes()[..], &zstd].concat();
        let whole = frame.len() as u64;
        let file = frame.repeat(2);
        assert_eq!(of(&file, Framing::Lengths), Tail::Whole);
        let torn = of(&file[..file.len() - 5], Framing::Lengths);
        assert_eq!(torn, Tail::Torn { whole });
    }

    #[test]
    fn a_length_that_is_damaged_is_no_torn_end() {
        let zstd = zstd::bulk::compress(&message(), 1).unwrap();
        let zstd = [&(zstd.len() as u32).to_be_bytes()[..], &zstd].concat();
        for record in [message(), zstd] {
            for damage in [0xff_u8, 1] {
                for index in 0..3 {
                    let mut file = record.repeat(4);
                    let at = record.len();
                    file[at + index] ^= damage;
                    let tail = of(&file, Framing::Lengths);
                    assert!(
                        matches!(tail, Tail::Damaged { .. }),
                        "{index} {damage}: {tail:?}"
                    );
                }
            }
        }
    }
}
