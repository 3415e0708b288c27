use std::ops::Range;

use memchr::memchr;

use crate::detect::about::{MAX_LABEL, is_label};
use crate::encoding::Numbers;

/// Objects within objects that are followed. Deeper ones are read as text.
pub(super) const MAX_DEPTH: usize = 128;

/// Members of one object that are remembered: no message part has more that matter.
const MAX_MEMBERS: usize = 32;

/// The long strings and byte arrays of a JSON text, and what stands beside them.
#[derive(Default)]
pub(super) struct Leaves {
    /// In the order of the text.
    pub(super) strings: Vec<Leaf>,
    /// In the order of the text.
    pub(super) numbers: Vec<(Leaf, Numbers)>,
    /// Where a string opens that is not closed.
    pub(super) open: Option<usize>,
    /// What is too deep to be read.
    pub(super) beyond: Option<Leaf>,
    /// The objects that have such values, and those around them, which come first.
    pub(super) objects: Vec<Object>,
}

/// A value: a string or a byte array.
pub(super) struct Leaf {
    /// Where it stands, quotes or braces included.
    pub(super) literal: Range<usize>,
    /// Its name in its object, or that of the array that it is in, without quotes.
    pub(super) key: Range<usize>,
    /// The object that it is a member of, if it is in one.
    object: Option<usize>,
    /// The next object around it, also where an array is between them.
    pub(super) within: Option<usize>,
}

/// What is known of an object.
#[derive(Default)]
pub(super) struct Object {
    /// Its name in the object around it, without quotes; empty in an array.
    pub(super) key: Range<usize>,
    /// The same, or the name of the array that it is in.
    pub(super) name: Range<usize>,
    pub(super) around: Option<usize>,
    /// Members that say something about the others: names, and values that are short strings.
    pub(super) members: Vec<(Range<usize>, Option<Range<usize>>)>,
}

/// An object or array that is being read.
struct Frame {
    is_object: bool,
    /// Its name in the object around it.
    key: Range<usize>,
    /// The same, or the name of the array that it is in.
    name: Range<usize>,
    /// The member that the next value belongs to.
    next: Range<usize>,
    members: Vec<(Range<usize>, Option<Range<usize>>)>,
    /// Its number among the objects, once it has one.
    number: Option<usize>,
}

impl Leaf {
    /// The string without its quotes.
    pub(super) fn content(&self) -> Range<usize> {
        self.literal.start + 1..self.literal.end - 1
    }
}

impl Leaves {
    /// Reads `text` as far as it is JSON; strings and byte arrays of at least `min_len` bytes are
    /// kept.
    pub(super) fn of(text: &[u8], min_len: usize) -> Self {
        let mut reader = Reader {
            text,
            min_len,
            stack: Vec::new(),
            leaves: Self::default(),
        };
        reader.read();
        while reader.close() {}
        reader.leaves
    }

    /// The object that `leaf` is a member of.
    pub(super) fn object(&self, leaf: &Leaf) -> Option<&Object> {
        self.objects.get(leaf.object?)
    }

    /// The next object around `object`.
    pub(super) fn around(&self, object: &Object) -> Option<&Object> {
        self.objects.get(object.around?)
    }
}

struct Reader<'a> {
    text: &'a [u8],
    min_len: usize,
    stack: Vec<Frame>,
    leaves: Leaves,
}

