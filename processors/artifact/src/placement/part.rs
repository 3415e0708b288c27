//! Message parts in JSON texts that become links.

use std::ops::Range;

use super::{Change, Placement};
use crate::detect::Found;
use crate::encoding::{PartToken, Target, Written};
use crate::reference::object::levels;
use crate::shapes::Fit;

/// A quote in a JSON string, as serializers write it that escape what HTML must not have.
const ESCAPED: &[u8] = br"\u0022";

impl Placement<'_, '_, '_> {
    /// The changes that make the part around the file a link to it, if its provider has such.
    pub(super) fn part_within(
        &self,
        found: &Found,
        written: &mut Written,
        alone: impl Fn(&Range<usize>) -> bool,
    ) -> Option<Vec<Change>> {
        let content = self.value.content;
        let place = found.part.as_ref()?;
        let literal = found.literal.as_ref()?;
        let (_, variant) = place.fit.entry()?;
        let (word, key) = (place.word.clone(), place.key.clone());
        let quote = content.get(place.key_quote..key.start)?;
        // The same quotes everywhere, such as we can find again, and the words as we know them.
        let plain = quote == ESCAPED
            || quote.strip_suffix(b"\"").is_some_and(|before| {
                before.iter().all(|c| *c == b'\\') && levels(before.len()).is_some()
            });
        if !plain
            || content.get(literal.open.clone())? != quote
            || content.get(word.clone())? != variant.word.0.as_bytes()
            || content.get(key.clone())? != variant.key.0.as_bytes()
        {
            return None;
        }
        let start = word.start.min(place.key_quote);
        let end = word.end.max(found.range.end);
        if !alone(&(start..end)) {
            return None;
        }
        let mut changes = Vec::new();
        let mut change = |range: Range<usize>, with: &[u8]| {
            if content.get(range.clone()) != Some(with) {
                changes.push(Change {
                    range,
                    with: with.to_vec(),
                    is_reference: false,
                });
            }
        };
        change(word.clone(), variant.word.1.as_bytes());
        let mut added = Vec::new();
        for (name, value) in place.fit.added(&found.media_type) {
            for part in [
                quote,
                name.as_bytes(),
                quote,
                b":",
                quote,
                value.as_bytes(),
                quote,
                b",",
            ] {
                added.extend_from_slice(part);
            }
        }
        change(place.key_quote..place.key_quote, &added);
        change(key.clone(), variant.key.1.as_bytes());
        if changes.is_empty() {
            return None;
        }
        let target = |at: usize| -> Target {
            let between = |range: Range<usize>| -> isize {
                let within = changes.iter().filter(|c| range.contains(&c.range.start));
                within
                    .map(|c| c.with.len().cast_signed() - c.range.len().cast_signed())
                    .sum()
            };
            if at < found.range.start {
                let distance = found.range.start - at;
                let moved = between(at..found.range.start);
                Target::Before(distance.saturating_add_signed(moved))
            } else {
                let distance = at - found.range.end;
                let moved = between(found.range.end..at);
                Target::After(distance.saturating_add_signed(moved))
            }
        };
        written.part = Some(PartToken {
            targets: Some((target(word.start), target(key.start))),
            ..token(place.fit)?
        });
        let range = found.range.clone();
        let next = content.get(range.end).copied();
        let uri = self.reference(found, written).to_uri(next);
        changes.push(Change {
            range,
            with: uri.into_bytes(),
            is_reference: true,
        });
        Some(changes)
    }
}

pub(super) fn token(fit: Fit) -> Option<PartToken> {
    let (rewrite, _) = fit.entry()?;
    Some(PartToken {
        rewrite: rewrite.name.to_owned(),
        variant: fit.variant,
        added: fit.initials().to_owned(),
        targets: None,
    })
}

pub(super) fn fit(token: &PartToken) -> Option<Fit> {
    Fit::of_token(&token.rewrite, token.variant, &token.added)
}

/// The changes that undo those around the link at `link` in `content`.
pub(crate) fn restore_part(
    content: &[u8],
    link: &Range<usize>,
    token: &PartToken,
) -> Option<Vec<Change>> {
    let fit = fit(token)?;
    let (_, variant) = fit.entry()?;
    let (word, key) = token.targets?;
    let at = |target: Target| match target {
        Target::Before(distance) => link.start.checked_sub(distance),
        Target::After(distance) => link.end.checked_add(distance),
    };
    let (word_at, key_at) = (at(word)?, at(key)?);
    let mut changes = Vec::new();
    let mut back = |at: usize, (of_value, of_link): (&str, &str)| {
        let range = at..at.checked_add(of_link.len())?;
        if content.get(range.clone())? != of_link.as_bytes() {
            return None;
        }
        if of_value != of_link {
            changes.push(Change {
                range,
                with: of_value.as_bytes().to_vec(),
                is_reference: false,
            });
        }
        Some(())
    };
    back(word_at, variant.word)?;
    back(key_at, variant.key)?;
    // The members in front of the key, from the last to the first.
    let before = content.get(..key_at)?;
    let quote = if before.ends_with(ESCAPED) {
        ESCAPED
    } else {
        let before = before.strip_suffix(b"\"")?;
        let backslashes = before.iter().rev().take_while(|c| **c == b'\\').count();
        content.get(key_at - 1 - backslashes..key_at)?
    };
    let added_end = key_at - quote.len();
    let mut rest = content.get(..added_end)?;
    for name in fit.added_keys().rev() {
        let value = rest.strip_suffix(b",")?.strip_suffix(quote)?;
        let opened = value.get(..memchr::memmem::rfind(value, quote)?)?;
        rest = opened.strip_suffix(b":")?.strip_suffix(quote)?;
        rest = rest.strip_suffix(name.as_bytes())?.strip_suffix(quote)?;
    }
    if rest.len() < added_end {
        changes.push(Change {
            range: rest.len()..added_end,
            with: Vec::new(),
            is_reference: false,
        });
    }
    Some(changes)
}
