//! Keys, values and types that the Collector has and that are left out here on purpose. Whoever brings one along
//! is told why, rather than that nobody knows it.

mod servers;
mod types;

pub(super) use types::why_type;

const AT_THE_START: &str = "the file of tokens has to be there when slimspan starts; remove it, and let slimspan be \
                            started when the file is there, or again until it is";
const SMALL: &str = "what slimspan says of itself is small, and so are the answers; remove it";
const NOT_DETECTED: &str =
    "nothing is found out about this machine; write what backends are to know under attributes";
const TARGET_INFO: &str =
    "what is in resource are labels of target_info; remove it, and join that in queries";
const ALWAYS_TARGET: &str =
    "target_info says who it is that is measured; remove it, and drop that where metrics are read";
const STRATEGY: &str = "translation_strategy says how names end; use \
                        underscore_escaping_without_suffixes/development, or remove it";
const WITH_SUFFIXES: &str = "underscore_escaping_with_suffixes";
const TRANSLATED: &str = "names have letters, digits and _, as Prometheus always read them; use \
                          underscore_escaping_with_suffixes";

/// Each key, another that stands where it would, and what to do instead.
const LEFT_OUT: [(&str, &str, &str); 50] = [
    (
        "tpm",
        "key_pem",
        "keys in a TPM cannot be used; give the key as key_file or key_pem",
    ),
    (
        "P521",
        "P384",
        "what does the cryptography here has no such curve; use X25519, P256, P384 or X25519MLKEM768",
    ),
    (
        "from_attribute",
        "default_value",
        "what an authenticator says of a sender cannot become a header; use from_context with a \
         header of the sender, or value",
    ),
    (
        "simple",
        "batch",
        "spans are sent many at a time, so that no request waits for one; use batch",
    ),
    (
        "console",
        "otlp",
        "what slimspan says of itself is not printed; use otlp, or level: debug of logs",
    ),
    (
        "b3",
        "tracecontext",
        "only the traceparent of W3C is read; remove it",
    ),
    (
        "baggage",
        "tracecontext",
        "nothing here looks at the baggage of senders; remove it",
    ),
    (
        "limits",
        "propagators",
        "no span here has more than some attributes; remove it",
    ),
    (
        "recreate",
        "create_directory",
        "what is damaged is always put aside, and the rest is delivered; remove it",
    ),
    (
        "request_params",
        "authenticator",
        "what an authenticator reads stands in headers; remove it",
    ),
    (
        "temporality_preference",
        "headers_list",
        "what is sent counts from the start of the process, which is cumulative; remove it",
    ),
    (
        "default_histogram_aggregation",
        "headers_list",
        "histograms have the buckets that docs/telemetry.md tells of; remove it",
    ),
    (
        "encoding",
        "headers_list",
        "what slimspan says of itself is sent as protobuf; remove it",
    ),
    ("max_request_size", "headers_list", SMALL),
    ("max_response_size", "headers_list", SMALL),
    (
        "http/json",
        "http/protobuf",
        "what slimspan says of itself is sent as protobuf; use http/protobuf",
    ),
    (
        "otlp_file/development",
        "otlp",
        "what slimspan says of itself is written to no files; use otlp, or output_paths of logs",
    ),
    (
        "producers",
        "exporter",
        "slimspan's own metrics are all that is sent; remove it",
    ),
    (
        "cardinality_limits",
        "exporter",
        "there are as many series as there are components; remove it",
    ),
    (
        "processors",
        "initial_fields",
        "the log is written, and not sent; remove it, and have a Collector read what output_paths names",
    ),
    (
        "attributes_list",
        "schema_url",
        "each attribute stands by itself; write it as - {name: …, value: …} under attributes",
    ),
    ("detectors", "schema_url", NOT_DETECTED),
    ("detection/development", "schema_url", NOT_DETECTED),
    (
        "meter_name",
        "instrument_name",
        "metrics have no scopes here; name them by instrument_name",
    ),
    (
        "instrument_type",
        "instrument_name",
        "name metrics by instrument_name, in which * stands for any text",
    ),
    (
        "unit",
        "instrument_name",
        "name metrics by instrument_name, in which * stands for any text",
    ),
    (
        "attribute_keys",
        "aggregation",
        "a metric is told with all of its labels or not at all; remove it, and drop labels where metrics are read, \
         such as by metric_relabel_configs of Prometheus",
    ),
    (
        "explicit_bucket_histogram",
        "drop",
        "histograms have the buckets that they have; use drop, or remove the view",
    ),
    (
        "with_resource_constant_labels",
        "without_units",
        TARGET_INFO,
    ),
    (
        "with_resource_constant_labels",
        "translation_strategy",
        TARGET_INFO,
    ),
    (
        "resource_constant_labels",
        "translation_strategy",
        TARGET_INFO,
    ),
    ("without_units", "translation_strategy", STRATEGY),
    ("without_type_suffix", "translation_strategy", STRATEGY),
    ("without_target_info", "translation_strategy", ALWAYS_TARGET),
    (
        "target_info_enabled/development",
        "translation_strategy",
        ALWAYS_TARGET,
    ),
    ("no_translation/development", WITH_SUFFIXES, TRANSLATED),
    ("NoTranslation", WITH_SUFFIXES, TRANSLATED),
    (
        "no_utf8_escaping_with_suffixes/development",
        WITH_SUFFIXES,
        TRANSLATED,
    ),
    ("NoUTF8EscapingWithSuffixes", WITH_SUFFIXES, TRANSLATED),
    (
        "unix",
        "tcp",
        "who asks comes over TCP; use tcp, and an endpoint on 127.0.0.1 for those of this machine",
    ),
    (
        "tcp4",
        "tcp",
        "the endpoint says which version of IP it is, such as 0.0.0.0:4317; use tcp",
    ),
    (
        "tcp6",
        "tcp",
        "the endpoint says which version of IP it is, such as \"[::]:4317\"; use tcp",
    ),
    (
        "middlewares",
        "retry_on_failure",
        "nothing stands between an exporter and its backend; remove it",
    ),
    (
        "sending_queue",
        "verbosity",
        "what arrives is printed at once, and nothing waits for that; remove it",
    ),
    (
        "group_by",
        "flush_interval",
        "all that comes is written to one file; remove it, and place slimspan before a Collector that divides it",
    ),
    (
        "encoding",
        "flush_interval",
        "what is written is OTLP, as format says: json or proto; remove it",
    ),
    (
        "expvar",
        "allowed_hosts",
        "there are no variables of Go here; remove it, and read the metrics that docs/telemetry.md tells of",
    ),
    ("retry_on_failure", "scheme", AT_THE_START),
    ("wait_for_token_file", "scheme", AT_THE_START),
    (
        "dialer",
        "transport",
        "a listener connects to nobody; remove it",
    ),
];

/// Why a key is left out that stands among the `known` ones, if it is.
pub(super) fn why(key: &str, known: &[&str]) -> Option<&'static str> {
    let mut keys = LEFT_OUT.iter();
    let among = keys.find_map(|(left_out, beside, why)| {
        (*left_out == key && known.contains(beside)).then_some(*why)
    });
    among.or_else(|| servers::why(key, known))
}
