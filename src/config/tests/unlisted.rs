//! Extensions that `service.extensions` does not name: what runs needs some, and the others do nothing.

use crate::config::Config;

/// What is told of a configuration with this receiver, exporter and processors, and extensions of which these are
/// listed.
fn told(
    [receiver, exporter, processors]: [&str; 3],
    extensions: &str,
    listed: &str,
) -> Result<Vec<String>, String> {
    let text = format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{{receiver}}}}}}}}}\n\
         processors: {{artifact: {{store: artifact_store}}}}\n\
         exporters: {{otlp_grpc: {{endpoint: \"backend:4317\", {exporter}}}, otlp_grpc/unused: {{endpoint: \
         \"backend:4317\", auth: {{authenticator: bearertokenauth}}, sending_queue: {{storage: file_storage}}}}}}\n\
         extensions: {{artifact_store: {{url: ./x}}, bearertokenauth: {{token: a}}, file_storage: , \
         memory_limiter: , {extensions}}}\n\
         service: {{extensions: [{listed}], pipelines: {{traces: {{receivers: [otlp], processors: \
         [{processors}], exporters: [otlp_grpc]}}}}}}\n"
    );
    match Config::parse(&text, "c.yaml", |_| None) {
        Ok((_, warnings)) => Ok(warnings.iter().map(ToString::to_string).collect()),
        Err(errors) => Err(errors.to_string()),
    }
}

#[test]
fn what_runs_needs_what_it_refers_to() {
    let authenticator = "auth: {authenticator: bearertokenauth}";
    let server = "artifact_server: {open_to_everybody: false}";
    let guarded = format!("artifact_server: {{{authenticator}}}");
    let deleting = format!("artifact_server: {{deletion: {{{authenticator}}}}}");
    let setter =
        "headers_setter: {headers: [{key: a, value: b}], additional_auth: bearertokenauth}";
    for (parts, extensions, listed, needed) in [
        ([authenticator, "", ""], "", "", "bearertokenauth"),
        (
            ["middlewares: [{id: memory_limiter}]", "", ""],
            "",
            "",
            "memory_limiter",
        ),
        (["", authenticator, ""], "", "", "bearertokenauth"),
        (
            ["", "sending_queue: {storage: file_storage}", ""],
            "",
            "",
            "file_storage",
        ),
        (["", "", "artifact"], "", "", "artifact_store"),
        (["", "", ""], server, "artifact_server", "artifact_store"),
        (
            ["", "", ""],
            guarded.as_str(),
            "artifact_store, artifact_server",
            "bearertokenauth",
        ),
        (
            ["", "", ""],
            deleting.as_str(),
            "artifact_store, artifact_server",
            "bearertokenauth",
        ),
        (["", "", ""], setter, "headers_setter", "bearertokenauth"),
    ] {
        let expected = format!(
            "c.yaml:4: extensions.{needed}: would not be started: add \"{needed}\" to service.extensions"
        );
        assert_eq!(told(parts, extensions, listed), Err(expected), "{needed}");
        let listed = format!("{listed}, {needed}");
        let listed = listed.trim_start_matches(", ");
        let warnings = told(parts, extensions, listed).unwrap_or_else(|errors| vec![errors]);
        let unlisted = format!("c.yaml:4: extensions.{needed}: does nothing: service.extensions");
        assert!(
            !warnings.iter().any(|told| told.starts_with(&unlisted)),
            "{warnings:#?}"
        );
        assert!(
            warnings
                .iter()
                .all(|told| told.starts_with("c.yaml:4: extensions.")),
            "{warnings:#?}"
        );
    }
}

/// Nor is what an unused exporter refers to needed, or what an extension that nobody starts does; and none is in the
/// way of another.
#[test]
fn what_nobody_needs_does_nothing() {
    let more = "artifact_server: {auth: {authenticator: basicauth}}, basicauth: {client_auth: {username: a, \
                password: b}}, headers_setter: {headers: [{key: a, value: b}], additional_auth: basicauth}, \
                health_check: , healthcheckv2: {endpoint: \"localhost:13133\"}, zpages: , zpages/b: , pprof: ";
    let warnings = told(["", "", ""], more, "zpages").unwrap_or_else(|errors| vec![errors]);
    let expected: Vec<_> = [
        "artifact_server",
        "artifact_store",
        "basicauth",
        "bearertokenauth",
        "file_storage",
        "headers_setter",
        "health_check",
        "healthcheckv2",
        "memory_limiter",
        "pprof",
        "zpages/b",
    ]
    .map(|id| format!("c.yaml:4: extensions.{id}: does nothing"))
    .into();
    assert_eq!(warnings.len(), expected.len(), "{warnings:#?}");
    for (warning, expected) in warnings.iter().zip(expected) {
        assert!(warning.starts_with(&expected), "{warning}");
    }
}
