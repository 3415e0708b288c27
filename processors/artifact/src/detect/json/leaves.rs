use std::ops::Range;

use memchr::memchr2;

use super::labels;
use crate::encoding::Numbers;

/// Labels are short; longer strings are not looked at as such.
const MAX_LABEL: usize = 127;

/// The long strings of a JSON text and what stands beside them, and its byte arrays.
pub(super) struct Leaves {
    strings: Vec<Leaf>,
    /// Where each starts, and what it is.
    numbers: Vec<(usize, Numbers)>,
    containers: Vec<Container>,
}

/// A string that is a value.
pub(super) struct Leaf {
    /// Where it stands, quotes included.
    pub(super) literal: Range<usize>,
    /// Its name in its object, without quotes; empty in an array.
    pub(super) key: Range<usize>,
    /// Whether there are escapes in it.
    pub(super) escaped: bool,
    container: usize,
}

/// An object or array, as far as it was read.
struct Container {
    parent: Option<usize>,
    is_object: bool,
    /// The member that the next value belongs to.
    key: Range<usize>,
    /// Name and value of the member that says what kind of file is in the object.
    label: Option<(Range<usize>, Range<usize>)>,
    /// Value of the member `type`.
    part_type: Range<usize>,
}

impl Leaf {
    /// The string without its quotes.
    pub(super) fn content(&self) -> Range<usize> {
        self.literal.start + 1..self.literal.end - 1
    }
}

impl Leaves {
    /// Reads `text` as far as it is JSON; strings of at least `min_len` bytes are kept, and byte
    /// arrays of any length.
    pub(super) fn of(text: &[u8], min_len: usize) -> Self {
        let mut this = Self {
            strings: Vec::new(),
            numbers: Vec::new(),
            containers: Vec::new(),
        };
        let mut current = None;
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            match byte {
                b'{' if let Some(numbers) = text.get(at..).and_then(Numbers::read) => {
                    let end = at + numbers.len;
                    this.numbers.push((at, numbers));
                    at = end;
                }
                b'{' | b'[' => {
                    this.containers.push(Container {
                        parent: current,
                        is_object: byte == b'{',
                        key: 0..0,
                        label: None,
                        part_type: 0..0,
                    });
                    current = Some(this.containers.len() - 1);
                    at += 1;
                }
                b'}' | b']' => {
                    let Some(container) = current.and_then(|index| this.containers.get(index))
                    else {
                        break;
                    };
                    current = container.parent;
                    at += 1;
                }
                b'"' => {
                    let Some((end, escaped)) = string_end(text, at) else {
                        break;
                    };
                    if let Some(container) = current {
                        this.string(text, at..end, escaped, container, min_len);
                    }
                    at = end;
                }
                _ => at += 1,
            }
        }
        this
    }

    /// The byte arrays in the order of the text.
    pub(super) fn take_numbers(&mut self) -> Vec<(usize, Numbers)> {
        std::mem::take(&mut self.numbers)
    }

    /// The strings in the order of the text.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Leaf> {
        self.strings.iter()
    }

    /// The media type that the object of `leaf` gives.
    pub(super) fn label(&self, text: &[u8], leaf: &Leaf) -> Option<String> {
        let own = self.containers.get(leaf.container)?;
        let label = own.label.as_ref().or_else(|| {
            // Answers with several pictures say once, around them, what they are.
            let outer = (text.get(leaf.key.clone())? == b"b64_json").then(|| self.outer(own));
            outer??.label.as_ref()
        });
        let (key, value) = label?;
        labels::media_type(text.get(key.clone())?, text.get(value.clone())?)
    }

    /// The member `type` of the object of `leaf`.
    pub(super) fn part_type<'a>(&self, text: &'a [u8], leaf: &Leaf) -> &'a [u8] {
        let own = self.containers.get(leaf.container);
        own.and_then(|own| text.get(own.part_type.clone()))
            .unwrap_or_default()
    }

    /// The next object around `container`.
    fn outer(&self, container: &Container) -> Option<&Container> {
        let mut outer = self.containers.get(container.parent?)?;
        while !outer.is_object {
            outer = self.containers.get(outer.parent?)?;
        }
        Some(outer)
    }

    fn string(
        &mut self,
        text: &[u8],
        literal: Range<usize>,
        escaped: bool,
        container: usize,
        min_len: usize,
    ) {
        let Some(own) = self.containers.get_mut(container) else {
            return;
        };
        let content = literal.start + 1..literal.end - 1;
        if own.is_object && is_name(text, literal.end) {
            own.key = content;
            return;
        }
        let key = std::mem::take(&mut own.key);
        if content.len() >= min_len {
            self.strings.push(Leaf {
                literal,
                key,
                escaped,
                container,
            });
        } else if content.len() <= MAX_LABEL && !escaped {
            match text.get(key.clone()) {
                Some(b"type") => own.part_type = content,
                Some(name) if labels::is_label(name) => own.label = Some((key, content)),
                _ => {}
            }
        }
    }
}

/// The offset after the closing quote of the string that opens at `start`, and whether there are
/// escapes in it.
fn string_end(text: &[u8], start: usize) -> Option<(usize, bool)> {
    let mut at = start + 1;
    let mut escaped = false;
    loop {
        let rest = text.get(at..)?;
        let found = memchr2(b'"', b'\\', rest)?;
        if rest.get(found) == Some(&b'"') {
            return Some((at + found + 1, escaped));
        }
        escaped = true;
        at += found + 2;
    }
}

/// Whether the string that ends at `end` is a member's name.
fn is_name(text: &[u8], end: usize) -> bool {
    let after = text.get(end..).unwrap_or_default();
    let mut after = after.iter().skip_while(|byte| byte.is_ascii_whitespace());
    after.next() == Some(&b':')
}
