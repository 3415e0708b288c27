//! How providers' message parts say by link what they say by value.
//!
//! One file a shape, one table that lists them. A part is changed in up to three places beside its
//! payload: a word that says what the part is, the key of the payload, and members that links
//! have and values need not. All of it is undone by what stands in the reference's token.

mod anthropic;
mod gemini;
mod genai;

use crate::media_type::MediaType;

/// How one provider's part changes when its payload becomes a link.
#[derive(Debug)]
pub(crate) struct Rewrite {
    /// Its name in tokens: letters only.
    pub(crate) name: &'static str,
    /// Which word says what the part is.
    pub(crate) word: Word,
    /// That word for values and for links, and the key of the payload for values and for links.
    pub(crate) variants: &'static [Variant],
    /// The key that the part itself has to have, if it matters.
    pub(crate) holder: Option<&'static str>,
    /// Whether links need `mime_type` and `modality`.
    pub(crate) typed: bool,
}

/// A word of a part and the key of its payload, for values and for links.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) word: (&'static str, &'static str),
    pub(crate) key: (&'static str, &'static str),
}

/// Which word says what a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The value of its member `type`.
    Type,
    /// The key that it has in the object around it.
    Holder,
}

const REWRITES: [&Rewrite; 3] = [&genai::PART, &anthropic::SOURCE, &gemini::DATA];

/// Keys of members, beside labels, that matter to whether a rewrite fits.
pub(crate) const KEYS: [&[u8]; 6] = [
    b"uri",
    b"url",
    b"file_uri",
    b"fileUri",
    b"modality",
    b"type",
];

/// What is known of the part around a payload.
#[derive(Debug, Default)]
pub(crate) struct Around<'a> {
    /// The key of the payload.
    pub(crate) key: &'a str,
    /// The value of `type`, if there is one only.
    pub(crate) kind: Option<&'a str>,
    /// The key of the part in the object around it.
    pub(crate) holder: Option<&'a str>,
    /// The keys of its members, as far as they matter.
    pub(crate) keys: Vec<&'a str>,
}

/// A rewrite that fits a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fit {
    /// The number of the rewrite in the table, and of the variant in the rewrite.
    pub(crate) rewrite: usize,
    pub(crate) variant: usize,
    /// Whether `mime_type` and `modality` are missing.
    pub(crate) lacks_type: bool,
    pub(crate) lacks_modality: bool,
}

impl Around<'_> {
    /// The rewrite for the part, if there is one.
    pub(crate) fn fit(&self) -> Option<Fit> {
        REWRITES.iter().enumerate().find_map(|(number, rewrite)| {
            if rewrite.holder.is_some() && rewrite.holder != self.holder {
                return None;
            }
            let word = match rewrite.word {
                Word::Type => self.kind?,
                Word::Holder => self.holder?,
            };
            let fits = |variant: &Variant| variant.word.0 == word && variant.key.0 == self.key;
            let variant = rewrite.variants.iter().position(fits)?;
            let Variant { key, .. } = rewrite.variants.get(variant)?;
            // Where the new key is there already, the part says more than we know.
            if key.0 != key.1 && self.keys.contains(&key.1) {
                return None;
            }
            Some(Fit {
                rewrite: number,
                variant,
                lacks_type: rewrite.typed && !self.keys.contains(&"mime_type"),
                lacks_modality: rewrite.typed && !self.keys.contains(&"modality"),
            })
        })
    }
}

impl Fit {
    /// The rewrite and its variant.
    pub(crate) fn entry(self) -> Option<(&'static Rewrite, &'static Variant)> {
        let rewrite = REWRITES.get(self.rewrite)?;
        Some((rewrite, rewrite.variants.get(self.variant)?))
    }

    /// The members that are added in front of the payload.
    pub(crate) fn added(self, media_type: &MediaType) -> Vec<(&'static str, &str)> {
        let mut added = Vec::new();
        if self.lacks_type {
            added.push(("mime_type", media_type.declared.as_str()));
        }
        if self.lacks_modality {
            added.push(("modality", modality(&media_type.declared)));
        }
        added
    }

