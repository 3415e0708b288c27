//! References that are an object, as a kvlist.

use std::borrow::Cow;

use slimspan_proto::{Members, Order, ValueKind, varint};

use super::object::{Kind, Object};
use super::{Reference, Standing, UNTRUSTED};

impl Reference<'_> {
    /// The reference as the encoding of a kvlist.
    pub(crate) fn to_list(&self, kind: Kind) -> Vec<u8> {
        self.to_object(kind).to_list(Order::KeyFirst)
    }
}

impl Object<'_> {
    fn to_list(&self, order: Order) -> Vec<u8> {
        let text = |key: &str, text: &str| {
            order.encode(key.as_bytes(), ValueKind::String, text.as_bytes())
        };
        let mut list = text("type", &self.kind);
        list.extend_from_slice(&text("sha256", &self.sha256));
        list.extend_from_slice(&text("content_type", &self.content_type));
        list.extend_from_slice(&order.int(b"size_bytes", self.size_bytes));
        for (key, value) in [
            ("sniffed_type", &self.sniffed_type),
            ("filename", &self.filename),
            ("preview", &self.preview),
            ("uri", &self.uri),
        ] {
            if let Some(value) = value {
                list.extend_from_slice(&text(key, value));
            }
        }
        if self.dropped {
            list.extend_from_slice(&order.bool(b"dropped", true));
        }
        list.extend_from_slice(&text("encoding", &self.encoding));
        list
    }
}

/// A kvlist that is a reference.
pub(crate) struct Listed {
    pub(crate) standing: Standing,
    /// How many times it was marked as a sender's.
    marks: usize,
    /// In which order each of its members stands: a Collector may have written them anew.
    order: Order,
    object: Object<'static>,
}

impl Listed {
    /// Reads the encoding of a kvlist.
    pub(crate) fn read(list: &[u8]) -> Option<Self> {
        // Quick, because every kvlist is asked.
        let first = Members::of_list(list).iter().next()?;
        if first.key != b"type" {
            return None;
        }
        let order = first.order()?;
        let mut members = Members::of_list(list).iter().take(12);
        let mut object = Object {
            kind: Cow::Borrowed(""),
            sha256: Cow::Borrowed(""),
            content_type: Cow::Borrowed(""),
            sniffed_type: None,
            size_bytes: 0,
            filename: None,
            preview: None,
            uri: None,
            dropped: false,
            encoding: Cow::Borrowed(""),
        };
        let mut marks = 0;
        members.try_for_each(|member| {
            if member.kind == ValueKind::Scalar {
                let content = member.content;
                let (value, _) = varint(content, 0, content.len()).ok()?;
                match member.key {
                    b"size_bytes" => object.size_bytes = value,
                    b"dropped" => object.dropped = value == 1,
                    _ => return None,
                }
                return Some(());
            }
            let text = (member.kind == ValueKind::String)
                .then(|| std::str::from_utf8(member.content).ok())??;
            let owned = Cow::Owned(text.to_owned());
            match member.key {
                b"type" => {
                    let mut kind = text;
                    while let Some(bare) = kind
                        .strip_suffix(UNTRUSTED)
                        .and_then(|rest| rest.strip_suffix('.'))
                    {
                        kind = bare;
                        marks += 1;
                    }
                    object.kind = Kind::named(kind)?.name().into();
                }
                b"sha256" => object.sha256 = owned,
                b"content_type" => object.content_type = owned,
                b"sniffed_type" => object.sniffed_type = Some(owned),
                b"filename" => object.filename = Some(owned),
                b"preview" => object.preview = Some(owned),
                b"uri" => object.uri = Some(owned),
                b"encoding" => object.encoding = owned,
                _ => return None,
            }
            Some(())
        })?;
        let this = Self {
            standing: object.standing()?,
            marks,
            order,
            object,
        };
        (this.marked(marks) == list).then_some(this)
    }

    /// Whether a sender wrote it.
    pub(crate) fn is_marked(&self) -> bool {
        self.marks > 0
    }

    /// The encoding with one mark more.
    pub(crate) fn mark(&self) -> Vec<u8> {
        self.marked(self.marks + 1)
    }

    /// The encoding with one mark less.
    pub(crate) fn unmark(&self) -> Vec<u8> {
        self.marked(self.marks.saturating_sub(1))
    }

    fn marked(&self, marks: usize) -> Vec<u8> {
        let mut kind = self.object.kind.to_string();
        for _ in 0..marks {
            kind.push('.');
            kind += UNTRUSTED;
        }
        let kind = kind.into();
        Object {
            kind,
            ..self.object.clone()
        }
        .to_list(self.order)
    }
}

/// Whether the `sha256` at `at` is the key of a member, and a reference may be around it.
pub(super) fn begins(bytes: &[u8], at: usize) -> bool {
    // Tag and length.
    bytes
        .get(..at)
        .is_some_and(|before| before.ends_with(b"\x0a\x06"))
}
