//! Artifact servers, and where references lead.
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use crate::config::Config;
use crate::storage::Store;
use crate::tenant::TenantId;
use slimspan_artifact::Location;

/// A configuration with these extensions, all of which run, in this order.
fn parse(extensions: &[(&str, &str)]) -> Result<Config, String> {
    let ids: Vec<_> = extensions.iter().map(|(id, _)| *id).collect();
    let bodies = extensions
        .iter()
        .map(|(id, body)| format!("  {id}: {body}\n"));
    let yaml = format!(
        "receivers:\n  otlp:\nexporters:\n  debug:\nextensions:\n{}service:\n  extensions: [{}]\n  \
         pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}\n",
        bodies.collect::<String>(),
        ids.join(", ")
    );
    let parsed = Config::parse(&yaml, "c.yaml", |_| None);
    parsed
        .map(|(config, _)| config)
        .map_err(|errors| errors.to_string())
}

fn leads_to(config: &Config) -> String {
    let (_, store) = config.artifact_stores().next().unwrap();
    let location = Store::location_of(store, &"acme".parse::<TenantId>().unwrap());
    let (Location::Public(url) | Location::Store(url)) = location.unwrap();
    url
}

#[test]
fn references_lead_to_the_first_server_of_their_store() {
    let store = ("artifact_store", "{url: memory://}");
    let public = (
        "artifact_store",
        "{url: memory://, public_url: https://own.example.com}",
    );
    let server = ("artifact_server", "{}");
    let second = (
        "artifact_server/b",
        "{public_url: https://b.example.com/x, open_to_everybody: true, endpoint: 127.0.0.1:1, \
         pages: {endpoint: 127.0.0.1:2}}",
    );
    let anywhere = ("artifact_server", "{endpoint: 127.0.0.1:0}");
    for (extensions, url) in [
        (&[store][..], "memory:///acme/sha256"),
        (&[store, server], "http://127.0.0.1:4319/acme"),
        (&[second, server, store], "https://b.example.com/x/acme"),
        (&[server, second, store], "http://127.0.0.1:4319/acme"),
        (&[public, server], "https://own.example.com/acme"),
        (&[store, anywhere], "memory:///acme/sha256"),
    ] {
        let config = parse(extensions).unwrap();
        assert_eq!(leads_to(&config), url, "{extensions:?}");
    }
}

