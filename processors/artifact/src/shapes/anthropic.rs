//! Anthropic's media: `"source":{"type":"base64","media_type","data"}` becomes
//! `"source":{"type":"url","media_type","url"}`.

use super::{Rewrite, Variant, Word};

pub(super) const SOURCE: Rewrite = Rewrite {
    name: "anthropic",
    word: Word::Type,
    variants: &[Variant {
        word: ("base64", "url"),
        key: ("data", "url"),
    }],
    holder: Some("source"),
    typed: false,
};
