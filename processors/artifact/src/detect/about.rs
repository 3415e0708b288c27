use crate::media_type::is_media_type;
use crate::pattern::Pattern;
use crate::reference::object;

/// What stands beside a text and says what it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    /// The media type that its object gives.
    pub(crate) label: Option<String>,
    /// The name that its object gives.
    pub(crate) file_name: Option<String>,
    /// Whether it is not to be taken apart, whatever it looks like.
    pub(crate) denied: bool,
}

/// What the members of one object say, by their keys.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    media_type: Option<String>,
    format: Option<String>,
    file_name: [Option<String>; FILE_NAME.len()],
    pub(crate) part_type: Vec<u8>,
    /// Whether there is a digest among them, as in a reference.
    has_digest: bool,
}

/// Members whose value is a media type.
const MEDIA_TYPE: [&[u8]; 10] = [
    b"mime_type",
    b"media_type",
    b"mediaType",
    b"mimeType",
    b"mime",
    b"content_type",
    b"contentType",
    b"image_mimetype",
    b"document_mimetype",
    b"mimetype",
];

/// Members whose value names a format, and the formats that are a file's. Other values of these
/// members mean other things.
const FORMAT: [&[u8]; 2] = [b"format", b"output_format"];
const FORMATS: [(&[u8], &str); 13] = [
    (b"wav", "audio/wav"),
    (b"mp3", "audio/mpeg"),
    (b"flac", "audio/flac"),
    (b"opus", "audio/opus"),
    (b"aac", "audio/aac"),
    (b"ogg", "audio/ogg"),
    (b"pcm16", "audio/l16"),
    (b"png", "image/png"),
    (b"jpeg", "image/jpeg"),
    (b"jpg", "image/jpeg"),
    (b"gif", "image/gif"),
    (b"webp", "image/webp"),
    (b"pdf", "application/pdf"),
];

/// Members whose value is a file's name, the likeliest first.
const FILE_NAME: [&[u8]; 6] = [
    b"filename",
    b"file_name",
    b"file.name",
    b"title",
    b"name",
    b"identifier",
];

/// The member that every reference has.
pub(super) const DIGEST: &[u8] = b"sha256";

/// File names that are longer are no names.
const MAX_FILE_NAME: usize = 255;

/// Values longer than this are not looked at as labels.
pub(crate) const MAX_LABEL: usize = 255;

/// Keys of what nobody may take apart: signatures, encrypted reasoning, embeddings. Their senders
/// need them back as they are, and they are no files whatever they look like.
const SECRET: [&[u8]; 11] = [
    b"signature",
    b"thought_signature",
    b"thoughtsignature",
    b"encrypted_content",
    b"encryptedcontent",
    b"redacted_thinking",
    b"embedding",
    b"embeddings",
    b"vector",
    b"authorization",
    b"cookie",
];

/// Whether a member of that key says something about the others.
pub(crate) fn is_label(key: &[u8]) -> bool {
    key == b"type"
        || key == DIGEST
        || MEDIA_TYPE.contains(&key)
        || FORMAT.contains(&key)
        || FILE_NAME.contains(&key)
}

/// Whether values of that key, in a part of type `part_type`, are never files.
pub(crate) fn is_denied(key: &[u8], part_type: &[u8], more: &[Pattern]) -> bool {
    let lower = key.to_ascii_lowercase();
    let last = lower.rsplit(|c| *c == b'.').next().unwrap_or_default();
    SECRET.contains(&last)
        || memchr::memmem::find(last, b"token").is_some()
        // The flat form of redacted thinking: its type stands in another attribute.
        || lower.ends_with(b"message_content.data")
        || is_denied_type(part_type)
        || !more.is_empty() && {
            let key = String::from_utf8_lossy(key);
            let last = key.rsplit('.').next().unwrap_or_default();
            more.iter()
                .any(|pattern| pattern.matches(&key) || pattern.matches(last))
        }
}

/// Whether a part of that type holds nothing that may be taken apart.
pub(crate) fn is_denied_type(part_type: &[u8]) -> bool {
    part_type == b"redacted_thinking"
}