#[test]
fn mistakes() {
    let store = ("artifact_store", "{url: memory://}");
    for (body, told) in [
        (
            "{endpoint: 0.0.0.0:4319}",
            "extensions.artifact_server.endpoint: 0.0.0.0:4319 can be reached",
        ),
        (
            "{pages: {endpoint: 0.0.0.0:4320}}",
            "extensions.artifact_server.pages.endpoint: 0.0.0.0:4320 can be reached",
        ),
        (
            "{open_to_everybody: true, endpoint: 0.0.0.0:4319}",
            "extensions.artifact_server.public_url: 0.0.0.0:4319 is all addresses of this machine",
        ),
        (
            "{open_to_everybody: true, tls: {cert_file: a, key_file: b}, pages: {endpoint: \"[::]:4320\"}}",
            "such as https://files.example.com:4320, or listen on one address",
        ),
        (
            "{pages: {endpoint: 127.0.0.1:4319}}",
            "127.0.0.1:4319 is already the endpoint of extensions.artifact_server",
        ),
        (
            "{public_url: http://x.example.com, pages: {public_url: http://x.example.com/pages}}",
            "extensions.artifact_server.pages.public_url: http://x.example.com/pages is the origin",
        ),
        (
            "{public_url: https://x.example.com}",
            "extensions.artifact_server.public_url: x.example.com is a name for other machines",
        ),
        (
            "{pages: {public_url: https://x.example.com}}",
            "extensions.artifact_server.pages.public_url: x.example.com is a name for other machines",
        ),
        (
            "{allowed_hosts: [x.example.com]}",
            "extensions.artifact_server.allowed_hosts: x.example.com is a name for other machines",
        ),
        (
            "{store: artifact_server}",
            "extensions.artifact_server.store: references extension \"artifact_server\" which is not an \
             artifact_store",
        ),
        (
            "{store: artifact_store/b}",
            "extensions.artifact_server.store: references extension \"artifact_store/b\" which is not \
             configured",
        ),
        (
            "{auth: {authenticator: artifact_store}}",
            "extensions.artifact_server.auth.authenticator: references extension \"artifact_store\" which \
             is not a bearertokenauth or basicauth",
        ),
        (
            "{deletion: {auth: {authenticator: artifact_store}}}",
            "extensions.artifact_server.deletion.auth.authenticator: references extension \
             \"artifact_store\" which is not a bearertokenauth or basicauth",
        ),
        (
            "{deletion: {auth: {authenticator: basicauth}}}",
            "extensions.artifact_server.deletion.auth.authenticator: references extension \"basicauth\" \
             which is not configured",
        ),
        (
            "{deletion: {authenticator: basicauth}}",
            "has invalid keys: authenticator",
        ),
        (
            "{deletion: {auth: null}, endpoint: 0.0.0.0:4319}",
            "without auth anybody there can read and store artifacts",
        ),
        (
            "{allowed_hosts: [\"a:1\"]}",
            "extensions.artifact_server.allowed_hosts: \"a:1\" is no name",
        ),
        (
            "{frame_ancestors: [\"*\"]}",
            "extensions.artifact_server.frame_ancestors: \"*\" is no origin",
        ),
        (
            "{links: {lifetime: 1h}}",
            "extensions.artifact_server.links.lifetime: is too long",
        ),
        (
            "{links: {keys: [{id: a, secret: short}]}}",
            "extensions.artifact_server.links.keys: the secret of \"a\" has less than 32",
        ),
        ("{tls: {}}", "extensions.artifact_server.tls"),
        ("{endpoints: x}", "has invalid keys: endpoints"),
    ] {
        let errors = parse(&[store, ("artifact_server", body)]).unwrap_err();
        assert!(errors.contains(told), "{body}: {errors}");
        assert!(!errors.contains("short"), "{errors}");
    }
}

#[test]
fn a_receiver_takes_artifacts_only_for_a_server_that_knows_who_may() {
    let parse = |server: &str, http: &str| {
        let yaml = format!(
            "receivers:\n  otlp: {{protocols: {{http: {{{http}}}}}}}\nexporters:\n  debug:\nextensions:\n  \
             artifact_store: {{url: memory://}}\n  bearertokenauth: {{token: a}}\n  artifact_server: {{{server}}}\n\
             service:\n  extensions: [artifact_store, artifact_server, bearertokenauth]\n  \
             pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}\n"
        );
        let parsed = Config::parse(&yaml, "c.yaml", |_| None);
        parsed.map(drop).map_err(|errors| errors.to_string())
    };
    let (here, anywhere) = ("endpoint: 127.0.0.1:4318", "endpoint: 0.0.0.0:4318");
    let auth = "auth: {authenticator: bearertokenauth}";
    for (server, http) in [
        ("", here),
        (auth, anywhere),
        ("open_to_everybody: true", anywhere),
    ] {
        let http = format!("{http}, artifact_server: artifact_server");
        assert_eq!(parse(server, &http), Ok(()), "{server} {http}");
    }
    for (http, told) in [
        (
            format!("{anywhere}, artifact_server: artifact_server"),
            "receivers.otlp.protocols.http.artifact_server: 0.0.0.0:4318 can be reached from other machines",
        ),
        (
            format!("{here}, artifact_server: artifact_store"),
            "receivers.otlp.protocols.http.artifact_server: references extension \"artifact_store\" which is not \
             an artifact_server",
        ),
        (
            format!("{here}, artifact_server: artifact_server/b"),
            "references extension \"artifact_server/b\" which is not configured",
        ),
        (
            format!("{here}, artifact_server: artifact_server, logs_url_path: /v1/artifacts/logs"),
            "receivers.otlp.protocols.http.logs_url_path: /v1/artifacts/logs is where artifact_server takes \
             artifacts",
        ),
    ] {
        let errors = parse("", &http).unwrap_err();
        assert!(errors.contains(told), "{http}: {errors}");
    }
    assert_eq!(
        parse("", &format!("{here}, logs_url_path: /v1/artifacts/logs")),
        Ok(())
    );
}
