//! Gemini's media: `"inline_data":{"mime_type","data"}` becomes
//! `"file_data":{"mime_type","file_uri"}`.

use super::{Rewrite, Variant, Word};

pub(super) const DATA: Rewrite = Rewrite {
    name: "gemini",
    word: Word::Holder,
    variants: &[
        Variant {
            word: ("inline_data", "file_data"),
            key: ("data", "file_uri"),
        },
        Variant {
            word: ("inlineData", "fileData"),
            key: ("data", "fileUri"),
        },
    ],
    holder: None,
    typed: false,
};
