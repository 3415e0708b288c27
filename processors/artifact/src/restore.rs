use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use slimspan_proto::{Edit, Malformed, OnMalformed, Signal, Splice, Value, ValueKind, Walk, walk};

use crate::encoding::{Codec, Written};
use crate::extract::SHORTEST_REFERENCE;
use crate::placement::{Change, REF, restore_link, restore_part};
use crate::reference::Standing;
use crate::reference::list::Listed;
use crate::reference::mention::{Mention, Mentions, Style};
use crate::{Digest, Location};

/// What [`restore`] makes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// The request with artifacts in place of references.
    pub request: Bytes,
    /// How many references were replaced.
    pub restored: usize,
    /// The references that stay, because their artifacts could not be had.
    pub left: Vec<Unrestored>,
}

/// Why a reference stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unrestored {
    /// Nobody has the bytes.
    Missing(Digest),
    /// The bytes that were fetched are others.
    Corrupt(Digest),
    /// The bytes were given up when the reference was made.
    Dropped(Digest),
    /// What the reference asks for is more than anything that is taken out.
    TooLarge(Digest),
    /// The request would become larger than it may.
    NoRoom(Digest),
}

/// No request is larger: protobuf libraries refuse more.
const LARGEST: usize = 2 << 30;

impl fmt::Display for Unrestored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(digest) => write!(f, "artifact {digest} is missing"),
            Self::Corrupt(digest) => write!(
                f,
                "artifact {digest} is corrupt: its bytes have another digest"
            ),
            Self::Dropped(digest) => write!(
                f,
                "artifact {digest} was dropped when its reference was made"
            ),
            Self::TooLarge(digest) => write!(
                f,
                "artifact {digest} would be larger in its place than anything that is taken out: the \
                 reference is damaged or somebody else's"
            ),
            Self::NoRoom(digest) => write!(
                f,
                "artifact {digest} would make the request larger than one may become"
            ),
        }
    }
}

/// Undoes [`extract`](crate::extract): puts the artifacts back where references stand, in whatever
/// form they are.
///
/// `location` is where the references point to: links to other places are nobody's references.
/// `fetch` gives the bytes of an artifact; they are checked against their digest, and what was
/// checked is not asked for again. What `extract` made comes back byte for byte. References whose
/// artifact cannot be had stay, and are listed; so do those behind which the request would be larger
/// than 2 GiB.
pub fn restore(
    signal: Signal,
    request: &Bytes,
    location: &Location,
    fetch: impl FnMut(Digest) -> Option<Bytes>,
) -> Result<Restoration, Malformed> {
    restore_within(LARGEST, signal, request, location, fetch)
}

/// The same for a request that may become at most so large, but for the lengths of messages around
/// what is put back, which may get longer. That is counted from its front to its back, with every
/// reference that is replaced taken off.
pub fn restore_within(
    largest: usize,
    signal: Signal,
    request: &Bytes,
    location: &Location,
    fetch: impl FnMut(Digest) -> Option<Bytes>,
) -> Result<Restoration, Malformed> {
    let mut restoration = Restoration {
        request: request.clone(),
        restored: 0,
        left: Vec::new(),
    };
    if let Some(changes) = changes(largest, signal, request, location, fetch)? {
        restoration.restored = changes.restored;
        restoration.left = changes.left;
        if !changes.splice.is_empty() {
            restoration.request = changes.splice.apply(request)?.into();
        }
    }
    Ok(restoration)
}

/// Calls `found` for every reference of a request whose artifact is wanted to restore it. Makes no
/// other request.
pub fn references(
    signal: Signal,
    request: &[u8],
    location: &Location,
    mut found: impl FnMut(Digest),
) -> Result<(), Malformed> {
    let fetch = |digest| {
        found(digest);
        None
    };
    changes(usize::MAX, signal, request, location, fetch).map(|_| ())
}

/// What restoring changes.
struct Changes {
    splice: Splice,
    restored: usize,
    left: Vec<Unrestored>,
}

