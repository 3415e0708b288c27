//! Message parts that are kvlists and become links.

use slimspan_proto::{Member, Members, Order, ValueKind};

use super::Placement;
use super::part::{fit, token};
use crate::detect::{About, Found, Labels};
use crate::encoding::{Codec, Written};
use crate::pattern::Pattern;
use crate::policy::{BytesValues, Form};
use crate::reference::Standing;
use crate::shapes::{Around, Fit, Word};

/// No message part has more members.
const MAX_MEMBERS: usize = 32;

/// No key that a message part has to have is longer.
const MAX_HOLDER: usize = 64;

/// A message part with a payload.
pub(crate) struct ListPart<'a> {
    members: Vec<Member<'a>>,
    payload: usize,
    fit: Fit,
}

impl<'a> ListPart<'a> {
    /// The member that holds the bytes.
    pub(crate) fn payload(&self) -> Option<Member<'a>> {
        self.members.get(self.payload).copied()
    }

    /// The other members.
    pub(crate) fn others(&self) -> impl Iterator<Item = &'a [u8]> {
        let members = self.members.iter().enumerate();
        members
            .filter(|(number, _)| *number != self.payload)
            .map(|(_, member)| member.encoded)
    }

    /// What the others say about it, where the part stands in an attribute.
    pub(crate) fn about(&self, deny_keys: &[Pattern]) -> About {
        let mut labels = Labels::default();
        for member in &self.members {
            if member.kind == ValueKind::String {
                labels.note(member.key, member.content);
            }
        }
        let key = self
            .payload()
            .map(|payload| payload.key)
            .unwrap_or_default();
        About::new(key, &labels, deny_keys)
    }
}

impl<'a> Placement<'_, '_, 'a> {
    /// The part that the value, a kvlist, is, where its provider has links for such.
    pub(crate) fn part(&self) -> Option<ListPart<'a>> {
        let smallest = self.policy.smallest();
        let content = self.value.content;
        if self.policy.form != Form::Native || content.len() < smallest || !self.value.canonical {
            return None;
        }
        let all = Members::of_list(content);
        let mut large = all
            .iter()
            .enumerate()
            .filter(|(_, member)| member.encoded.len() >= smallest);
        let (payload, member) = large.next()?;
        // What else is large would not be looked at.
        if large.next().is_some()
            || !matches!(member.kind, ValueKind::Bytes | ValueKind::String)
            || member.order().is_none()
        {
            return None;
        }
        let members: Vec<Member<'a>> = all.iter().take(MAX_MEMBERS + 1).collect();
        if members.len() > MAX_MEMBERS || !all.are_all() {
            return None;
        }
        // A list that becomes a link is not looked into any more.
        let may_hold_bytes = |member: &Member<'_>| {
            let kinds = [ValueKind::Bytes, ValueKind::Array, ValueKind::KeyValueList];
            kinds.contains(&member.kind)
        };
        let mut others = members.iter().enumerate();
        if self.policy.bytes_values == BytesValues::Text
            && others.any(|(number, member)| number != payload && may_hold_bytes(member))
        {
            return None;
        }
        let word = |bytes| std::str::from_utf8(bytes).ok();
        let mut kinds = members.iter().filter(|member| is_kind(member));
        let kind = kinds.next().filter(|kind| kind.order().is_some());
        let around = Around {
            key: word(member.key)?,
            kind: kind.and_then(|kind| word(kind.content)),
            // Read for every part that an array has; no holder's name is long.
            holder: Some(self.value.key)
                .filter(|key| key.len() <= MAX_HOLDER)
                .and_then(word),
            keys: members
                .iter()
                .filter_map(|member| word(member.key))
                .collect(),
        };
        let fit = around.fit()?;
        let (rewrite, variant) = fit.entry()?;
        // The holder's key stands outside of the list.
        if rewrite.word == Word::Holder || kinds.next().is_some() {
            return None;
        }
        let nothing_to_change = variant.word.0 == variant.word.1
            && variant.key.0 == variant.key.1
            && fit.initials().is_empty();
        (!nothing_to_change).then_some(ListPart {
            members,
            payload,
            fit,
        })
    }

    /// The encoding of the part as a link to the file; none where it would not be smaller.
    pub(crate) fn link(&self, part: &ListPart<'_>, found: &Found) -> Option<Vec<u8>> {
        let payload = part.payload()?;
        let mut written = super::written(payload.content, found)?;
        written.part = token(part.fit);
        let uri = self.reference(found, &written).to_uri(None);
        let (_, variant) = part.fit.entry()?;
        // Each member in the order in which it stands: what is put back has it then.
        let text = |order: Order, key: &str, text: &str| {
            order.encode(key.as_bytes(), ValueKind::String, text.as_bytes())
        };
        let order = payload.order()?;
        let mut list = Vec::with_capacity(self.value.content.len() - payload.content.len() + 512);
        for (index, member) in part.members.iter().enumerate() {
            if index == part.payload {
                for (key, value) in part.fit.added(&found.media_type) {
                    list.extend_from_slice(&text(order, key, value));
                }
                list.extend_from_slice(&text(order, variant.key.1, &uri));
            } else if is_kind(member) {
                list.extend_from_slice(&text(member.order()?, "type", variant.word.1));
            } else {
                list.extend_from_slice(member.encoded);
            }
        }
        (list.len() < self.value.content.len()).then_some(list)
    }
}