impl About {
    /// What `labels` say about the value beside `key`.
    pub(crate) fn new(key: &[u8], labels: &Labels, deny_keys: &[Pattern]) -> Self {
        Self {
            label: labels.media_type().map(str::to_owned),
            file_name: labels.file_name().map(str::to_owned),
            denied: is_denied(key, &labels.part_type, deny_keys) || labels.are_of_reference(),
        }
    }
}

impl Labels {
    /// Takes note of the member `key` with the text `value`.
    pub(crate) fn note(&mut self, key: &[u8], value: &[u8]) {
        if key == b"type" {
            value.clone_into(&mut self.part_type);
            return;
        }
        self.has_digest |= key == DIGEST;
        let Ok(text) = std::str::from_utf8(value) else {
            return;
        };
        if MEDIA_TYPE.contains(&key) && is_media_type(text) {
            self.media_type = Some(text.to_owned());
        } else if FORMAT.contains(&key) {
            let known = FORMATS.iter().find(|(format, _)| *format == value);
            if let Some((_, media_type)) = known {
                self.format = Some((*media_type).to_owned());
            }
        } else if let Some(rank) = FILE_NAME.iter().position(|name| *name == key)
            && (1..=MAX_FILE_NAME).contains(&text.len())
            && let Some(name) = self.file_name.get_mut(rank)
        {
            *name = Some(text.to_owned());
        }
    }

    /// Whether they are those of a reference that its sender wrote: that is not taken apart, nor
    /// made one by doing so.
    pub(crate) fn are_of_reference(&self) -> bool {
        self.has_digest && object::is_type(&self.part_type)
    }

    /// What they say the media type is: by its name, else by the format's.
    pub(crate) fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref().or(self.format.as_deref())
    }

    /// What they call the file.
    pub(crate) fn file_name(&self) -> Option<&str> {
        self.file_name.iter().flatten().next().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_by_key() {
        let mut labels = Labels::default();
        for (key, value) in [
            ("format", "anthropic-claude-v1"),
            ("mime_type", "no type"),
            ("name", "tool"),
            ("title", ""),
        ] {
            labels.note(key.as_bytes(), value.as_bytes());
        }
        assert_eq!(
            (labels.media_type(), labels.file_name()),
            (None, Some("tool"))
        );
        labels.note(b"output_format", b"png");
        labels.note(b"filename", b"a.png");
        assert_eq!(labels.media_type(), Some("image/png"));
        assert_eq!(labels.file_name(), Some("a.png"));
        labels.note(b"mediaType", b"audio/wav");
        assert_eq!(labels.media_type(), Some("audio/wav"));
    }

    #[test]
    fn the_documentation_names_every_secret() {
        let documentation = include_str!("../../../../docs/reference.md").to_ascii_lowercase();
        for key in SECRET {
            let named = format!("`.{}`", key.escape_ascii());
            assert!(documentation.contains(&named), "docs/reference.md: {named}");
        }
    }

    #[test]
    fn secrets_are_denied_in_every_spelling() {
        for key in [
            "signature",
            "message_content.signature",
            "thought_signature",
            "thoughtSignature",
            "encrypted_content",
            "encryptedContent",
            "embedding.embeddings.0.embedding.vector",
            "Authorization",
            "access_token",
            "tokens",
            "llm.output_messages.0.message.contents.0.message_content.data",
        ] {
            assert!(is_denied(key.as_bytes(), b"", &[]), "{key}");
        }
        for key in ["data", "image.data", "content", "token.image", ""] {
            assert!(!is_denied(key.as_bytes(), b"", &[]), "{key}");
        }
        assert!(is_denied(b"data", b"redacted_thinking", &[]));
        let more = [Pattern::any_case("*.cert"), Pattern::any_case("sealed*")];
        assert!(is_denied(b"app.Sealed_box", b"", &more));
        assert!(is_denied(b"tls.cert", b"", &more));
        assert!(!is_denied(b"tls.chain", b"", &more));
    }
}
