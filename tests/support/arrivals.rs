//! What a backend sees in a request: the ids of its items, and what became of their files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use slimspan_artifact::Digest;
use slimspan_generators::Request;
use slimspan_proto::Signal;

use super::references::references_in;
use super::workload::{ID, ItemId};

/// A span or log record as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) id: ItemId,
    pub(crate) files: Vec<File>,
}

/// A file of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    /// A reference stands in its place.
    Moved(Digest),
    /// It is there.
    Inline { digest: Digest, size: usize },
    /// A mark says that it was given up.
    Dropped(Digest),
}

impl File {
    pub(crate) fn digest(&self) -> &Digest {
        let (Self::Moved(digest) | Self::Inline { digest, .. } | Self::Dropped(digest)) = self;
        digest
    }
}

/// The items of a request that was made by a [`Workload`](super::workload::Workload).
pub(crate) fn arrived(signal: Signal, message: &[u8]) -> Vec<Arrived> {
    let lists: Vec<Vec<KeyValue>> = match Request::decode(signal, message).unwrap() {
        Request::Traces(request) => {
            let scopes = request.resource_spans.into_iter();
            let scopes = scopes.flat_map(|resource| resource.scope_spans);
            let spans = scopes.flat_map(|scope| scope.spans);
            spans.map(|span| span.attributes).collect()
        }
        Request::Logs(request) => {
            let scopes = request.resource_logs.into_iter();
            let scopes = scopes.flat_map(|resource| resource.scope_logs);
            let records = scopes.flat_map(|scope| scope.log_records);
            records.map(|record| record.attributes).collect()
        }
        Request::Metrics(_) => panic!("no workload has metrics"),
    };
    lists.into_iter().map(item).collect()
}

fn item(attributes: Vec<KeyValue>) -> Arrived {
    let (mut id, mut files) = (None, Vec::new());
    for attribute in attributes {
        match attribute.value.unwrap().value.unwrap() {
            Value::StringValue(text) if attribute.key == ID => id = Some(text.parse().unwrap()),
            Value::StringValue(text) => in_text(&text, &mut files),
            Value::BytesValue(bytes) => files.push(inline(&bytes)),
            other => panic!("{}: no workload has {other:?}", attribute.key),
        }
    }
    let id = id.unwrap_or_else(|| panic!("an item without {ID}"));
    Arrived { id, files }
}

fn in_text(text: &str, files: &mut Vec<File>) {
    let marks = text.split("data:image/png;base64,").skip(1);
    let payloads = marks.map(|rest| rest.split(['"', '\\']).next().unwrap());
    files.extend(payloads.map(|payload| inline(&STANDARD.decode(payload).unwrap())));
    for reference in references_in(text) {
        let digest = reference.sha256.parse().unwrap();
        files.push(if reference.dropped {
            File::Dropped(digest)
        } else {
            File::Moved(digest)
        });
    }
}

fn inline(file: &[u8]) -> File {
    File::Inline {
        digest: Digest::of(file),
        size: file.len(),
    }
}
