//! What components can do with each signal.

use slimspan_proto::Signal;

use super::Check;
use crate::config::components::{Component, ComponentType, ExporterConfig};
use crate::config::id::{ComponentId, PipelineId};
use crate::config::path::KeyPath;
use crate::exporters::file::config::Format;
use crate::exporters::otlp_http::config::Encoding;

impl Check<'_> {
    /// Each of `ids`, the list at `path.key`, must support the signal.
    pub(super) fn signals<C: Component>(
        &mut self,
        path: &KeyPath,
        key: &str,
        ids: &[ComponentId],
        signal: Signal,
    ) {
        for (index, id) in ids.iter().enumerate() {
            let name = id.component_type();
            let of_type = |of: &&ComponentType<C>| of.name == name || of.alias == Some(name);
            let found = C::TYPES.iter().find(of_type);
            if found.is_some_and(|of| !of.signals.contains(&signal)) {
                let kind = C::KIND;
                let message = format!(
                    "\"{id}\" does not support {signal}, which pass as they are: remove this {kind}"
                );
                self.report_item(path, key, index, message);
            }
        }
    }

    /// No exporter may write as JSON what has no JSON.
    pub(super) fn encodings(&mut self, pipeline: &PipelineId, exporters: &[ComponentId]) {
        if Signal::READ.contains(&pipeline.signal) {
            return;
        }
        for id in exporters {
            let (key, what) = match self.config.exporters.get(id) {
                Some(ExporterConfig::OtlpHttp(http)) if http.encoding == Encoding::Json => {
                    ("encoding", "encoding: proto")
                }
                Some(ExporterConfig::File(file)) if file.format == Format::Json => {
                    ("format", "format: proto")
                }
                _ => continue,
            };
            self.report(
                KeyPath::of([ExporterConfig::SECTION]).key(id).key(key),
                format!(
                    "cannot be json in the pipeline \"{pipeline}\", because {} are not written as \
                     JSON: use {what}, or another exporter for them",
                    pipeline.signal
                ),
            );
        }
    }
}
