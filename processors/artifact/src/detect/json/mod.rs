//! JSON text with files in strings of it: chat messages, tool calls, request bodies.
//!
//! The text is not parsed into values: senders write NaN, lone surrogates and texts cut short,
//! and parsing costs more than everything else here. It is looked through for the strings in it,
//! and for what stands beside a string in its object. What is no string, or no JSON after all, is
//! looked at as text.

mod denied;
mod escapes;
mod leaves;
mod paths;

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use super::about::{About, Labels};
use super::found::{Found, Literal, PartPlace};
use super::{MAX_LEVELS, PLAIN, Scanner, gate, text};
use crate::encoding::Numbers;
use crate::shapes::Around;
use denied::Denied;
use leaves::{Leaf, Leaves, Object};
pub(crate) use paths::paths_to;

/// Whether the text may be JSON that holds strings: an object, an array, or one string.
pub(super) fn looks_like(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    match text.first() {
        Some(b'{' | b'[') => true,
        Some(b'"') => text.trim_ascii_end().ends_with(b"\"") && text.len() > 1,
        _ => false,
    }
}

/// The files in a JSON text, in ascending order.
pub(super) fn scan(scanner: &mut Scanner<'_>, text: &[u8], about: &About) -> Vec<Found> {
    let min_len = scanner.threshold().min(scanner.base64_len()).max(1);
    let mut leaves = Leaves::of(text, min_len);
    let mut denied = Denied::of(text, &leaves, &scanner.policy.deny_keys);
    let mut all: Vec<Found> = Vec::new();
    // What was read as part of the JSON text.
    let mut read: Vec<Range<usize>> = Vec::new();
    for (leaf, numbers) in std::mem::take(&mut leaves.numbers) {
        read.push(leaf.literal.clone());
        let about = self::about(&mut denied, text, &leaves, &leaf, about);
        all.extend(byte_array(scanner, text, leaf.literal, numbers, &about));
    }
    for leaf in &leaves.strings {
        read.push(leaf.literal.clone());
        let about = self::about(&mut denied, text, &leaves, leaf, about);
        all.extend(string(scanner, text, &leaves, leaf, &about));
    }
    if let Some(beyond) = leaves.beyond.take_if(|beyond| denied.denies(beyond)) {
        read.push(beyond.literal);
    }
    read.sort_unstable_by_key(|range| range.start);
    let mut end = 0;
    let end_of_text = text.len()..text.len();
    for range in read.into_iter().chain(std::iter::once(end_of_text)) {
        let gap = end..range.start;
        end = range.end;
        if gap.len() >= min_len {
            all.extend(in_gap(scanner, text, gap, leaves.open));
        }
    }
    all.sort_by_key(|found| found.range.start);
    all
}

/// Files between the strings of what is only nearly JSON.
///
/// `open` is where a string opens that is not closed.
fn in_gap(
    scanner: &mut Scanner<'_>,
    text: &[u8],
    gap: Range<usize>,
    open: Option<usize>,
) -> Vec<Found> {
    let part = text.get(gap.clone()).unwrap_or_default();
    if !gate::may_hold_file(part, scanner.base64_len()) {
        return Vec::new();
    }
    // What ends here is cut only if the text ends here.
    let level = scanner.level;
    if gap.end != text.len() {
        scanner.level = level.max(1);
    }
    let mut found = text::scan(scanner, part);
    scanner.level = level;
    let places = |places: &[usize]| places.iter().map(|at| at + gap.start).collect();
    Found::translate(&mut found, places);
    // A string that is not closed was cut, whatever is left of it.
    let is_cut = |one: &Found| {
        one.range.end == text.len() && open.is_some_and(|open| open < one.range.start)
    };
    if found.last().is_some_and(is_cut) {
        found.pop();
        scanner.truncated |= level == 0;
    }
    found
}

/// Bytes that JavaScript wrote as an object or array of numbers.
fn byte_array(
    scanner: &Scanner<'_>,
    text: &[u8],
    range: Range<usize>,
    numbers: Numbers,
    about: &About,
) -> Option<Found> {
    if about.denied || numbers.bytes.len() < scanner.threshold() {
        return None;
    }
    let content = scanner.memory.of_bytes(numbers.bytes.into(), numbers.codec);
    let mut found = Found::new(range, content.into(), about.label.as_deref());
    found.file_name.clone_from(&about.file_name);
    if scanner.unescaped > 0 {
        found.note_specials(text);
    }
    scanner.admits(&found).then_some(found)
}

