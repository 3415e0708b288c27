//! Values that were seen before.
//!
//! A conversation with a model sends its pictures again with every turn. What was learned about an
//! encoded value once need not be found out by decoding and digesting it again. All that is
//! recalled is about the bytes alone: what happens to a value is decided anew, by what stands
//! around it.

use std::cell::OnceCell;
use std::fmt;

use bytes::Bytes;

use crate::detect::truncated;
use crate::encoding::Codec;
use crate::media_type::Shown;
use crate::{Digest, Extraction};

/// A memory of values, which belongs to one store: it may recall those only that are there.
pub trait Recall {
    /// What fingerprints are made with. Who knows it could make two values of one fingerprint if
    /// that could be done at all, so it is random and secret.
    fn key(&self) -> &[u8; 32];

    /// The length from which it is asked for values, in encoded bytes. To look a short one up costs
    /// as much as to decode it.
    fn shortest(&self) -> usize;

    /// Whether it met a value of that sketch before; from now on it did. Most values come once, and
    /// those cost no more than a sketch.
    fn met(&self, sketch: u64) -> bool;

    /// What was learned about the value with that fingerprint.
    fn recall(&self, fingerprint: &Fingerprint) -> Option<Facts>;
}

/// A keyed hash of a value as it stood in a request, and of the way in which it was read.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// It tells what stood in a request to those who know the key.
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

/// What is known of a value that was decoded once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    digest: Digest,
    size: usize,
    codec: Codec,
    shown: Shown,
    is_cut: bool,
    is_damaged: bool,
    is_utf8: bool,
}

impl Facts {
    /// SHA-256 of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// In which way a value is read: equal texts that are read in two ways are two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Raw = 0,
    Base64 = 1,
    Python = 2,
}

/// A memory, if there is one.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory<'a>(pub(crate) Option<&'a dyn Recall>);

impl Memory<'_> {
    /// What `encoded` is, by memory or else by what `decode` makes of it.
    pub(crate) fn content(
        self,
        reading: Reading,
        encoded: &[u8],
        decode: impl FnOnce() -> Option<Content>,
    ) -> Option<Content> {
        let worth_it = |recall: &&dyn Recall| encoded.len() >= recall.shortest();
        let Some(recall) = self.0.filter(worth_it) else {
            return decode();
        };
        if !recall.met(sketch(recall.key(), encoded)) {
            return decode();
        }
        let fingerprint = Fingerprint::of(recall.key(), reading, encoded);
        if let Some(facts) = recall.recall(&fingerprint) {
            return Some(Content::recalled(facts));
        }
        let mut content = decode()?;
        content.fingerprint = Some(fingerprint);
        Some(content)
    }

    /// What `bytes` are that stand as themselves, or that were read already.
    pub(crate) fn of_bytes(self, bytes: Bytes, codec: Codec) -> Content {
        let digested = || Some(Content::new(bytes.clone(), Digest::of(&bytes), codec));
        let content = self.content(Reading::Raw, &bytes, digested);
        match content {
            Some(content) => Content {
                bytes: Some(bytes),
                codec,
                ..content
            },
            None => Content::new(bytes.clone(), Digest::of(&bytes), codec),
        }
    }
}

/// Bytes in one place of a value that its sketch is made of.
const PART: usize = 64;

/// A hash of parts of a value, which other values may have, too. Files of one kind begin alike, so some
/// are farther behind.
fn sketch(key: &[u8; 32], encoded: &[u8]) -> u64 {
    let len = encoded.len();
    let places = [
        512,
        1024,
        2048,
        len / 4,
        len / 2,
        len / 4 * 3,
        len.saturating_sub(PART),
    ];
    // In one piece: a hasher that is given many small ones is slow.
    let mut parts = [0; PART * 8];
    let (slots, _) = parts.as_chunks_mut::<PART>();
    for (slot, place) in slots.iter_mut().zip(places) {
        let part = encoded.get(place..).and_then(<[u8]>::first_chunk);
        *slot = part.copied().unwrap_or([0; PART]);
    }
    if let Some(last) = parts.last_chunk_mut() {
        *last = len.to_le_bytes();
    }
    let hash = blake3::keyed_hash(key, &parts);
    let word = hash.as_bytes().first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(word)
}

impl Fingerprint {
    fn of(key: &[u8; 32], reading: Reading, encoded: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(encoded);
        hasher.update(&[reading as u8]);
        Self(*hasher.finalize().as_bytes())
    }
}

/// The bytes of a file, or what is known of them.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) digest: Digest,
    /// Decoded bytes.
    pub(crate) size: usize,
    pub(crate) codec: Codec,
    pub(crate) shown: Shown,
    /// None where the file was recalled.
    pub(crate) bytes: Option<Bytes>,
    /// Of a value that is worth to be learned.
    fingerprint: Option<Fingerprint>,
    // Found out when somebody asks.
    is_cut: OnceCell<bool>,
    is_damaged: OnceCell<bool>,
    is_utf8: OnceCell<bool>,
}

impl Content {
    pub(crate) fn new(bytes: Bytes, digest: Digest, codec: Codec) -> Self {
        Self {
            digest,
            size: bytes.len(),
            codec,
            shown: Shown::by(&bytes),
            bytes: Some(bytes),
            fingerprint: None,
            is_cut: OnceCell::new(),
            is_damaged: OnceCell::new(),
            is_utf8: OnceCell::new(),
        }
    }

    fn recalled(facts: Facts) -> Self {
        let Facts {
            digest,
            size,
            codec,
            shown,
            is_cut,
            is_damaged,
            is_utf8,
        } = facts;
        Self {
            digest,
            size,
            codec,
            shown,
            bytes: None,
            fingerprint: None,
            is_cut: is_cut.into(),
            is_damaged: is_damaged.into(),
            is_utf8: is_utf8.into(),
        }
    }

    /// See [`truncated::is_cut`].
    pub(crate) fn is_cut(&self) -> bool {
        *self.is_cut.get_or_init(|| truncated::is_cut(self.read()))
    }

    /// See [`truncated::is_damaged`].
    pub(crate) fn is_damaged(&self) -> bool {
        let is_damaged = || truncated::is_damaged(self.read());
        *self.is_damaged.get_or_init(is_damaged)
    }

    /// Whether the bytes are text.
    pub(crate) fn is_utf8(&self) -> bool {
        let is_utf8 = || std::str::from_utf8(self.read()).is_ok();
        *self.is_utf8.get_or_init(is_utf8)
    }

    /// Asked only where nothing was recalled.
    fn read(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }

    /// Gives what is known of the bytes to the extraction, for who keeps them to remember.
    pub(crate) fn learn(&self, extraction: &mut Extraction) {
        if let Some(fingerprint) = self.fingerprint {
            let facts = Facts {
                digest: self.digest,
                size: self.size,
                codec: self.codec,
                shown: self.shown,
                is_cut: self.is_cut(),
                is_damaged: self.is_damaged(),
                is_utf8: self.is_utf8(),
            };
            extraction.learned.push((fingerprint, facts));
        }
    }
}