/// None where there can be no reference.
fn changes(
    largest: usize,
    signal: Signal,
    request: &[u8],
    location: &Location,
    fetch: impl FnMut(Digest) -> Option<Bytes>,
) -> Result<Option<Changes>, Malformed> {
    let mentions = Mentions::of(location);
    // Metrics and profiles are never changed, so there is nothing to undo in them.
    if matches!(signal, Signal::Metrics | Signal::Profiles) || !mentions.any(request) {
        return Ok(None);
    }
    let mut restorer = Restorer {
        fetch,
        read: HashMap::new(),
        in_vain: largest.min(LARGEST),
        had_no_room: false,
        mentions: &mentions,
        room: largest.saturating_sub(request.len()),
        restored: 0,
        left: Vec::new(),
    };
    // The same way through the request as the extractor's when it marks what it did not write.
    let everything = Walk {
        min_len: SHORTEST_REFERENCE,
        on_malformed: OnMalformed::StepOver,
    };
    let splice = walk(signal, request, everything, |value, edit| {
        restorer.visit(value, edit);
    })?;
    Ok(Some(Changes {
        splice,
        restored: restorer.restored,
        left: restorer.left,
    }))
}

struct Restorer<'m, F> {
    fetch: F,
    /// The artifacts whose digests were looked at; none where the bytes are others.
    read: HashMap<Digest, Option<Bytes>>,
    /// How many more bytes are written before it turns out that they are too many in their place.
    /// A text can ask for that very often.
    in_vain: usize,
    /// Whether something had no room.
    had_no_room: bool,
    mentions: &'m Mentions,
    /// How much larger the request may become.
    room: usize,
    restored: usize,
    left: Vec<Unrestored>,
}