/// The file that a string is, or the files in it.
fn string(
    scanner: &mut Scanner<'_>,
    text: &[u8],
    leaves: &Leaves,
    leaf: &Leaf,
    about: &About,
) -> Vec<Found> {
    let range = leaf.content();
    let Some(content) = text.get(range.clone()) else {
        return Vec::new();
    };
    if about.denied {
        return Vec::new();
    }
    let level = scanner.level;
    scanner.level += 1;
    let mut found = if scanner.level > MAX_LEVELS {
        Vec::new()
    } else if begins_plain(content)
        && let Some(found) = scanner.whole(&PLAIN, content, about)
    {
        // Files are long, and most have no escapes that would have to be looked for.
        found
    } else if memchr(b'\\', content).is_some() {
        escaped(scanner, content, about)
    } else {
        scanner.scan(content, about)
    };
    scanner.level = level;
    let shift = |places: &[usize]| places.iter().map(|at| at + range.start).collect();
    Found::translate(&mut found, shift);
    if let [one] = &mut found[..]
        && one.range == range
        && !one.content.codec.is_json_object()
    {
        let Range { start, end } = leaf.literal;
        one.literal = Some(Literal {
            open: start..range.start,
            close: range.end..end,
        });
        one.part = part(text, leaves, leaf);
    }
    found
}

/// Whether a string begins like base64 or a data URI, without escapes.
fn begins_plain(content: &[u8]) -> bool {
    let head = content.get(..64).unwrap_or(content);
    head.iter()
        .all(|c| c.is_ascii_graphic() && !matches!(c, b'\\' | b'{' | b'['))
}

/// The files in the text of a string that has escapes.
fn escaped(scanner: &mut Scanner<'_>, content: &[u8], about: &About) -> Vec<Found> {
    if content.len() > scanner.budget || !gate::may_hold_file(content, scanner.base64_len()) {
        return Vec::new();
    }
    scanner.budget -= content.len();
    scanner.unescaped += 1;
    let plain = escapes::unescape(content);
    let mut found = scanner.scan(&plain, about);
    scanner.unescaped -= 1;
    scanner.budget += content.len();
    Found::translate(&mut found, |places| escapes::origins(content, places));
    found
}

/// What the object of a value says about it.
fn about(
    denied: &mut Denied<'_>,
    text: &[u8],
    leaves: &Leaves,
    leaf: &Leaf,
    outside: &About,
) -> About {
    let key = text.get(leaf.key.clone()).unwrap_or_default();
    let own = leaves.object(leaf);
    let labels = own.map(|object| labels(text, object)).unwrap_or_default();
    let outer = own.and_then(|object| leaves.around(object));
    let mut label = labels.media_type().map(str::to_owned);
    let mut file_name = labels.file_name().map(str::to_owned);
    if let Some(outer) = outer {
        let outer = self::labels(text, outer);
        // Answers with several pictures say once, around them, what they are.
        if key == b"b64_json" {
            label = label.or_else(|| outer.media_type().map(str::to_owned));
        }
        if own.is_some_and(|own| text.get(own.key.clone()) == Some(b"source")) {
            file_name = file_name.or_else(|| outer.file_name().map(str::to_owned));
        }
    }
    if own.is_none() && leaf.literal.len() == text.trim_ascii().len() {
        // A text of one value is what the text around it says.
        label.clone_from(&outside.label);
        file_name.clone_from(&outside.file_name);
    }
    About {
        label,
        file_name,
        denied: denied.denies(leaf),
    }
}

fn labels(text: &[u8], object: &Object) -> Labels {
    let mut labels = Labels::default();
    for (key, value) in &object.members {
        if let Some(value) = value
            && let (Some(key), Some(value)) = (text.get(key.clone()), text.get(value.clone()))
        {
            labels.note(key, &plain(value));
        }
    }
    labels
}

/// The text of a short string.
fn plain(content: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\\', content).is_some() {
        Cow::Owned(escapes::unescape(content))
    } else {
        Cow::Borrowed(content)
    }
}

/// The message part that a string is the payload of.
fn part(text: &[u8], leaves: &Leaves, leaf: &Leaf) -> Option<PartPlace> {
    let object = leaves.object(leaf)?;
    let word = |range: &Range<usize>| std::str::from_utf8(text.get(range.clone())?).ok();
    let keys: Vec<&str> = object
        .members
        .iter()
        .filter_map(|(key, _)| word(key))
        .collect();
    let mut kinds = object
        .members
        .iter()
        .filter(|(key, _)| word(key) == Some("type"));
    let kind = kinds.next().and_then(|(_, value)| value.clone());
    let kind = kind.filter(|_| kinds.next().is_none());
    let around = Around {
        key: word(&leaf.key)?,
        kind: kind.as_ref().and_then(word),
        holder: word(&object.key),
        keys,
    };
    let fit = around.fit()?;
    let (rewrite, _) = fit.entry()?;
    let word = match rewrite.word {
        crate::shapes::Word::Type => kind?,
        crate::shapes::Word::Holder => object.key.clone(),
    };
    Some(PartPlace {
        fit,
        word,
        key: leaf.key.clone(),
        key_quote: leaf.key.start.checked_sub(1)?,
    })
}
