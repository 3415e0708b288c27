//! References in texts, ours and those that a sender wrote.
//!
//! A value that is one of our references to the letter is data like any other and must come back
//! as it was, yet nothing in its text tells it from a real one. So every such text is marked on
//! the way in, by a word after its type or a folder in its URI, and the mark is taken away on the
//! way back: as many times as a text was marked before, one more or one less. Text that is only
//! similar is nobody's reference, and stays as it is.

use std::ops::Range;

use memchr::memmem;

use super::object::Stem;
use super::uri::{Bases, is_of_scheme};
use super::{Standing, list, object};
use crate::Location;

/// A reference in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    /// All of it.
    pub(crate) range: Range<usize>,
    pub(crate) standing: Standing,
    pub(crate) style: Style,
    /// Where a mark goes in.
    mark_at: usize,
    /// The length of the marks that it has.
    marks: usize,
}

/// How a reference is written in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// As a URI.
    Uri,
    /// As an object.
    Object {
        /// How many backslashes stand in front of its quotes.
        backslashes: usize,
    },
}

/// Finds the references in texts.
pub(crate) struct Mentions {
    bases: Bases,
    finders: [memmem::Finder<'static>; 3],
}

impl Mentions {
    /// Finds URIs at this location, and objects.
    pub(crate) fn of(location: &Location) -> Self {
        let bases = Bases::of(location);
        let [here, scheme] = bases
            .needles()
            .map(|needle| memmem::Finder::new(needle).into_owned());
        Self {
            bases,
            finders: [here, scheme, memmem::Finder::new(object::NEEDLE)],
        }
    }

    /// Whether there can be a reference in `bytes`, or a text that holds bytes; they are a part of a
    /// request that nothing was taken out of: references that reach beyond it count.
    pub(crate) fn any(&self, bytes: &[u8]) -> bool {
        let [here, scheme, objects] = &self.finders;
        here.find(bytes).is_some()
            || scheme.find_iter(bytes).any(|at| is_of_scheme(bytes, at))
            || objects.find_iter(bytes).any(|at| is_of_object(bytes, at))
    }

    /// The most references, and texts that hold bytes, that there can be in `bytes`, which are as for
    /// [`any`](Self::any).
    pub(crate) fn at_most(&self, bytes: &[u8]) -> usize {
        let [here, scheme, objects] = &self.finders;
        let objects = objects.find_iter(bytes);
        let schemes = scheme.find_iter(bytes);
        here.find_iter(bytes).count()
            + schemes.filter(|at| is_of_scheme(bytes, *at)).count()
            + objects.filter(|at| is_of_object(bytes, *at)).count()
    }

    /// The references in `text`, in ascending order.
    pub(crate) fn within(&self, text: &[u8]) -> Vec<Mention> {
        let [here, scheme, objects] = &self.finders;
        let mut all: Vec<Mention> = objects
            .find_iter(text)
            .filter_map(|at| Stem::before(text, at)?.read(text))
            .map(|sighting| Mention {
                range: sighting.start..sighting.start + sighting.len,
                standing: sighting.standing,
                style: Style::Object {
                    backslashes: sighting.backslashes,
                },
                mark_at: sighting.mark_at,
                marks: sighting.marks,
            })
            .collect();
        let uris = [here, scheme].into_iter().flat_map(|finder| {
            finder.find_iter(text).filter_map(|start| {
                let (standing, len, mark_at, marks) = self.bases.read(text.get(start..)?)?;
                Some(Mention {
                    range: start..start + len,
                    standing,
                    style: Style::Uri,
                    mark_at: start + mark_at,
                    marks,
                })
            })
        });
        all.extend(uris);
        // An object has a URI in it, and may have an object in its preview.
        all.sort_by_key(|mention| (mention.range.start, std::cmp::Reverse(mention.range.end)));
        let mut end = 0;
        all.retain(|mention| {
            let outermost = mention.range.start >= end;
            if outermost {
                end = mention.range.end;
            }
            outermost
        });
        all
    }
}

/// Whether the `sha256` at `at` can be that of an object.
fn is_of_object(bytes: &[u8], at: usize) -> bool {
    list::begins(bytes, at) || Stem::before(bytes, at).is_some()
}

impl Mention {
    /// Whether a sender wrote it.
    pub(crate) fn is_marked(&self) -> bool {
        self.marks > 0
    }

    /// The change that marks it once more.
    pub(crate) fn mark(&self) -> (Range<usize>, Vec<u8>) {
        (self.mark_at..self.mark_at, self.style.mark())
    }

    /// The change that takes a mark away.
    pub(crate) fn unmark(&self) -> (Range<usize>, Vec<u8>) {
        let end = self.mark_at + self.style.mark().len();
        (self.mark_at..end, Vec::new())
    }
}

impl Style {
    fn mark(self) -> Vec<u8> {
        match self {
            Self::Uri => Bases::mark(),
            Self::Object { .. } => object::mark(),
        }
    }
}
