//! The bytes of gRPC that sender and backend share.

/// Flag and length in front of a message.
pub(crate) const PREFIX: usize = 5;

/// The path of the method that takes traces.
pub(crate) const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// HTTP/2 as generous as it gets, so that neither sender nor backend holds the collector up.
pub(crate) const STREAM_WINDOW: u32 = 8 << 20;
pub(crate) const CONNECTION_WINDOW: u32 = 64 << 20;
pub(crate) const FRAME: u32 = 1 << 20;

/// `message` with its prefix, not compressed.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0][..], &len.to_be_bytes(), message].concat()
}
