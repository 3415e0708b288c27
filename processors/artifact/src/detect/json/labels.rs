//! What members of a JSON object say about the string beside them.

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
    (b"pcm16", "audio/L16"),
    (b"png", "image/png"),
    (b"jpeg", "image/jpeg"),
    (b"jpg", "image/jpeg"),
    (b"gif", "image/gif"),
    (b"webp", "image/webp"),
    (b"pdf", "application/pdf"),
];

/// Members that hold what nobody may take apart: signatures, encrypted reasoning, embeddings.
/// Their senders need them back as they are, and they are no files whatever they look like.
const SECRET: [&[u8]; 8] = [
    b"signature",
    b"thought_signature",
    b"thoughtSignature",
    b"encrypted_content",
    b"encryptedContent",
    b"embedding",
    b"vector",
    b"authorization",
];

/// Whether the member `key` may say what a file is.
pub(super) fn is_label(key: &[u8]) -> bool {
    MEDIA_TYPE.contains(&key) || FORMAT.contains(&key)
}

/// The media type that the member `key` gives with `value`, if it gives one.
pub(super) fn media_type(key: &[u8], value: &[u8]) -> Option<String> {
    if FORMAT.contains(&key) {
        let known = FORMATS.iter().find(|(format, _)| *format == value);
        return known.map(|(_, media_type)| (*media_type).to_owned());
    }
    let value = std::str::from_utf8(value).ok()?;
    crate::media_type::is_media_type(value).then(|| value.to_owned())
}

/// Whether the member `key` of a part of type `part_type` is never a file.
pub(super) fn is_secret(key: &[u8], part_type: &[u8]) -> bool {
    SECRET.contains(&key)
        || key.to_ascii_lowercase().ends_with(b"token")
        || part_type == b"redacted_thinking"
}