    /// As it stands in tokens: the rewrite's name, the variant's number and the added members'
    /// initials.
    pub(crate) fn of_token(rewrite: &str, variant: usize, added: &str) -> Option<Self> {
        let number = REWRITES.iter().position(|known| known.name == rewrite)?;
        let fit = Self {
            rewrite: number,
            variant,
            lacks_type: added.contains('t'),
            lacks_modality: added.contains('m'),
        };
        (fit.entry().is_some() && fit.initials() == added).then_some(fit)
    }

    /// The added members' initials.
    pub(crate) fn initials(self) -> &'static str {
        match (self.lacks_type, self.lacks_modality) {
            (false, false) => "",
            (true, false) => "t",
            (false, true) => "m",
            (true, true) => "tm",
        }
    }

    /// The keys of the added members, in their order.
    pub(crate) fn added_keys(self) -> impl DoubleEndedIterator<Item = &'static str> {
        let keys = [
            self.lacks_type.then_some("mime_type"),
            self.lacks_modality.then_some("modality"),
        ];
        keys.into_iter().flatten()
    }
}

/// What the semantic conventions call the kind of medium.
fn modality(media_type: &str) -> &'static str {
    match media_type.split_once('/') {
        Some(("image", _)) => "image",
        Some(("audio", _)) => "audio",
        Some(("video", _)) => "video",
        _ => "document",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_name_every_rewrite_and_variant() {
        for (number, rewrite) in REWRITES.iter().enumerate() {
            assert!(rewrite.name.bytes().all(|c| c.is_ascii_lowercase()));
            for variant in 0..rewrite.variants.len() {
                let fit = Fit {
                    rewrite: number,
                    variant,
                    lacks_type: true,
                    lacks_modality: false,
                };
                assert_eq!(Fit::of_token(rewrite.name, variant, "t"), Some(fit));
            }
            assert_eq!(
                Fit::of_token(rewrite.name, rewrite.variants.len(), ""),
                None
            );
            assert_eq!(Fit::of_token(rewrite.name, 0, "mt"), None);
        }
    }

    #[test]
    fn parts_are_told_by_type_key_and_holder() {
        let fit = |kind, key, holder, keys: &[&'static str]| {
            let around = Around {
                key,
                kind,
                holder,
                keys: keys.to_vec(),
            };
            let fit = around.fit()?;
            let (rewrite, variant) = fit.entry()?;
            Some((rewrite.name, variant.word.1, variant.key.1, fit.initials()))
        };
        for (kind, key, holder, keys, expected) in [
            (
                Some("blob"),
                "content",
                None,
                &["mime_type", "modality"][..],
                Some(("genai", "uri", "uri", "")),
            ),
            (
                Some("binary"),
                "content",
                Some("parts"),
                &["media_type"],
                Some(("genai", "uri", "uri", "tm")),
            ),
            (Some("blob"), "content", None, &["uri"], None),
            (
                Some("uri"),
                "uri",
                None,
                &["uri", "modality"],
                Some(("genai", "uri", "uri", "t")),
            ),
            (Some("text"), "content", None, &[], None),
            (None, "content", None, &[], None),
            (
                Some("base64"),
                "data",
                Some("source"),
                &["media_type"],
                Some(("anthropic", "url", "url", "")),
            ),
            (Some("base64"), "data", Some("other"), &[], None),
            (
                None,
                "data",
                Some("inline_data"),
                &["mime_type"],
                Some(("gemini", "file_data", "file_uri", "")),
            ),
            (
                None,
                "data",
                Some("inlineData"),
                &["mimeType"],
                Some(("gemini", "fileData", "fileUri", "")),
            ),
        ] {
            assert_eq!(
                fit(kind, key, holder, keys),
                expected,
                "{kind:?} {key} {keys:?}"
            );
        }
    }
}
