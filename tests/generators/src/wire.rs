//! Protobuf written by hand, for requests that no library writes.

/// One length-delimited field.
pub fn field(number: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let mut field = Vec::with_capacity(content.len() + 12);
    field.push(number << 3 | 2);
    let mut len = content.len();
    while len >= 0x80 {
        field.push(len as u8 | 0x80);
        len >>= 7;
    }
    field.push(len as u8);
    field.extend_from_slice(content);
    field
}

/// `content` in a field of a message in a field of another, for every number of `path`.
pub fn nested(path: &[u8], content: impl AsRef<[u8]>) -> Vec<u8> {
    let wrap = |inner: Vec<u8>, number: &u8| field(*number, inner);
    path.iter().rev().fold(content.as_ref().to_vec(), wrap)
}

/// A field of any number and wire type, with what stands behind its tag.
pub fn tagged(number: u32, wire_type: u8, payload: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::encode_varint(u64::from(number) << 3 | u64::from(wire_type), &mut field);
    field.extend_from_slice(payload);
    field
}

/// A length-delimited field of any number.
pub fn message(number: u32, body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    prost::encoding::encode_varint(body.len() as u64, &mut payload);
    payload.extend_from_slice(body);
    tagged(number, 2, &payload)
}
