//! Parts of the GenAI semantic conventions, and those that SDKs write nearly so.
//!
//! `{"type":"blob","mime_type","modality","content"}` becomes
//! `{"type":"uri","mime_type","modality","uri"}`; backends show no `uri` part that lacks a member.
//! Pydantic AI calls the blob `binary`, Google ADK its payload `data`.

use super::{Rewrite, Variant, Word};

pub(super) const PART: Rewrite = Rewrite {
    name: "genai",
    word: Word::Type,
    variants: &[
        Variant {
            word: ("blob", "uri"),
            key: ("content", "uri"),
        },
        Variant {
            word: ("blob", "uri"),
            key: ("data", "uri"),
        },
        Variant {
            word: ("binary", "uri"),
            key: ("content", "uri"),
        },
        Variant {
            word: ("binary", "uri"),
            key: ("data", "uri"),
        },
        Variant {
            word: ("uri", "uri"),
            key: ("uri", "uri"),
        },
    ],
    holder: None,
    typed: true,
};