impl<F: FnMut(Digest) -> Option<Bytes>> Restorer<'_, F> {
    fn visit(&mut self, value: &Value<'_>, edit: &mut Edit<'_>) {
        match value.kind {
            ValueKind::String => self.string(value, edit),
            ValueKind::KeyValueList if value.canonical => self.list(value, edit),
            _ => {}
        }
    }

    fn list(&mut self, value: &Value<'_>, edit: &mut Edit<'_>) {
        let left = self.left.len();
        if let Some(listed) = Listed::read(value.content) {
            if listed.is_marked() {
                let unmarked = listed.unmark();
                self.room += value.content.len().saturating_sub(unmarked.len());
                edit.set_list(&unmarked);
            } else if let Some(original) = self.original(&listed.standing, value.content.len()) {
                set(edit, &listed.standing, &original);
            }
        } else {
            let mentions = self.mentions;
            let standing = |text: &[u8]| whole(mentions.within(text), text.len());
            let list = restore_link(value.content, standing, |standing, replaced| {
                self.original(standing, replaced)
            });
            if let Some(list) = list {
                edit.set_list(&list);
            }
        }
        if self.left.len() > left {
            // It stays, and so does what is in it: a preview can name any artifact.
            edit.keep();
        }
    }

    fn string(&mut self, value: &Value<'_>, edit: &mut Edit<'_>) {
        let content = value.content;
        let mentions = self.mentions.within(content);
        if let [mention] = &mentions[..]
            && mention.range == (0..content.len())
            && !mention.is_marked()
            && !mention.standing.written.literal
        {
            // The list that is the link was asked already, and its artifact could not be had.
            if mention.standing.written.part.is_some() {
                return;
            }
            let written = &mention.standing.written;
            let kind = kind(&mention.standing);
            let renamed = written
                .renamed
                .then(|| value.key.strip_suffix(REF))
                .flatten();
            let replaced = content.len() + renamed.map_or(0, |_| REF.len());
            let Some(original) = self.original(&mention.standing, replaced) else {
                return;
            };
            if !renamed.is_some_and(|key| edit.set_entry(key, kind, &original)) {
                set(edit, &mention.standing, &original);
            }
            return;
        }
        let mut changes = Vec::new();
        for mention in &mentions {
            if mention.is_marked() {
                let (range, with) = mention.unmark();
                self.room += range.len().saturating_sub(with.len());
                changes.push(Change {
                    range,
                    with,
                    is_reference: false,
                });
            } else {
                self.within(content, mention, &mut changes);
            }
        }
        changes.sort_by_key(|change| change.range.start);
        for Change { range, with, .. } in changes {
            edit.replace(range, with);
        }
    }

    /// The changes that put back what a reference within a text stands for.
    fn within(&mut self, content: &[u8], mention: &Mention, changes: &mut Vec<Change>) {
        let written = &mention.standing.written;
        let mut range = mention.range.clone();
        let mut around = Vec::new();
        let quote = match mention.style {
            Style::Object { backslashes } if !written.codec.is_json_object() => {
                [vec![b'\\'; backslashes], vec![b'"']].concat()
            }
            _ => Vec::new(),
        };
        if written.quotes {
            let quote = written.quote();
            let opened = content
                .get(..range.start)
                .is_some_and(|text| text.ends_with(quote));
            let closed = content
                .get(range.end..)
                .is_some_and(|text| text.starts_with(quote));
            if !opened || !closed {
                return;
            }
            range = range.start - quote.len()..range.end + quote.len();
        }
        if let Some(part) = &written.part {
            let Some(undone) = restore_part(content, &mention.range, part) else {
                return;
            };
            around = undone;
        }
        // There are no bytes in a text.
        if written.codec == Codec::Bytes {
            return;
        }
        let removed = range.len()
            + around
                .iter()
                .map(|change| change.range.len())
                .sum::<usize>();
        let added = 2 * quote.len() + around.iter().map(|change| change.with.len()).sum::<usize>();
        // What is added beside it is less than what is removed: a reference is longer.
        let replaced = removed.saturating_sub(added);
        if let Some(original) = self.original(&mention.standing, replaced) {
            let with = [&quote[..], &original, &quote].concat();
            changes.push(Change {
                range,
                with,
                is_reference: false,
            });
            changes.append(&mut around);
        }
    }

    /// What comes in place of so many bytes, if there is room for it.
    fn original(&mut self, standing: &Standing, replaced: usize) -> Option<Vec<u8>> {
        let room = self.room.saturating_add(replaced);
        match self.write(standing, room) {
            Ok(original) => {
                self.room = room.saturating_sub(original.len());
                self.restored += 1;
                Some(original)
            }
            Err(why) => {
                self.left.push(why);
                None
            }
        }
    }

    fn write(&mut self, standing: &Standing, room: usize) -> Result<Vec<u8>, Unrestored> {
        let digest = standing.digest;
        if standing.dropped {
            return Err(Unrestored::Dropped(digest));
        }
        let bytes = match self.read.get(&digest) {
            Some(Some(bytes)) => bytes.clone(),
            Some(None) => return Err(Unrestored::Corrupt(digest)),
            None => (self.fetch)(digest).ok_or(Unrestored::Missing(digest))?,
        };
        // No way to write them makes less of them, and to read them takes longest.
        let longest = Written::longest(bytes.len());
        let limit = room.min(longest);
        if bytes.len() > limit {
            return Err(self.no_room(digest));
        }
        if self.in_vain == 0 {
            // What was too large in any request would be so with more room, too.
            return Err(if self.had_no_room {
                Unrestored::NoRoom(digest)
            } else {
                Unrestored::TooLarge(digest)
            });
        }
        let read = self.read.entry(digest);
        let read = read.or_insert_with(|| (Digest::of(&bytes) == digest).then(|| bytes.clone()));
        if read.is_none() {
            return Err(Unrestored::Corrupt(digest));
        }
        let original = standing.written.write_within(&bytes, limit);
        original.map_err(|len| {
            self.in_vain = self.in_vain.saturating_sub(bytes.len());
            if len > longest {
                Unrestored::TooLarge(digest)
            } else {
                self.no_room(digest)
            }
        })
    }

    fn no_room(&mut self, digest: Digest) -> Unrestored {
        self.had_no_room = true;
        Unrestored::NoRoom(digest)
    }
}

/// What the text says that is a reference as a whole, and ours.
fn whole(mentions: Vec<Mention>, len: usize) -> Option<Standing> {
    let [mention] = <[Mention; 1]>::try_from(mentions).ok()?;
    let whole = mention.range == (0..len) && !mention.is_marked();
    whole.then_some(mention.standing)
}

fn kind(standing: &Standing) -> ValueKind {
    match standing.written.codec {
        Codec::Bytes => ValueKind::Bytes,
        _ => ValueKind::String,
    }
}

fn set(edit: &mut Edit<'_>, standing: &Standing, original: &[u8]) {
    match kind(standing) {
        ValueKind::Bytes => edit.set_bytes(original),
        _ => edit.set_string(original),
    }
}
