use bytes::Bytes;
use slimspan_proto::Signal;

use super::json;

/// A request of a file.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Request {
    /// What it carries.
    pub(in crate::cli) signal: Signal,
    /// As protobuf, which is what files are taken out of and put back into.
    pub(in crate::cli) protobuf: Bytes,
    /// The text, of a request in JSON.
    pub(super) json: Option<Bytes>,
}

impl Request {
    /// The request with `protobuf` as its content, in the encoding it was read in.
    pub(in crate::cli) fn rewritten(&self, protobuf: Bytes) -> anyhow::Result<Bytes> {
        match &self.json {
            None => Ok(protobuf),
            Some(text) if protobuf == self.protobuf => Ok(text.clone()),
            Some(text) => json::rewrite(self.signal, text, &self.protobuf, &protobuf),
        }
    }
}
