//! Requests with one text in one place.

use slimspan_generators::wire::{field, nested};
use slimspan_proto::{Member, Signal, ValueKind};

use crate::choices::Choices;

/// Where a text stands in a request.
#[derive(Debug)]
pub struct Place {
    key: &'static [u8],
    /// Which members stand beside it, a bit each.
    beside: u8,
    holder: Holder,
}

#[derive(Debug, Clone)]
enum Holder {
    Span,
    LogBody,
    Array,
    ListInBody,
    ListInSpan,
}

impl Place {
    /// One of many, from three bytes.
    pub fn chosen(choices: &mut Choices<'_>) -> Self {
        Self {
            key: choices.pick(&[
                &b"input.value"[..],
                b"gen_ai.input.messages",
                b"content",
                b"data",
                b"uri",
                b"b64_json",
                b"a",
                b"",
            ]),
            beside: choices.byte(),
            holder: choices.pick(&[
                Holder::Span,
                Holder::LogBody,
                Holder::Array,
                Holder::ListInBody,
                Holder::ListInSpan,
            ]),
        }
    }

    /// A request that holds `text` in this place.
    pub fn request_of(&self, text: &[u8]) -> (Signal, Vec<u8>) {
        match self.holder {
            Holder::Span => (Signal::Traces, nested(&[1, 2, 2], self.members(9, text))),
            Holder::LogBody => (Signal::Logs, nested(&[1, 2, 2, 5, 1], text)),
            Holder::Array => {
                let value = nested(&[5, 1, 1], text);
                let attribute = [field(1, self.key), field(2, &value)].concat();
                (Signal::Traces, nested(&[1, 2, 2, 9], attribute))
            }
            Holder::ListInBody => (
                Signal::Logs,
                nested(&[1, 2, 2, 5, 6], self.members(1, text)),
            ),
            Holder::ListInSpan => {
                let value = nested(&[6], self.members(1, text));
                let attribute = [field(1, b"source"), field(2, &value)].concat();
                (Signal::Traces, nested(&[1, 2, 2, 9], attribute))
            }
        }
    }

    /// The text as a member in field `number`, with what stands beside it.
    fn members(&self, number: u8, text: &[u8]) -> Vec<u8> {
        let mut list = Vec::new();
        for (bit, (label, value)) in LABELS.iter().enumerate() {
            if self.beside & 1 << bit != 0 {
                list.extend_from_slice(&member(number, label, value));
            }
        }
        let own = member(number, self.key, text);
        if self.beside.count_ones().is_multiple_of(2) {
            [own, list].concat()
        } else {
            [list, own].concat()
        }
    }
}

const LABELS: [(&[u8], &[u8]); 8] = [
    (b"type", b"blob"),
    (b"type", b"base64"),
    (b"type", b"uri"),
    (b"mime_type", b"image/png"),
    (b"media_type", b"text/x"),
    (b"modality", b"image"),
    (b"filename", b"a \"b\".png"),
    (b"input.value_ref", b"there already"),
];

fn member(number: u8, key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut member = Member::encode(key, ValueKind::String, text);
    // A KeyValue is the same in every list but for its field.
    member[0] = number << 3 | 2;
    member
}
