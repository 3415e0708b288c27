//! Pipelines that connectors join: which may be joined, and what is known of them then.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

use crate::config::{Config, ContextKey, PipelineId};

const PARTS: &str = "\
receivers:
  otlp: {protocols: {grpc: {endpoint: \"127.0.0.1:0\"}}}
  otlp/b: {protocols: {grpc: {endpoint: \"127.0.0.1:0\", include_metadata: true}}}
processors: {memory_limiter: , batch: , batch/b: , batch/k: {metadata_keys: [x]}, artifact: {store: artifact_store}, artifact/b: {store: artifact_store}}
exporters: {debug: , otlp_http: {endpoint: \"http://a\", preset: newrelic}}
connectors: {forward: , forward/b: }
extensions: {artifact_store: {url: ./data}}
service:
  extensions: [artifact_store]
  pipelines:
";

/// What begins in line 11.
fn with(pipelines: &[&str]) -> String {
    let lines = pipelines.iter().map(|line| format!("    {line}\n"));
    PARTS.to_owned() + &lines.collect::<String>()
}

fn parse(pipelines: &[&str]) -> Config {
    let text = with(pipelines);
    super::schema::accepts(&text);
    let parsed = Config::parse(&text, "c.yaml", |_| None);
    parsed.unwrap_or_else(|errors| panic!("{text}{errors}")).0
}

fn errors(pipelines: &[&str]) -> String {
    match Config::parse(&with(pipelines), "c.yaml", |_| None) {
        Ok(_) => "no error".to_owned(),
        Err(errors) => errors.to_string(),
    }
}

/// Pipelines, and the error, or how it begins.
const MISTAKES: &[(&[&str], &str)] = &[
    (
        &["traces: {receivers: [otlp], exporters: [debug, forward]}"],
        "c.yaml:11: service.pipelines.traces.exporters: connector \"forward\" used as exporter in [traces] pipeline but \
         not used in any supported receiver pipeline: name it among the receivers of another pipeline of traces, or \
         remove it here",
    ),
    (
        &[
            "traces: {receivers: [otlp], exporters: [debug]}",
            "logs/a: {receivers: [forward/b], exporters: [debug]}",
            "logs/b: {receivers: [otlp, forward/b], exporters: [debug]}",
        ],
        "c.yaml:12: service.pipelines.logs/a.receivers: connector \"forward/b\" used as receiver in [logs/a logs/b] \
         pipeline but not used in any supported exporter pipeline: name it among the exporters of another pipeline of \
         logs, or remove it here",
    ),
    // Signals are not joined with each other.
    (
        &[
            "traces: {receivers: [otlp], exporters: [forward]}",
            "logs: {receivers: [forward], exporters: [debug]}",
        ],
        "c.yaml:11: service.pipelines.traces.exporters: connector \"forward\" used as exporter in [traces] pipeline but \
         not used in any supported receiver pipeline: name it among the receivers of another pipeline of traces, or \
         remove it here\nc.yaml:12: service.pipelines.logs.receivers: connector \"forward\" used as receiver in [logs] \
         pipeline but not used in any supported exporter pipeline: ",
    ),
    (
        &["traces: {receivers: [otlp], exporters: [forward/c]}"],
        "c.yaml:11: service::pipelines::traces: references exporter \"forward/c\" which is not configured; ",
    ),
    (
        &["traces: {receivers: [forward/c], exporters: [debug]}"],
        "c.yaml:11: service::pipelines::traces: references receiver \"forward/c\" which is not configured; ",
    ),
    (
        &[
            "traces/a: {receivers: [otlp], exporters: [forward, forward]}",
            "traces: {receivers: [forward], exporters: [debug]}",
        ],
        "c.yaml:11: service.pipelines.traces/a.exporters: \"forward\" is listed twice",
    ),
    (
        &["traces: {receivers: [otlp, forward], processors: [batch], exporters: [debug, forward]}"],
        "c.yaml:11: service.pipelines.traces.exporters: cycle detected: connector \"forward\" (traces to traces) -> \
         processor \"batch\" in pipeline \"traces\" -> connector \"forward\" (traces to traces): let one of these \
         pipelines lead to an exporter instead",
    ),
    (
        &[
            "traces: {receivers: [otlp, forward/b], exporters: [forward]}",
            "traces/b: {receivers: [forward], processors: [memory_limiter], exporters: [forward/b, debug]}",
            "traces/c: {receivers: [forward], exporters: [debug]}",
        ],
        "c.yaml:11: service.pipelines.traces.exporters: cycle detected: connector \"forward\" (traces to traces) -> \
         processor \"memory_limiter\" in pipeline \"traces/b\" -> connector \"forward/b\" (traces to traces) -> \
         connector \"forward\" (traces to traces): let one of these pipelines lead to an exporter instead",
    ),
    (
        &[
            "traces/a: {receivers: [otlp], processors: [artifact], exporters: [forward]}",
            "traces: {receivers: [forward], processors: [memory_limiter, artifact/b], exporters: [debug]}",
        ],
        "c.yaml:12: service.pipelines.traces.processors: requests that come from the pipeline \"traces/a\" have been \
         through \"artifact\" there, and a request goes through one artifact processor: remove one of them",
    ),
    (
        &[
            "traces/a: {receivers: [otlp], processors: [batch], exporters: [forward]}",
            "traces: {receivers: [forward], processors: [artifact], exporters: [debug]}",
        ],
        "c.yaml:12: service.pipelines.traces.processors: \"batch\" of the pipeline \"traces/a\", from which requests come, \
         must come after \"artifact\", so that slim requests are joined and not large ones: move it behind \"artifact\"",
    ),
    // Also where another pipeline is between.
    (
        &[
            "traces/a: {receivers: [otlp], processors: [batch], exporters: [forward]}",
            "traces/b: {receivers: [forward], exporters: [forward/b]}",
            "traces: {receivers: [forward/b], processors: [batch/b], exporters: [debug]}",
        ],
        "c.yaml:13: service.pipelines.traces.processors: requests that come from the pipeline \"traces/a\" have been \
         through \"batch\" there, and a request goes through one batch processor: remove one of them",
    ),
    // Of senders that come by another pipeline as much has to be known as of others.
    (
        &[
            "traces/a: {receivers: [otlp], exporters: [forward]}",
            "traces: {receivers: [forward], processors: [batch/k], exporters: [debug]}",
        ],
        "c.yaml:4: processors.batch/k.metadata_keys: wants the header x of senders, and no receiver shows it: ",
    ),
];

#[test]
fn every_mistake_in_joining_is_explained() {
    for (pipelines, error) in MISTAKES {
        let found = errors(pipelines);
        assert!(found.starts_with(error), "{pipelines:?}: {found}");
        let lines = error.lines().count();
        assert_eq!(found.lines().count(), lines, "{pipelines:?}: {found}");
    }
}

#[test]
fn what_may_be_joined_is_printed_as_it_is() {
    for pipelines in [
        &[
            "traces/a: {receivers: [otlp], processors: [memory_limiter, artifact], exporters: [debug, forward]}",
            "traces: {receivers: [forward, otlp/b], processors: [memory_limiter, batch], exporters: [debug]}",
        ][..],
        // Two pipelines lead to two others, and one connector joins pipelines of several signals.
        &[
            "traces/a: {receivers: [otlp], exporters: [forward]}",
            "traces/b: {receivers: [otlp/b], processors: [batch], exporters: [forward]}",
            "traces/c: {receivers: [forward], exporters: [debug]}",
            "traces/d: {receivers: [forward], exporters: [otlp_http]}",
            "logs/a: {receivers: [otlp], processors: [artifact], exporters: [forward]}",
            "logs: {receivers: [forward], exporters: [debug]}",
            "profiles/a: {receivers: [otlp], exporters: [forward]}",
            "profiles: {receivers: [forward], exporters: [debug]}",
        ],
        &[
            "traces/a: {receivers: [otlp/b], exporters: [forward]}",
            "traces: {receivers: [forward], processors: [batch/k], exporters: [debug]}",
        ],
        // Nobody uses it.
        &["traces: {receivers: [otlp], exporters: [debug]}"],
    ] {
        let config = parse(pipelines);
        let written = Config::exposed(|| serde_saphyr::to_string(&config.printed())).unwrap();
        let again = Config::parse(&written, "c.yaml", |_| None).unwrap().0;
        let again = Config {
            presets: config.presets.clone(),
            ..again
        };
        assert_eq!(again, config, "{pipelines:?}");
    }
}

#[test]
fn each_pipeline_comes_after_all_that_it_leads_to() {
    let config = parse(&[
        "traces/a: {receivers: [otlp], exporters: [forward, debug]}",
        "traces/b: {receivers: [forward], exporters: [forward/b]}",
        "traces/c: {receivers: [forward, forward/b, otlp/b], exporters: [otlp_http]}",
    ]);
    let ordered = config.last_first().into_iter();
    let ordered: Vec<_> = ordered.map(|(id, _)| id.to_string()).collect();
    assert_eq!(ordered, ["traces/c", "traces/b", "traces/a"]);
    let id = |text: &str| text.parse::<PipelineId>().unwrap();
    let next = config.next_of(&id("traces/a")).into_iter();
    let next: Vec<_> = next
        .map(|next| format!("{} {}", next.by, next.to))
        .collect();
    assert_eq!(next, ["forward traces/b", "forward traces/c"]);
    let ends = |name: &str| {
        let (id, of) = config.service.pipelines.get_key_value(&id(name)).unwrap();
        let ends = config.end_to_end(id, of);
        let all = ends.receivers.iter().chain(&ends.exporters);
        all.map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ends("traces/a"), "otlp debug otlp_http");
    assert_eq!(ends("traces/b"), "otlp otlp_http");
    assert_eq!(ends("traces/c"), "otlp/b otlp otlp_http");
}

/// What a backend wants of references and sizes is known to a processor in a pipeline before its own.
#[test]
fn presets_hold_through_connectors() {
    let config = parse(&[
        "traces/a: {receivers: [otlp], processors: [artifact], exporters: [forward]}",
        "traces: {receivers: [forward], exporters: [otlp_http]}",
    ]);
    let set: Vec<_> = config.presets.iter().map(ToString::to_string).collect();
    let wanted = "processors.artifact.threshold: 2KiB (preset newrelic)";
    assert!(set.iter().any(|value| value == wanted), "{set:?}");
}

/// Tenants are told apart by what the senders of another pipeline say.
#[test]
fn tenants_may_come_through_connectors() {
    let text = |receiver: &str| {
        let pipelines = [
            format!("traces/a: {{receivers: [{receiver}], exporters: [forward]}}"),
            "traces: {receivers: [forward], processors: [artifact], exporters: [debug]}".to_owned(),
        ];
        let pipelines = pipelines.each_ref().map(String::as_str);
        with(&pipelines).replace(
            "artifact: {store: artifact_store}",
            "artifact: {store: artifact_store, tenant: {from_context: metadata.x-tenant}}",
        )
    };
    let parsed = |receiver: &str| Config::parse(&text(receiver), "c.yaml", |_| None);
    let refused = parsed("otlp").unwrap_err().to_string();
    assert!(refused.contains("wants the header x-tenant"), "{refused}");
    let (config, _) = parsed("otlp/b").unwrap();
    let wanted = config
        .processors
        .values()
        .find_map(|processor| match processor {
            crate::config::ProcessorConfig::Artifact(artifact) => artifact.tenant.as_ref(),
            _ => None,
        });
    let wanted = wanted.and_then(|tenant| tenant.from_context.as_ref());
    assert!(
        matches!(wanted, Some(ContextKey::Metadata(_))),
        "{wanted:?}"
    );
}
