//! Where files stand in a JSON text. They are passed over, so it costs what stands around them.

use std::ops::Range;

use memchr::memchr;

use super::leaves::{MAX_DEPTH, is_name};
use super::looks_like;
use crate::value_path::ValuePath;

/// An object or array around what is looked at.
struct Frame {
    is_object: bool,
    /// The name of the member at hand, without quotes.
    key: Range<usize>,
    /// The number of the element at hand.
    index: usize,
}

/// The paths to these files, which ascend and do not overlap; empty where the text is no JSON. What stands in JSON text
/// within a string has the path of that string.
pub(crate) fn paths_to(text: &[u8], files: &[Range<usize>]) -> Vec<ValuePath> {
    let mut reader = Reader {
        text,
        files,
        stack: Vec::new(),
        paths: Vec::with_capacity(files.len()),
    };
    if looks_like(text) {
        reader.read();
    }
    // It is not JSON to its end.
    while reader.paths.len() < files.len() {
        reader.meet();
    }
    reader.paths
}

struct Reader<'t> {
    text: &'t [u8],
    files: &'t [Range<usize>],
    stack: Vec<Frame>,
    paths: Vec<ValuePath>,
}

impl<'t> Reader<'t> {
    /// The next file.
    fn file(&self) -> Option<&'t Range<usize>> {
        self.files.get(self.paths.len())
    }

    /// The next file stands here.
    fn meet(&mut self) {
        let mut path = ValuePath::default();
        for frame in &self.stack {
            if frame.is_object {
                path.literal(self.text.get(frame.key.clone()).unwrap_or_default());
            } else {
                path.index(frame.index);
            }
        }
        self.paths.push(path);
    }

    fn read(&mut self) {
        let mut at = 0;
        while let (Some(file), Some(byte)) = (self.file(), self.text.get(at)) {
            if file.start <= at {
                // A byte array, or a file in what is only nearly JSON.
                self.meet();
                at = at.max(file.end);
                continue;
            }
            match byte {
                b'{' | b'[' => {
                    if self.stack.len() == MAX_DEPTH {
                        return;
                    }
                    self.stack.push(Frame {
                        is_object: *byte == b'{',
                        key: 0..0,
                        index: 0,
                    });
                }
                b'}' | b']' => match self.stack.pop() {
                    Some(_) => {}
                    None => return,
                },
                b',' => {
                    if let Some(frame) = self.stack.last_mut() {
                        frame.index += 1;
                    }
                }
                b'"' => match self.string(at + 1) {
                    Some(end) => at = end,
                    None => return,
                },
                _ => {}
            }
            at += 1;
        }
    }

    /// Passes over a string with all files in it; where its closing quote stands.
    fn string(&mut self, begin: usize) -> Option<usize> {
        let mut at = begin;
        let end = loop {
            let file = self.file();
            let until = file.map_or(self.text.len(), |file| file.start);
            if let Some(end) = self.closing(begin, at, until) {
                break end;
            }
            let file = file?;
            self.meet();
            at = at.max(file.end);
        };
        if let Some(frame) = self.stack.last_mut()
            && frame.is_object
            && is_name(self.text, end + 1)
        {
            frame.key = begin..end;
        }
        Some(end)
    }

    /// The first quote in `at..until` that no backslash stands before.
    fn closing(&self, begin: usize, mut at: usize, until: usize) -> Option<usize> {
        loop {
            let found = at + memchr(b'"', self.text.get(at..until)?)?;
            let inside = self.text.get(begin..found)?;
            let backslashes = inside.iter().rev().take_while(|c| **c == b'\\').count();
            if backslashes.is_multiple_of(2) {
                return Some(found);
            }
            at = found + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths to all runs of X.
    fn paths_in(text: &str) -> Vec<String> {
        let mut files: Vec<Range<usize>> = Vec::new();
        for (at, _) in text.match_indices('X') {
            match files.last_mut() {
                Some(file) if file.end == at => file.end = at + 1,
                _ => files.push(at..at + 1),
            }
        }
        let paths = paths_to(text.as_bytes(), &files);
        paths.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn files_are_found_by_their_paths() {
        for (text, expected) in [
            ("XX", &[""][..]),
            ("see XX and XX", &["", ""]),
            (r#""XX""#, &[""]),
            (r#"{"data":"XX"}"#, &["data"]),
            (r#"["XX", "XX"]"#, &["[0]", "[1]"]),
            (
                r#"[{"role":"user","parts":[{"text":"a, \"b\", [c"},{"data":"XX"},{"data" : "XX","n":1}]},{"x":"XX"}]"#,
                &["[0].parts[1].data", "[0].parts[2].data", "[1].x"],
            ),
            // A byte array, quotes and all.
            (r#"{"a":[1,2],"b":XX,"c":{"d":XX}}"#, &["b", "c.d"]),
            (r#"{"a":"see XX, and \"XX\"","b":"XX"}"#, &["a", "a", "b"]),
            // A name that is one of another member's values.
            (r#"{"a":"b","c d":["",{"e":"XX"}]}"#, &[r#"["c d"][1].e"#]),
            (r#"[{"in":"{\"data\":\"XX\"}"}]"#, &["[0].in"]),
            (r#"[[],[[{}],["XX"]]]"#, &["[1][1][0]"]),
            // Only nearly JSON.
            (r#"{"a":NaN,"b":"XX"#, &["b"]),
            (r#"["a"] and "XX""#, &[""]),
            (r#"] "XX""#, &[""]),
            (r#"{"XX":1}"#, &[r#"[""]"#]),
        ] {
            assert_eq!(paths_in(text), expected, "{text}");
        }
    }

    #[test]
    fn depth_has_a_limit() {
        let deep = "[".repeat(10 * MAX_DEPTH) + "\"XX\"";
        let [path] = &paths_in(&deep)[..] else {
            panic!("one path");
        };
        assert!(path.starts_with("[0][0]") && path.ends_with('…'), "{path}");
    }
}
