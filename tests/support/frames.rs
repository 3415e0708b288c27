//! gRPC messages by hand: flag, length, bytes.

use std::io::{Read as _, Write as _};

use bytes::{BufMut as _, Bytes, BytesMut};

/// A message as it goes over the wire.
pub(crate) fn frame(flag: u8, message: &[u8]) -> Bytes {
    let mut frame = announcement(flag, message.len());
    frame.put_slice(message);
    frame.freeze()
}

/// A flag and a length without the bytes that should follow.
pub(crate) fn announcement(flag: u8, len: usize) -> BytesMut {
    let mut frame = BytesMut::with_capacity(5);
    frame.put_u8(flag);
    frame.put_u32(u32::try_from(len).unwrap());
    frame
}

/// Flag and message of a body that holds exactly one message.
pub(crate) fn unframe(body: &Bytes) -> (u8, Bytes) {
    let (prefix, message) = body.split_first_chunk::<5>().unwrap();
    let [flag, len @ ..] = prefix;
    assert_eq!(u32::from_be_bytes(*len) as usize, message.len());
    (*flag, body.slice(5..))
}

/// The name that HTTP has for what gRPC calls so.
pub(crate) fn of_grpc(name: &str) -> &str {
    match name {
        "snappy" => "x-snappy-framed",
        name => name,
    }
}

/// Compresses as the `content-encoding` header `name` says.
pub(crate) fn compress(name: &str, message: &[u8]) -> Vec<u8> {
    match name {
        "gzip" => {
            let level = flate2::Compression::fast();
            let mut encoder = flate2::read::GzEncoder::new(message, level);
            let mut compressed = Vec::new();
            encoder.read_to_end(&mut compressed).unwrap();
            compressed
        }
        "zstd" => zstd::bulk::compress(message, 1).unwrap(),
        "deflate" => {
            let level = flate2::Compression::fast();
            let mut encoder = flate2::read::ZlibEncoder::new(message, level);
            let mut compressed = Vec::new();
            encoder.read_to_end(&mut compressed).unwrap();
            compressed
        }
        "snappy" => snap::raw::Encoder::new().compress_vec(message).unwrap(),
        "x-snappy-framed" => {
            let mut compressed = Vec::new();
            let mut encoder = snap::read::FrameEncoder::new(message);
            encoder.read_to_end(&mut compressed).unwrap();
            compressed
        }
        "lz4" => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(message).unwrap();
            encoder.finish().unwrap()
        }
        other => panic!("no compression is called {other}"),
    }
}

/// The inverse of [`compress`].
pub(crate) fn decompress(name: &str, message: &[u8]) -> Vec<u8> {
    let mut expanded = Vec::new();
    let read = match name {
        "gzip" => flate2::read::GzDecoder::new(message).read_to_end(&mut expanded),
        "deflate" => flate2::read::ZlibDecoder::new(message).read_to_end(&mut expanded),
        "zstd" => {
            zstd::Decoder::new(message).and_then(|mut decoder| decoder.read_to_end(&mut expanded))
        }
        "snappy" => return snap::raw::Decoder::new().decompress_vec(message).unwrap(),
        "x-snappy-framed" => snap::read::FrameDecoder::new(message).read_to_end(&mut expanded),
        "lz4" => lz4_flex::frame::FrameDecoder::new(message).read_to_end(&mut expanded),
        other => panic!("no compression is called {other}"),
    };
    read.unwrap();
    expanded
}
