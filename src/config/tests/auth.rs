//! What is told of authenticators that do not fit.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use crate::config::Config;

/// A configuration with these extensions, and what its receiver, exporter and queue have.
fn parse(extensions: &str, receiver: &str, exporter: &str) -> Result<Config, String> {
    let listed = extensions.lines().filter(|line| !line.starts_with(' '));
    let ids: Vec<_> = listed.filter_map(|line| line.split(':').next()).collect();
    let body = extensions.replace('\n', "\n  ");
    let text = format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{{receiver}}}}}}}}}\n\
         exporters: {{otlp_grpc: {{endpoint: \"backend:4317\", {exporter}}}}}\n\
         extensions:\n  {body}\n\
         service:\n  extensions: [{}]\n  pipelines: \
         {{traces: {{receivers: [otlp], exporters: [otlp_grpc]}}}}\n",
        ids.join(", ")
    );
    let parsed = Config::parse(&text, "c.yaml", |_| None);
    parsed
        .map(|(config, _)| config)
        .map_err(|errors| errors.to_string())
}

const TOKEN: &str = "bearertokenauth: {token: canary}";
const PASS_ON: &str =
    "headers_setter: {headers: [{key: authorization, from_context: authorization}]}";
const BY_TOKEN: &str = "auth: {authenticator: bearertokenauth}";
const BY_SETTER: &str = "auth: {authenticator: headers_setter}";
const METADATA: &str = "include_metadata: true";

#[test]
fn what_fits() {
    let disk = "sending_queue: {storage: file_storage}";
    let tenant = "headers_setter: {headers: [{key: x-tenant, from_context: x-tenant}]}\n\
                  file_storage: {directory: ./q}";
    let chain = format!(
        "{TOKEN}\nheaders_setter:\n  additional_auth: bearertokenauth\n  \
         headers: [{{key: x, action: insert, value: y}}, {{key: z, action: delete}}]"
    );
    for (extensions, receiver, exporter) in [
        (TOKEN, BY_TOKEN, BY_TOKEN),
        (
            "bearertokenauth: {header: x-api-key, scheme: \"\", tokens: [a, b]}",
            BY_TOKEN,
            "",
        ),
        ("bearertokenauth: {filename: ./t}", BY_TOKEN, ""),
        (
            "basicauth: {htpasswd: {inline: \"a:b\"}}",
            "auth: {authenticator: basicauth}",
            "",
        ),
        (
            "basicauth: {client_auth: {username: a, password: b}}",
            "",
            "auth: {authenticator: basicauth}",
        ),
        (
            "basicauth: {client_auth: {username_file: ./u, password_file: ./p}}",
            "",
            "auth: {authenticator: basicauth}",
        ),
        (PASS_ON, METADATA, BY_SETTER),
        (
            PASS_ON,
            METADATA,
            &format!("{BY_SETTER}, sending_queue: {{}}"),
        ),
        (tenant, METADATA, &format!("{BY_SETTER}, {disk}")),
        (
            PASS_ON,
            METADATA,
            "sending_queue: {batch: {partition: {metadata_keys: [authorization]}}}",
        ),
        (&chain, "", BY_SETTER),
    ] {
        parse(extensions, receiver, exporter).unwrap();
    }
}

#[test]
fn what_does_not() {
    let disk = format!("{BY_SETTER}, sending_queue: {{storage: file_storage}}");
    let pass_on_to_disk = format!("{PASS_ON}\nfile_storage: {{directory: ./q}}");
    let by_credential = "batch: {partition: {metadata_keys: [Authorization]}}";
    let by_credential_on_disk =
        format!("sending_queue: {{storage: file_storage, {by_credential}}}");
    let header = |keys: &str| format!("headers_setter: {{headers: [{{{keys}}}]}}");
    let basic = "basicauth: {client_auth: {username: a, password: b}}";
    let users = "basicauth: {htpasswd: {file: ./x}}";
    let circle = "headers_setter/a: {headers: [{key: a, value: b}], additional_auth: headers_setter/b}\n\
                  headers_setter/b: {headers: [{key: a, value: b}], additional_auth: headers_setter/a}";
    let table = [
        (
            TOKEN,
            "auth: {authenticator: oidc}",
            "",
            "receivers.otlp.protocols.grpc.auth.authenticator: references extension \"oidc\" which is not configured",
        ),
        (
            TOKEN,
            "auth: {authenticator: [a]}",
            "",
            "receivers.otlp.protocols.grpc.auth.authenticator: expected a string, found a list",
        ),
        (
            TOKEN,
            "auth: {}",
            "",
            "receivers.otlp.protocols.grpc.auth: the field \"authenticator\" is required",
        ),
        (
            PASS_ON,
            BY_SETTER,
            "",
            "auth.authenticator: references extension \"headers_setter\" which is not a bearertokenauth or basicauth",
        ),
        (
            basic,
            "auth: {authenticator: basicauth}",
            "",
            "auth.authenticator: extensions.basicauth has no htpasswd for senders",
        ),
        (
            users,
            "",
            "auth: {authenticator: basicauth}",
            "exporters.otlp_grpc.auth.authenticator: extensions.basicauth has no client_auth for exporters",
        ),
        (
            "file_storage: {directory: ./q}",
            "",
            "auth: {authenticator: file_storage}",
            "references extension \"file_storage\" which is not a bearertokenauth, basicauth or headers_setter",
        ),
        (
            "bearertokenauth: {}",
            "",
            "",
            "extensions.bearertokenauth.token: is required: the token, or tokens, or tenants, or a filename",
        ),
        (
            "bearertokenauth: {token: canary, filename: x}",
            "",
            "",
            "extensions.bearertokenauth.filename: cannot stand beside token: give one of them",
        ),
        (
            "bearertokenauth: {token: canary, tokens: [canary]}",
            "",
            "",
            "extensions.bearertokenauth.tokens: cannot stand beside token: give one of them",
        ),
        (
            "bearertokenauth: {token: [canary]}",
            "",
            "",
            "extensions.bearertokenauth.token: expected a string, found a list",
        ),
        (
            "bearertokenauth: {header: \"a b\", token: canary}",
            "",
            "",
            "extensions.bearertokenauth.header: \"a b\" is not a header name",
        ),
        (
            "basicauth: {}",
            "",
            "",
            "extensions.basicauth: needs htpasswd, for a receiver, or client_auth, for an exporter",
        ),
        (
            "basicauth: {htpasswd: {}}",
            "",
            "",
            "extensions.basicauth.htpasswd: needs a file, or lines as inline",
        ),
        (
            "basicauth: {client_auth: {username: a}}",
            "",
            "",
            "extensions.basicauth.client_auth.password: is required: the password, or password_file, a file with it",
        ),
        (
            "basicauth: {client_auth: {password_file: ./p}}",
            "",
            "",
            "extensions.basicauth.client_auth.username: is required: the name, or username_file, a file with it",
        ),
        (
            "headers_setter: {}",
            "",
            "",
            "extensions.headers_setter: the field \"headers\" is required",
        ),
        (
            "headers_setter: {headers: []}",
            "",
            "",
            "extensions.headers_setter.headers: needs a header to set",
        ),
        (
            &header("key: a"),
            "",
            "",
            "extensions.headers_setter.headers[0].value: is required: the value, or value_file, a file with it, or from_context, the header of the sender that has it",
        ),
        (
            &header("key: a, value: b, from_context: c"),
            "",
            "",
            "headers[0].from_context: cannot stand beside value: give one of them",
        ),
        (
            &header("key: a, value: b, value_file: c"),
            "",
            "",
            "headers[0].value_file: cannot stand beside value: give one of them",
        ),
        (
            &header("key: a, value_file: b, from_context: c"),
            "",
            "",
            "headers[0].from_context: cannot stand beside value_file: give one of them",
        ),
        (
            &header("key: a, value: b, default_value: c"),
            "",
            "",
            "headers[0].default_value: is for from_context, and there is none",
        ),
        (
            &header("key: a, value: b, action: delete"),
            "",
            "",
            "headers[0].action: delete takes no value, value_file or from_context",
        ),
        (
            &header("key: a, value: b, action: append"),
            "",
            "",
            "headers[0].action: unknown value \"append\"; known are insert, update, upsert, delete",
        ),
        (
            &header("key: a, from_attribute: username"),
            "",
            "",
            "headers[0].from_attribute: is not supported: what an authenticator says of a sender cannot become a header; use from_context with a header of the sender, or value",
        ),
        (
            &header("key: content-type, value: b"),
            "",
            "",
            "headers[0].key: \"content-type\" belongs to the protocol and cannot be set: requests would not be understood",
        ),
        (
            &header("key: a, value: \"canary\\n\""),
            "",
            "",
            "headers[0].value: has a character that a header cannot carry, such as a line break",
        ),
        (
            PASS_ON,
            "",
            BY_SETTER,
            "exporters.otlp_grpc.auth.authenticator: \"headers_setter\" wants the header authorization of senders, and no receiver shows it: set include_metadata: true in a receiver of this exporter's pipelines",
        ),
        (
            &pass_on_to_disk,
            METADATA,
            &disk,
            "exporters.otlp_grpc.sending_queue.storage: \"headers_setter\" passes on the header authorization of senders, which would be written to disk with each request: remove the storage, so that the queue is in memory, or give the exporter a credential of its own",
        ),
        (
            "file_storage: {directory: ./q}",
            METADATA,
            &by_credential_on_disk,
            "exporters.otlp_grpc.sending_queue.batch.partition.metadata_keys: the header authorization of senders would be written to disk with each request: remove it, or the storage, so that the queue is in memory",
        ),
        (
            circle,
            "",
            "",
            "extensions.headers_setter/a.additional_auth: \"headers_setter/b\" leads back to \"headers_setter/a\"",
        ),
    ];
    for (extensions, receiver, exporter, says) in table {
        let error = parse(extensions, receiver, exporter).unwrap_err();
        assert!(error.contains(says), "{extensions}: {error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

/// Nothing of a credential is in what programmers see, either.
#[test]
fn credentials_are_not_shown() {
    let basic = "basicauth:\n  client_auth: {username: a, password: canary}\n  htpasswd: {inline: canary}\n";
    let all = format!("{TOKEN}\n{basic}headers_setter: {{headers: [{{key: a, value: canary}}]}}");
    let tls = "tls: {cert_pem: canary, key_pem: canary}, headers: {a: canary}";
    let config = parse(&all, "", tls).unwrap();
    let shown = format!("{config:?}");
    assert!(
        shown.contains("REDACTED") && !shown.contains("canary"),
        "{shown}"
    );
}

/// Who forgets to start it is told.
#[test]
fn an_authenticator_has_to_be_started() {
    let text = "receivers: {otlp: {protocols: {grpc: {auth: {authenticator: bearertokenauth}}}}}\n\
                exporters: {debug: }\nextensions: {bearertokenauth: {token: a}}\n\
                service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n";
    let errors = Config::parse(text, "c.yaml", |_| None).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "c.yaml:3: extensions.bearertokenauth: would not be started: add \"bearertokenauth\" to \
         service.extensions"
    );
}
