//! What is told of processors that want to know what no receiver shows.

use crate::config::Config;

/// A configuration with this receiver, these keys of its processors, and this exporter.
fn told(receiver: &str, tenant: &str, batch: &str, exporter: &str) -> String {
    let text = format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{{receiver}}}}}}}}}\n\
         processors:\n  artifact: {{store: artifact_store, tenant: {tenant}}}\n  batch: {{{batch}}}\n\
         exporters: {{otlp_grpc: {{endpoint: \"backend:4317\"{exporter}}}}}\n\
         extensions:\n  artifact_store: {{url: ./x}}\n  bearertokenauth: {{tenants: {{acme: secret}}}}\n  \
         headers_setter: {{headers: [{{key: authorization, from_context: authorization}}]}}\n\
         service:\n  extensions: [artifact_store, bearertokenauth, headers_setter]\n  pipelines: \
         {{traces: {{receivers: [otlp], processors: [artifact, batch], exporters: [otlp_grpc]}}}}\n"
    );
    match Config::parse(&text, "c.yaml", |_| None) {
        Ok(_) => String::new(),
        Err(errors) => errors.to_string(),
    }
}

const SHOWN: &str = "include_metadata: true";
const ASKED: &str = "auth: {authenticator: bearertokenauth}";
const PASSED_ON: &str = ", auth: {authenticator: headers_setter}";

#[test]
fn what_is_wanted_of_senders_is_shown_by_some_receiver() {
    let by_header = "{from_context: metadata.x-tenant}";
    let by_credential = "{from_context: auth.tenant}";
    for (receiver, tenant, batch, exporter) in [
        (SHOWN, by_header, "metadata_keys: [X-Tenant]", ""),
        (ASKED, by_credential, "", ""),
        ("", "{from_attribute: tenant.id}", "", ""),
        (SHOWN, "null", "metadata_keys: [authorization]", PASSED_ON),
    ] {
        assert_eq!(told(receiver, tenant, batch, exporter), "");
    }
    for (receiver, tenant, batch, exporter, message) in [
        (
            ASKED,
            by_header,
            "",
            "",
            "c.yaml:3: processors.artifact.tenant.from_context: wants the header x-tenant of senders, \
             and no receiver shows it: set include_metadata: true in a receiver of its pipelines",
        ),
        (
            SHOWN,
            by_credential,
            "",
            "",
            "c.yaml:3: processors.artifact.tenant.from_context: not every listener of its \
             pipelines' receivers knows the tenant of senders: set auth.authenticator in each; basicauth \
             with htpasswd knows the username, and bearertokenauth with tenants the tenant",
        ),
        (
            ASKED,
            "{from_context: auth.username}",
            "",
            "",
            "c.yaml:3: processors.artifact.tenant.from_context: not every listener of its \
             pipelines' receivers knows the username of senders: set auth.authenticator in each; basicauth \
             with htpasswd knows the username, and bearertokenauth with tenants the tenant",
        ),
        (
            "",
            "{from_attribute: tenant.id}",
            "",
            ", auth: {authenticator: bearertokenauth}",
            "c.yaml:5: exporters.otlp_grpc.auth.authenticator: extensions.bearertokenauth has tokens of \
             tenants, which are for receivers: give the exporter one with a token of its own",
        ),
        (
            "",
            "null",
            "metadata_keys: [x-tenant]",
            "",
            "c.yaml:4: processors.batch.metadata_keys: wants the header x-tenant of senders, and no \
             receiver shows it: set include_metadata: true in a receiver of its pipelines",
        ),
        (
            SHOWN,
            "null",
            "metadata_keys: [x-tenant]",
            PASSED_ON,
            "c.yaml:4: processors.batch.metadata_keys: \"otlp_grpc\" passes on the header \
             authorization of senders, which requests of a batch need not have in common: add \
             authorization to these keys",
        ),
        (
            "",
            "null",
            "send_batch_max_size: 10",
            "",
            "c.yaml:4: processors.batch.send_batch_max_size: must be 0 or at least send_batch_size, \
             which is 8192",
        ),
        (
            "",
            "null",
            "metadata_keys: [a b]",
            "",
            "c.yaml:4: processors.batch.metadata_keys: \"a b\" is not a header name",
        ),
        (
            "",
            "null",
            "timeout: 200",
            "",
            "c.yaml:4: processors.batch.timeout: \"200\" is not a duration: use a number with a unit \
             such as 5s, 200ms or 1h30m",
        ),
    ] {
        assert_eq!(told(receiver, tenant, batch, exporter), message);
    }
}
