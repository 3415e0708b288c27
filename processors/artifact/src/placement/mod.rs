//! What comes in place of a file: which form of reference, and what changes around it.

mod link;
mod part;

use std::ops::Range;

use slimspan_proto::{Edit, MAX_DEPTH, Value, ValueKind};

use crate::Policy;
use crate::detect::Found;
use crate::encoding::{AllEscaped, Codec, Written};
use crate::policy::{Action, Form};
use crate::reference::Reference;
use crate::reference::mention::Mention;
use crate::reference::object::Kind;
use crate::reference::uri;

pub(crate) use link::restore_link;
pub(crate) use part::restore_part;

/// What the name of an attribute is extended by whose value is a link to the value.
pub(crate) const REF: &[u8] = b"_ref";

/// A change to a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) range: Range<usize>,
    pub(crate) with: Vec<u8>,
    /// Whether a reference comes with it.
    pub(crate) is_reference: bool,
}

/// A file that a reference came in place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replaced {
    /// Its number among the files of the value.
    pub(crate) number: usize,
    /// Bytes that changed, and what they became.
    pub(crate) before: usize,
    pub(crate) after: usize,
}

impl Replaced {
    /// The only file of a value, which it was as a whole.
    pub(crate) fn whole(content: &[u8], whole: &Whole) -> Self {
        Self {
            number: 0,
            before: content.len(),
            after: whole.len(),
        }
    }
}

/// What has a place in a text.
pub(crate) trait Placed {
    fn range(&self) -> &Range<usize>;
}

impl Placed for Found {
    fn range(&self) -> &Range<usize> {
        &self.range
    }
}

impl Placed for Mention {
    fn range(&self) -> &Range<usize> {
        &self.range
    }
}

/// Those of `placed`, which are in ascending order and apart, that share characters with `span`.
pub(crate) fn overlapping<'p, T: Placed>(
    placed: &'p [T],
    span: &Range<usize>,
) -> impl Iterator<Item = &'p T> + use<'p, T> {
    let first = placed.partition_point(|one| one.range().end <= span.start);
    let end = span.end;
    let rest = placed.get(first..).unwrap_or_default();
    rest.iter().take_while(move |one| one.range().start < end)
}

/// Whether all of `inner` is within `outer`.
pub(crate) fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// What comes in place of a whole value.
pub(crate) enum Whole {
    /// A string.
    String(Vec<u8>),
    /// The encoding of a kvlist.
    List(Vec<u8>),
    /// A string beside another key; or, where that cannot be, a string.
    Entry {
        key: Vec<u8>,
        text: Vec<u8>,
        otherwise: Vec<u8>,
    },
}

impl Whole {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::String(text) | Self::List(text) => text.len(),
            Self::Entry { text, .. } => text.len() + REF.len(),
        }
    }

    /// Makes it the value.
    pub(crate) fn replace(&self, edit: &mut Edit<'_>) {
        match self {
            Self::String(text) => edit.set_string(text),
            Self::List(list) => edit.set_list(list),
            Self::Entry {
                key,
                text,
                otherwise,
            } => {
                if !edit.set_entry(key, ValueKind::String, text) {
                    edit.set_string(otherwise);
                }
            }
        }
    }
}

/// The messages within each other that a reference has which is a kvlist: the list, a member and
/// its value.
const LIST_DEPTH: usize = 3;

/// Places the references of one value.
pub(crate) struct Placement<'p, 'v, 'a> {
    policy: &'p Policy,
    action: Action,
    /// Whether the attribute may get another name.
    may_rename: bool,
    value: &'v Value<'a>,
}

impl<'p, 'v, 'a> Placement<'p, 'v, 'a> {
    pub(crate) fn new(
        policy: &'p Policy,
        action: Action,
        may_rename: bool,
        value: &'v Value<'a>,
    ) -> Self {
        Self {
            policy,
            action,
            may_rename,
            value,
        }
    }

    /// What comes in place of a value that is a file as a whole; none where it would not be
    /// smaller.
    pub(crate) fn whole(&self, found: &Found) -> Option<Whole> {
        if !self.value.canonical {
            return None;
        }
        let content = self.value.content;
        let mut written = written(content, found)?;
        let whole = match self.object(found) {
            // A backend reads no list that is too deep, but any text. The request is no level.
            Some(kind) if self.value.nested && self.value.depth + LIST_DEPTH <= MAX_DEPTH + 1 => {
                Whole::List(self.reference(found, &written).to_list(kind))
            }
            Some(kind) => Whole::String(self.reference(found, &written).to_json(kind, 0)?),
            None if self.may_rename => {
                let otherwise = self.reference(found, &written).to_uri(None).into_bytes();
                written.renamed = true;
                Whole::Entry {
                    key: [self.value.key, REF].concat(),
                    text: self.reference(found, &written).to_uri(None).into_bytes(),
                    otherwise,
                }
            }
            None => Whole::String(self.reference(found, &written).to_uri(None).into_bytes()),
        };
        (whole.len() < content.len()).then_some(whole)
    }