impl Reader<'_> {
    fn read(&mut self) {
        let text = self.text;
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            match byte {
                b'{' if let Some(numbers) = text.get(at..).and_then(Numbers::read) => {
                    let end = at + numbers.len;
                    let key = self.element();
                    if numbers.bytes.len() >= self.min_len {
                        let (object, within) = self.objects_around();
                        let leaf = Leaf {
                            literal: at..end,
                            key,
                            object,
                            within,
                        };
                        self.leaves.numbers.push((leaf, numbers));
                    }
                    at = end;
                }
                b'{' | b'[' => {
                    if self.stack.len() == MAX_DEPTH {
                        let key = self.element();
                        let (object, within) = self.objects_around();
                        self.leaves.beyond = Some(Leaf {
                            literal: at..text.len(),
                            key,
                            object,
                            within,
                        });
                        return;
                    }
                    let is_object = byte == b'{';
                    let name = self.element();
                    let is_named = self.stack.last().is_some_and(|around| around.is_object);
                    // An array within an array has its name.
                    let key = if is_named || !is_object {
                        name.clone()
                    } else {
                        0..0
                    };
                    self.stack.push(Frame {
                        name,
                        is_object,
                        key,
                        next: 0..0,
                        members: Vec::new(),
                        number: None,
                    });
                    at += 1;
                }
                b'}' | b']' => {
                    if !self.close() {
                        return;
                    }
                    at += 1;
                }
                b'"' => {
                    let Some(end) = string_end(text, at) else {
                        self.leaves.open = Some(at);
                        return;
                    };
                    self.string(at..end);
                    at = end;
                }
                b'0'..=b'9' | b't' | b'f' | b'n' | b'N' | b'I' | b'-' => {
                    self.value();
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// A value begins: the name that it has, which is remembered if it says something.
    fn value(&mut self) -> Range<usize> {
        let Some(frame) = self.stack.last_mut() else {
            return 0..0;
        };
        let key = std::mem::take(&mut frame.next);
        frame.note(self.text, key.clone(), None);
        key
    }

    /// A value begins: the name that it has, or the array that it is in.
    fn element(&mut self) -> Range<usize> {
        match self.stack.last() {
            Some(array) if !array.is_object => array.name.clone(),
            _ => self.value(),
        }
    }

    fn close(&mut self) -> bool {
        let Some(frame) = self.stack.pop() else {
            return false;
        };
        if let Some(object) = frame.number.and_then(|n| self.leaves.objects.get_mut(n)) {
            object.members = frame.members;
        }
        true
    }

    fn string(&mut self, literal: Range<usize>) {
        let content = literal.start + 1..literal.end - 1;
        let Some(frame) = self.stack.last_mut() else {
            if content.len() >= self.min_len {
                self.leaves.strings.push(Leaf {
                    literal,
                    key: 0..0,
                    object: None,
                    within: None,
                });
            }
            return;
        };
        if frame.is_object && is_name(self.text, literal.end) {
            frame.next = content;
            return;
        }
        let mut key = std::mem::take(&mut frame.next);
        if content.len() < self.min_len {
            frame.note(self.text, key, Some(content));
            return;
        }
        frame.note(self.text, key.clone(), None);
        // A label may be longer than a file.
        if content.len() <= MAX_LABEL
            && let Some(last) = frame.members.last_mut().filter(|(name, _)| *name == key)
        {
            last.1 = Some(content);
        }
        if !frame.is_object {
            key = frame.key.clone();
        }
        let (object, within) = self.objects_around();
        self.leaves.strings.push(Leaf {
            literal,
            key,
            object,
            within,
        });
    }

    /// The numbers of the object that the value at hand is a member of, if it is one, and of the
    /// next object around it.
    fn objects_around(&mut self) -> (Option<usize>, Option<usize>) {
        let numbered = self.stack.iter().rposition(|frame| frame.number.is_some());
        let mut within = numbered.and_then(|depth| self.stack.get(depth)?.number);
        let rest = numbered.map_or(0, |depth| depth + 1);
        for frame in self.stack.iter_mut().skip(rest) {
            if frame.is_object {
                let objects = &mut self.leaves.objects;
                frame.number = Some(objects.len());
                objects.push(Object {
                    key: frame.key.clone(),
                    name: frame.name.clone(),
                    around: within,
                    members: Vec::new(),
                });
                within = frame.number;
            }
        }
        let own = self.stack.last().and_then(|frame| frame.number);
        (own, within)
    }
}

impl Frame {
    fn note(&mut self, text: &[u8], key: Range<usize>, value: Option<Range<usize>>) {
        let plain = |range: &Range<usize>| {
            range.len() <= MAX_LABEL
                && text
                    .get(range.clone())
                    .is_some_and(|text| !text.contains(&b'\\'))
        };
        if key.is_empty() || self.members.len() == MAX_MEMBERS || !plain(&key) {
            return;
        }
        if matters(text.get(key.clone()).unwrap_or_default()) {
            self.members
                .push((key, value.filter(|value| value.len() <= MAX_LABEL)));
        }
    }
}

/// Whether a member of that name says something about the others, or would be in a link's way.
fn matters(name: &[u8]) -> bool {
    is_label(name) || crate::shapes::KEYS.contains(&name)
}

/// The offset after the closing quote of the string that opens at `start`.
fn string_end(text: &[u8], start: usize) -> Option<usize> {
    let mut from = start + 1;
    loop {
        let found = from + memchr(b'"', text.get(from..)?)?;
        let inside = text.get(start + 1..found)?;
        let backslashes = inside.iter().rev().take_while(|c| **c == b'\\').count();
        if backslashes.is_multiple_of(2) {
            return Some(found + 1);
        }
        from = found + 1;
    }
}

/// Whether the string that ends at `end` is a member's name.
pub(super) fn is_name(text: &[u8], end: usize) -> bool {
    let after = text.get(end..).unwrap_or_default();
    let mut after = after.iter().skip_while(|byte| byte.is_ascii_whitespace());
    after.next() == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For every leaf its key, its text, and the members of the objects around it that say
    /// something, from within.
    fn leaves(text: &str) -> Vec<(String, String, Vec<String>)> {
        let leaves = Leaves::of(text.as_bytes(), 8);
        let word = |range: &Range<usize>| text[range.clone()].to_owned();
        let members = |object: &Object| {
            let members = object.members.iter().map(|(key, value)| match value {
                Some(value) => format!("{}={}", word(key), word(value)),
                None => word(key),
            });
            format!(
                "{}:{}",
                word(&object.key),
                members.collect::<Vec<_>>().join(" ")
            )
        };
        let numbers = leaves.numbers.iter().map(|(leaf, _)| leaf);
        let of = |leaf: &Leaf| {
            let mut objects = Vec::new();
            let mut next = leaves.object(leaf);
            while let Some(object) = next {
                objects.push(members(object));
                next = leaves.around(object);
            }
            (word(&leaf.key), word(&leaf.content()), objects)
        };
        leaves.strings.iter().chain(numbers).map(of).collect()
    }

    #[test]
    fn a_leaf_knows_the_objects_around_it() {
        for (text, key, objects) in [
            (r#""LONGTEXT""#, "", &[][..]),
            (r#"["LONGTEXT"]"#, "", &[]),
            (r#"{"data":"LONGTEXT"}"#, "data", &[":"]),
            (r#"{"type":"a","data":"LONGTEXT"}"#, "data", &[":type=a"]),
            (
                r#"{"data" : "LONGTEXT" , "type" : "a"}"#,
                "data",
                &[":type=a"],
            ),
            (r#"{"type":7,"x":"LONGTEXT"}"#, "x", &[":type"]),
            (r#"{"type":{},"x":"LONGTEXT"}"#, "x", &[":type"]),
            (
                r#"{"type":"a","type":"b","x":"LONGTEXT"}"#,
                "x",
                &[":type=a type=b"],
            ),
            (r#"{"other":"a","x":"LONGTEXT"}"#, "x", &[":"]),
            (r#"{"t\"":"a","x":"LONGTEXT"}"#, "x", &[":"]),
            (
                r#"{"type":"\u0061","x":"LONGTEXT"}"#,
                "x",
                &[":type=\\u0061"],
            ),
            (
                r#"{"name":"n","a":{"x":"LONGTEXT"}}"#,
                "x",
                &["a:", ":name=n"],
            ),
            (
                r#"{"a":{"x":"LONGTEXT"},"name":"n"}"#,
                "x",
                &["a:", ":name=n"],
            ),
            (
                r#"{"a":[[{"x":"LONGTEXT"}]],"name":"n"}"#,
                "x",
                &[":", ":name=n"],
            ),
            (r#"[{"type":"a"},{"x":"LONGTEXT"}]"#, "x", &[":"]),
            (r#"{"a":{"type":"a"},"x":"LONGTEXT"}"#, "x", &[":"]),
            (r#"{"x":"LONGTEXT","type":"a"#, "x", &[":"]),
            (r#"{"type":"a","x":"LONGTEXT""#, "x", &[":type=a"]),
        ] {
            let expected = (key.to_owned(), "LONGTEXT".to_owned());
            let [(key, value, around)] = &leaves(text)[..] else {
                panic!("one leaf in {text}");
            };
            assert_eq!((key, value), (&expected.0, &expected.1), "{text}");
            assert_eq!(around, objects, "{text}");
        }
    }

    #[test]
    fn names_and_short_values_are_no_leaves() {
        for text in [
            r#"{"LONGTEXT":1}"#,
            r#"{"LONGTEXT" : "a"}"#,
            r#"["SHORTER"]"#,
            r#"["LONGTEXT"#,
            r#"]["LONGTEXT"]"#,
            r#"{"0":1,"1":2}"#,
        ] {
            assert_eq!(leaves(text), [], "{text}");
        }
        assert_eq!(leaves(r#"["LONG\"TEXT","LONG\\","SHORT\""]"#).len(), 1);
    }

    #[test]
    fn byte_arrays_are_leaves_from_the_smallest_size_on() {
        let array = |len: u8| {
            let members: Vec<_> = (0..len).map(|n| format!(r#""{n}":{n}"#)).collect();
            format!(r#"{{"type":"a","x":{{{}}}}}"#, members.join(","))
        };
        assert_eq!(leaves(&array(7)), []);
        let [(key, _, around)] = &leaves(&array(8))[..] else {
            panic!("one leaf");
        };
        assert_eq!(
            (key.as_str(), &around[..]),
            ("x", &[":type=a".to_owned()][..])
        );
    }

    #[test]
    fn depth_has_a_limit() {
        let nested = |depth: usize| format!("{}\"LONGTEXT\"", "[".repeat(depth));
        assert_eq!(leaves(&nested(MAX_DEPTH)).len(), 1);
        assert_eq!(leaves(&nested(MAX_DEPTH + 1)).len(), 0);
        let text = r#"{"type":"a","x":"#.repeat(MAX_DEPTH) + "\"LONGTEXT\"";
        assert_eq!(leaves(&text)[0].2.len(), MAX_DEPTH);
    }

    /// What is kept does not grow with what a sender can write in few characters.
    #[test]
    fn short_values_cost_no_memory() {
        for unit in [
            "[",
            "{\"a\":",
            "[]",
            "{}",
            "{},",
            "{\"0\":1},",
            "{\"type\":\"a\"},",
            "\"\",",
            "{\"type\":\"Buffer\",\"data\":[1]},",
            "\"a\":",
            "1,",
            "\"type\":\"a\",",
        ] {
            for before in ["", "[", "{"] {
                let text = before.to_owned() + &unit.repeat((1 << 20) / unit.len());
                let mut reader = Reader {
                    text: text.as_bytes(),
                    min_len: 100,
                    stack: Vec::new(),
                    leaves: Leaves::default(),
                };
                reader.read();
                assert!(reader.stack.len() <= MAX_DEPTH, "{unit}");
                let members = reader.stack.iter().map(|frame| frame.members.len());
                assert!(members.max().unwrap_or_default() <= MAX_MEMBERS, "{unit}");
                let Leaves {
                    strings,
                    numbers,
                    open: _,
                    beyond: _,
                    objects,
                } = &reader.leaves;
                assert!(strings.len() + numbers.len() == 0, "{unit}");
                assert!(objects.len() <= MAX_DEPTH, "{unit}");
            }
        }
    }
}