/// Whether it says what the part is.
fn is_kind(member: &Member<'_>) -> bool {
    member.key == b"type" && member.kind == ValueKind::String
}

/// The encoding of the part that the kvlist `list` was before it became a link. `standing` tells
/// what a text says that is a reference, `original` gives the text or bytes that it stands for; it
/// is told how many bytes of the link these come in place of.
pub(crate) fn restore_link(
    list: &[u8],
    standing: impl Fn(&[u8]) -> Option<Standing>,
    original: impl FnOnce(&Standing, usize) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    memchr::memmem::find(list, b"part=")?;
    let all = Members::of_list(list);
    // Ours hold nothing else, and what else is in another's would be left out.
    if !all.are_all() {
        return None;
    }
    let members: Vec<Member<'_>> = all.iter().collect();
    let is_link = |written: &Written| {
        let part = written.part.as_ref()?;
        part.targets.is_none().then(|| fit(part)).flatten()
    };
    let (index, order, standing, fit) =
        members.iter().enumerate().find_map(|(index, member)| {
            // Ours are written like that, and another's may have been passed over unmarked.
            let order = member.order()?;
            if member.kind != ValueKind::String {
                return None;
            }
            let standing = standing(member.content)?;
            let fit = is_link(&standing.written)?;
            Some((index, order, standing, fit))
        })?;
    let (_, variant) = fit.entry()?;
    let added = fit.added_keys().count();
    let first_added = index.checked_sub(added)?;
    let kind = match standing.written.codec {
        Codec::Bytes => ValueKind::Bytes,
        _ => ValueKind::String,
    };
    let key = variant.key.0.as_bytes();
    let mut restored = Vec::with_capacity(list.len());
    let mut place = 0;
    for (at, member) in members.iter().enumerate() {
        if at == index {
            place = restored.len();
        } else if (first_added..index).contains(&at) {
        } else if is_kind(member) {
            let (word, order) = (variant.word.0.as_bytes(), member.order().unwrap_or(order));
            restored.extend_from_slice(&order.encode(b"type", ValueKind::String, word));
        } else {
            restored.extend_from_slice(member.encoded);
        }
    }
    let without = restored.len() + order.encode(key, kind, b"").len();
    let payload = original(&standing, list.len().saturating_sub(without))?;
    restored.splice(place..place, order.encode(key, kind, &payload));
    Some(restored)
}
