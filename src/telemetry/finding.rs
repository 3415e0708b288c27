use std::sync::atomic::AtomicU64;

use slimspan_artifact::{Move, Shape};

use super::{add, get};

/// What kind of medium a file is. Its type may be a sender's word, of which there are any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// `image/*`
    Image,
    /// `audio/*`
    Audio,
    /// `video/*`
    Video,
    /// PDF and what office programs write.
    Document,
    /// `text/*`, JSON and XML.
    Text,
    /// Anything else.
    Other,
}

impl Medium {
    /// All there are, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::Image,
        Self::Audio,
        Self::Video,
        Self::Document,
        Self::Text,
        Self::Other,
    ];

    /// The medium of a file of such a type.
    pub fn of(media_type: &str) -> Self {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let (kind, rest) = essence.split_once('/').unwrap_or((essence, ""));
        let is = |other| kind.eq_ignore_ascii_case(other);
        let rest = rest.to_ascii_lowercase();
        if is("image") {
            Self::Image
        } else if is("audio") {
            Self::Audio
        } else if is("video") {
            Self::Video
        } else if is("text") || rest.ends_with("json") || rest.ends_with("xml") {
            Self::Text
        } else if rest == "pdf"
            || rest == "rtf"
            || rest == "msword"
            || [
                "officedocument",
                "opendocument",
                "ms-excel",
                "ms-powerpoint",
            ]
            .iter()
            .any(|word| rest.contains(word))
        {
            Self::Document
        } else {
            Self::Other
        }
    }

    /// Its name, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Document => "document",
            Self::Text => "text",
            Self::Other => "other",
        }
    }
}

/// The files that were found, by the shape in which they stood and by medium.
#[derive(Debug, Default)]
pub struct Findings([[Found; Medium::ALL.len()]; Shape::ALL.len()]);

#[derive(Debug, Default)]
struct Found {
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Findings {
    /// A file was found.
    pub fn add(&self, moved: &Move) {
        let found = &self.0[moved.shape as usize][Medium::of(&moved.media_type) as usize];
        add(&found.files, 1);
        add(&found.bytes, moved.size);
    }

    /// How many files there were of each kind that there were, and how many bytes.
    pub fn read(&self) -> impl Iterator<Item = (Shape, Medium, u64, u64)> {
        let of_shapes = Shape::ALL.into_iter().zip(&self.0);
        of_shapes.flat_map(|(shape, of_media)| {
            Medium::ALL
                .into_iter()
                .zip(of_media)
                .map(move |(medium, found)| (shape, medium, get(&found.files), get(&found.bytes)))
                .filter(|(_, _, files, _)| *files > 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_senders_become_one_of_six() {
        for (media_type, medium) in [
            ("image/png", Medium::Image),
            ("IMAGE/x-anything", Medium::Image),
            ("audio/wav; codecs=1", Medium::Audio),
            ("video/mp4", Medium::Video),
            ("application/pdf", Medium::Document),
            (
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                Medium::Document,
            ),
            ("text/html;charset=utf-8", Medium::Text),
            ("application/ld+json", Medium::Text),
            ("application/zip", Medium::Other),
            ("", Medium::Other),
            ("my secret", Medium::Other),
        ] {
            assert_eq!(Medium::of(media_type), medium, "{media_type}");
        }
        for (number, medium) in Medium::ALL.into_iter().enumerate() {
            assert_eq!(medium as usize, number);
        }
        for (number, shape) in Shape::ALL.into_iter().enumerate() {
            assert_eq!(shape as usize, number);
        }
    }
}
