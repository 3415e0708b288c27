//! Queues on disk whose exporters are gone: what was acknowledged must not be forgotten because of a
//! change in the configuration.

use crate::config::{ComponentId, Config, ExtensionConfig};

/// Tells of requests that wait for an exporter which does not run, or has its queue elsewhere by now:
/// in the log, and in the first lines.
pub(super) fn tell_forgotten<'c>(
    config: &Config,
    running: impl Iterator<Item = &'c ComponentId>,
    summary: &mut Vec<(String, String)>,
) {
    let mut used = Vec::new();
    for id in running {
        if let Some(storage) = storage_of(config, id)
            && let Some(ExtensionConfig::FileStorage(storage)) = config.extensions.get(storage)
        {
            used.push(storage.folder_of(id));
        }
    }
    for (id, extension) in config.started_extensions() {
        let ExtensionConfig::FileStorage(storage) = extension else {
            continue;
        };
        for forgotten in storage.forgotten(&used) {
            let (folder, exporter) = (forgotten.folder, forgotten.exporter);
            let left = match forgotten.left {
                Err(error) if error.is_in_use() => {
                    tracing::info!(
                        "extensions.{id}: {}, the queue of {exporter}, is in use by another process, \
                         which delivers what is in it",
                        folder.display()
                    );
                    let used = format!("another process has the queue of {exporter}");
                    summary.push((id.to_string(), used));
                    continue;
                }
                Ok((1, bytes)) => format!("1 acknowledged request of {bytes}"),
                Ok((requests, bytes)) => format!("{requests} acknowledged requests of {bytes}"),
                Err(error) => format!("nobody knows how many acknowledged requests ({error})"),
            };
            let missing = missing(config, &exporter, id);
            tracing::warn!(
                "extensions.{id}: {left} in {} wait for {exporter}, and nothing delivers them: \
                 {missing}. Once it has emptied its queue it may go; who wants to lose them deletes \
                 that folder",
                folder.display()
            );
            let waits = format!("{left} wait for {exporter}, which has no queue there: {missing}");
            summary.push((id.to_string(), waits));
        }
    }
}

/// Where the queue of an exporter is, if that is on disk.
fn storage_of<'c>(config: &'c Config, id: &ComponentId) -> Option<&'c ComponentId> {
    let queue = &config.exporters.get(id)?.delivery()?.sending_queue;
    queue.storage.as_ref().filter(|_| queue.enabled)
}

/// Which key brings them back.
fn missing(config: &Config, exporter: &ComponentId, storage: &ComponentId) -> String {
    let queue = format!("exporters.{exporter}.sending_queue");
    let Some(of_exporter) = config.exporters.get(exporter) else {
        return format!(
            "bring back exporters.{exporter}, with {queue}.storage: {storage}, in a pipeline"
        );
    };
    if of_exporter.delivery().is_none() {
        return format!("give exporters.{exporter} back the kind and the queue that it had");
    }
    match storage_of(config, exporter) {
        Some(of_queue) if of_queue == storage => {
            format!("name {exporter} in service.pipelines")
        }
        Some(other) => format!("set {queue}.storage to {storage} again; it is {other}"),
        None => format!("set {queue}.storage to {storage} again, and enable it"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// A configuration in which such an exporter runs, or is named in no pipeline.
    fn config(exporters: &str, running: &str) -> Config {
        let yaml = format!(
            "receivers: {{otlp: {{protocols: {{grpc: {{}}}}}}}}\n\
             exporters: {{debug: {{}}, {exporters}}}\n\
             extensions: {{file_storage: {{}}, file_storage/2: {{}}}}\n\
             service:\n  extensions: [file_storage, file_storage/2]\n  \
             pipelines: {{traces: {{receivers: [otlp], exporters: [{running}]}}}}\n"
        );
        Config::parse(&yaml, "c.yaml", |_| None).unwrap().0
    }

    #[test]
    fn the_key_that_brings_a_queue_back_is_named() {
        let with = |queue: &str| {
            format!(
                "otlp_grpc: {{endpoint: \"localhost:9\", tls: {{insecure: true}}, sending_queue: {queue}}}"
            )
        };
        let (exporter, storage) = (
            "otlp_grpc".parse().unwrap(),
            "file_storage".parse().unwrap(),
        );
        for (exporters, running, told) in [
            (String::new(), "debug", "bring back exporters.otlp_grpc"),
            (
                with("{storage: file_storage}"),
                "debug",
                "name otlp_grpc in service.pipelines",
            ),
            (
                with("{storage: file_storage/2}"),
                "otlp_grpc",
                "set exporters.otlp_grpc.sending_queue.storage to file_storage again; it is \
                 file_storage/2",
            ),
            (
                with("{}"),
                "otlp_grpc",
                "set exporters.otlp_grpc.sending_queue.storage to file_storage again, and enable it",
            ),
        ] {
            let config = config(&exporters, running);
            let missing = missing(&config, &exporter, &storage);
            assert!(missing.starts_with(told), "{missing}");
        }
    }
}
