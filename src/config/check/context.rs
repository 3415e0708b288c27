//! What processors and exporters want to know of senders, and who lets them.

use super::Check;
use crate::auth::config::{AuthConfig, is_credential};
use crate::config::components::{
    Component, ExporterConfig, ExtensionConfig, ProcessorConfig, ReceiverConfig,
};
use crate::config::id::ComponentId;
use crate::config::path::KeyPath;
use crate::config::problem::Problem;
use crate::config::service::PipelineConfig;
use crate::config::tenant::ContextKey;
use crate::exporters::queue::config::{QueueBatchConfig, QueueConfig};
use crate::receivers::otlp::config::Protocols;

impl Check<'_> {
    pub(super) fn context_of_requests(&mut self, pipeline: &PipelineConfig) {
        for id in &pipeline.processors {
            let path = KeyPath::of([ProcessorConfig::SECTION]).key(id);
            match self.config.processors.get(id) {
                Some(ProcessorConfig::Artifact(artifact)) => {
                    let tenant = artifact.tenant.as_ref();
                    let wanted = tenant.and_then(|tenant| tenant.from_context.as_ref());
                    if let Some(wanted) = wanted {
                        self.tenants(pipeline, &path.key("tenant").key("from_context"), wanted);
                    }
                }
                Some(ProcessorConfig::Batch(batch)) => {
                    self.batches(pipeline, &path.key("metadata_keys"), &batch.metadata_keys);
                }
                _ => {}
            }
        }
    }

    fn tenants(&mut self, pipeline: &PipelineConfig, path: &KeyPath, wanted: &ContextKey) {
        match wanted {
            ContextKey::Metadata(name) if !self.shows_metadata(pipeline) => {
                self.report_once(path.clone(), no_metadata(name));
            }
            ContextKey::Auth(attribute) if !self.tells(pipeline, attribute) => self.report_once(
                path.clone(),
                format!(
                    "not every listener of its pipelines' receivers knows the {attribute} of senders: \
                     set auth.authenticator in each; basicauth with htpasswd knows the username, and \
                     bearertokenauth with tenants the tenant"
                ),
            ),
            _ => {}
        }
    }

    fn batches(&mut self, pipeline: &PipelineConfig, path: &KeyPath, keys: &[String]) {
        if let Some(name) = keys.first()
            && !self.shows_metadata(pipeline)
        {
            self.report_once(path.clone(), no_metadata(name));
        }
        for id in &pipeline.exporters {
            let exporter = self.config.exporters.get(id);
            let auth = exporter.and_then(|exporter| exporter.delivery()?.auth);
            let Some(auth) = auth else { continue };
            let names = self.context(&auth.authenticator, 0).into_iter();
            let mut missing = names.filter(|name| !keys.iter().any(|key| key == name.as_str()));
            if let Some(name) = missing.next() {
                self.report_once(
                    path.clone(),
                    format!(
                        "\"{id}\" passes on the header {name} of senders, which requests of a batch \
                         need not have in common: add {name} to these keys"
                    ),
                );
            }
        }
    }

    /// What tells the requests of a queue apart has to be seen, and is kept with them.
    pub(super) fn partition(&mut self, id: &ComponentId, queue: &QueueConfig) {
        let batch = queue.batch.as_ref().filter(|_| queue.enabled);
        let keys = batch.map(QueueBatchConfig::metadata_keys);
        let keys = keys.unwrap_or_default();
        let Some(first) = keys.first() else { return };
        let path = KeyPath::of([ExporterConfig::SECTION]).key(id);
        let path = path.key("sending_queue").key("batch");
        let path = path.key("partition").key("metadata_keys");
        if !self.sees_metadata(id) {
            self.report(path.clone(), no_metadata(first.as_str()));
        }
        let secret = keys.iter().find(|name| is_credential(name));
        if let Some(name) = secret
            && queue.storage.is_some()
        {
            self.report(
                path,
                format!(
                    "the header {name} of senders would be written to disk with each request: remove \
                     it, or the storage, so that the queue is in memory"
                ),
            );
        }
    }

    fn shows_metadata(&self, pipeline: &PipelineConfig) -> bool {
        self.any_receiver(pipeline, |ReceiverConfig::Otlp(receiver)| {
            receiver.protocols.includes_metadata()
        })
    }

    /// Whether the authenticators of all listeners say this of senders: else who comes in by another
    /// one may be anybody.
    fn tells(&self, pipeline: &PipelineConfig, attribute: &str) -> bool {
        let says = |auth: &AuthConfig| match self.config.extensions.get(&auth.authenticator) {
            Some(ExtensionConfig::BearerToken(bearer)) => {
                attribute == "tenant" && !bearer.tenants.is_empty()
            }
            Some(ExtensionConfig::BasicAuth(_)) => attribute == "username",
            // What is wrong with it is told elsewhere.
            _ => true,
        };
        let receivers = pipeline.receivers.iter();
        let receivers = receivers.filter_map(|id| self.config.receivers.get(id));
        let mut listeners = receivers.flat_map(|ReceiverConfig::Otlp(receiver)| {
            let Protocols { grpc, http } = &receiver.protocols;
            let grpc = grpc.as_ref().map(|grpc| grpc.auth.as_ref());
            let http = http.as_ref().map(|http| http.auth.as_ref());
            grpc.into_iter().chain(http)
        });
        listeners.all(|auth| auth.is_some_and(says))
    }

    /// Pipelines may share a processor.
    fn report_once(&mut self, path: KeyPath, message: String) {
        let is_told = |told: &Problem| told.culprit == path && told.message == message;
        if !self.problems.iter().any(is_told) {
            self.report(path, message);
        }
    }

    /// One that is not configured is reported elsewhere.
    fn any_receiver(
        &self,
        pipeline: &PipelineConfig,
        is_so: impl Fn(&ReceiverConfig) -> bool,
    ) -> bool {
        let receivers = &self.config.receivers;
        let of_id = |id: &ComponentId| receivers.get(id).is_none_or(&is_so);
        pipeline.receivers.is_empty() || pipeline.receivers.iter().any(of_id)
    }
}

fn no_metadata(name: &str) -> String {
    format!(
        "wants the header {name} of senders, and no receiver shows it: set include_metadata: true in \
         a receiver of its pipelines"
    )
}