    /// The changes that put references in place of the files within a string, and what they
    /// replace. Files whose reference would not be smaller stay.
    pub(crate) fn within(
        &self,
        found: &[Found],
        mentions: &[Mention],
    ) -> (Vec<Change>, Vec<Replaced>) {
        let mut changes = Vec::new();
        let mut replaced = Vec::new();
        // What stands before this is done already: two payloads can have one type beside them.
        let mut done = 0;
        for (number, one) in found.iter().enumerate() {
            let alone = |span: &Range<usize>| {
                done <= span.start
                    && overlapping(found, span).take(2).count() == 1
                    && overlapping(mentions, span).next().is_none()
            };
            let next = match found.get(number + 1) {
                // It will start with another reference.
                Some(next) if next.range.start == one.range.end => Some(uri::END),
                _ => self.value.content.get(one.range.end).copied(),
            };
            let Some(of_one) = self.one(one, next, alone) else {
                continue;
            };
            let before = of_one.iter().map(|change| change.range.len()).sum();
            let after = of_one.iter().map(|change| change.with.len()).sum();
            if after < before {
                replaced.push(Replaced {
                    number,
                    before,
                    after,
                });
                let ends = of_one.iter().map(|change| change.range.end);
                done = ends.fold(done, usize::max);
                changes.extend(of_one);
            }
        }
        (changes, replaced)
    }

    /// The changes for one file, behind which the text goes on with `next`; `alone` tells whether
    /// nothing else changes in a stretch.
    fn one(
        &self,
        found: &Found,
        next: Option<u8>,
        alone: impl Fn(&Range<usize>) -> bool,
    ) -> Option<Vec<Change>> {
        let content = self.value.content;
        let mut written = written(content, found)?;
        if let Some(change) = self.object_within(found, &mut written) {
            return Some(vec![change]);
        }
        if self.policy.form == Form::Native
            && let Some(changes) = self.part_within(found, &mut written, alone)
        {
            return Some(changes);
        }
        let range = found.range.clone();
        let with = if found.codec.is_json_object() {
            written.quotes = true;
            let quote = written.quote();
            let uri = self
                .reference(found, &written)
                .to_uri(quote.first().copied());
            [quote, uri.as_bytes(), quote].concat()
        } else {
            self.reference(found, &written).to_uri(next).into_bytes()
        };
        Some(vec![Change {
            range,
            with,
            is_reference: true,
        }])
    }

    /// An object in place of a string in JSON, with its quotes, or of an object.
    fn object_within(&self, found: &Found, written: &mut Written) -> Option<Change> {
        let kind = self.object(found)?;
        let content = self.value.content;
        let (range, quote) = if found.codec.is_json_object() {
            (found.range.clone(), written.quote().to_vec())
        } else {
            let literal = found.literal.as_ref()?;
            let open = content.get(literal.open.clone())?;
            if content.get(literal.close.clone())? != open {
                return None;
            }
            (literal.open.start..literal.close.end, open.to_vec())
        };
        let backslashes = quote.strip_suffix(b"\"")?;
        if !backslashes.iter().all(|c| *c == b'\\') {
            return None;
        }
        written.literal = range == (0..content.len());
        let with = self
            .reference(found, written)
            .to_json(kind, backslashes.len());
        if with.is_none() {
            written.literal = false;
        }
        with.map(|with| Change {
            range,
            with,
            is_reference: true,
        })
    }

    /// The kind of object that stands for the file, if an object does.
    fn object(&self, found: &Found) -> Option<Kind> {
        match self.policy.form {
            Form::Object => Some(Kind::Artifact),
            // Logfire's SDK says in another attribute that such a value is a string.
            Form::Logfire if found.codec == (Codec::PythonRepr { quoted: false }) => None,
            Form::Logfire => Some(Kind::Logfire),
            // A link to a text says nothing; the object has a preview.
            Form::Native if found.codec == Codec::Text => Some(Kind::Artifact),
            Form::Native | Form::Uri | Form::Semconv => None,
        }
    }

    fn reference<'f>(&'f self, found: &'f Found, written: &'f Written) -> Reference<'f> {
        let dropped = self.action == Action::Drop || self.policy.dropped.contains(&found.digest);
        Reference {
            digest: found.digest,
            media_type: &found.media_type,
            size: found.bytes.len() as u64,
            file_name: found.file_name.as_deref(),
            preview: self.preview(found),
            location: (!dropped).then_some(&self.policy.location),
            written,
        }
    }

    /// The beginning of a text, up to the end of a character.
    fn preview<'f>(&self, found: &'f Found) -> Option<&'f str> {
        if found.codec != Codec::Text || self.policy.preview == 0 {
            return None;
        }
        let text = std::str::from_utf8(&found.bytes).ok()?;
        text.get(..text.floor_char_boundary(self.policy.preview))
    }
}

/// How the file stands in `content`; none where it would not come back as it is.
fn written(content: &[u8], found: &Found) -> Option<Written> {
    if found.range.len() > Written::longest(found.bytes.len()) {
        return None;
    }
    let mut written = Written {
        prefix: content.get(found.range.start..found.payload)?.to_vec(),
        lines: found.lines,
        ..Written::new(found.codec)
    };
    if !found.rewritten {
        return Some(written);
    }
    for (plain, at) in &found.specials {
        let form = content.get(at.clone())?;
        if form != [*plain] {
            written.escapes.push((*plain, form.to_vec()));
        }
    }
    let text = content.get(found.range.clone())?;
    if written.write(&found.bytes) == text {
        return Some(written);
    }
    written.escapes.clear();
    let payload = content.get(found.payload..found.range.end)?;
    written.all_escaped = Some(AllEscaped::of(payload, &written.plain(&found.bytes))?);
    Some(written)
}
