//! Values of the Collector that mean another here, and keys with nothing behind them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

use crate::config::instead::{Instead, ROWS, Row, Written};
use crate::config::{Config, Sources};

const DOCS: &str = include_str!("../../../docs/configuration.md");

/// A configuration, and what is told of it.
fn read(text: &str) -> (Config, Vec<String>) {
    super::schema::accepts(text);
    let read = load(text);
    let (config, told) = read.unwrap_or_else(|errors| panic!("{text}: {errors}"));
    (config, told)
}

fn load(text: &str) -> Result<(Config, Vec<String>), String> {
    let sources = Sources {
        locations: vec![format!("yaml:{text}")],
        settings: Vec::new(),
    };
    match Config::load_unchecked(&sources, |_| None) {
        Ok((config, told)) => Ok((config, told.iter().map(ToString::to_string).collect())),
        Err(errors) => Err(errors.to_string()),
    }
}

/// A configuration in which the key of a row has a value, or is not there.
fn with(row: &Row, name: &str, value: Option<&str>) -> String {
    let (last, above) = row.keys.split_last().unwrap();
    let inside = value.map_or_else(String::new, |value| format!("{last}: {value}"));
    let above = above.iter().rev();
    let keys = above.fold(inside, |inside, key| format!("{key}: {{{inside}}}"));
    let needed = match name {
        "otlp_grpc" | "otlp" if row.section == "exporters" => "endpoint: \"a:1\", ",
        "otlp_http" | "otlphttp" => "endpoint: \"http://a\", ",
        _ => "",
    };
    if name.is_empty() {
        format!("{}: {{{keys}}}", row.section)
    } else {
        format!("{}: {{{name}/x: {{{needed}{keys}}}}}", row.section)
    }
}

fn path(row: &Row, name: &str) -> String {
    let keys = row.keys.join(".");
    match name {
        "" => format!("{}.{keys}", row.section),
        _ => format!("{}.{name}.{keys}", row.section),
    }
}

#[test]
fn each_value_means_what_comes_nearest_and_that_is_told() {
    assert!(ROWS.len() > 20, "{}", ROWS.len());
    for row in ROWS {
        let samples: Vec<&str> = match row.written {
            Written::Zero => vec!["0", "0s"],
            Written::NoLevel => vec!["-1", "0"],
            Written::Empty => vec!["\"\""],
            Written::Word(words) => words.iter().copied().chain(["FATAL"]).collect(),
            Written::Port => vec!["\":0\""],
        };
        let (instead, told) = match row.instead {
            Instead::TheDefault(told) => (None, told),
            Instead::This(value, told) => (Some(value), told),
            Instead::Everywhere => {
                let told = "means 0.0.0.0:0 here, every IPv4 address of this machine; write \"[::]:0\" for IPv6, too";
                (Some("0.0.0.0:0"), Some(told))
            }
        };
        let names: &[&str] = if row.types.is_empty() {
            &[""]
        } else {
            row.types
        };
        for (name, sample) in names
            .iter()
            .flat_map(|name| samples.iter().map(move |sample| (name, sample)))
        {
            let (config, warnings) = read(&with(row, name, Some(*sample)));
            let (meant, _) = read(&with(row, name, instead));
            let at = path(row, &format!("{name}/x")).replace("./x.", ".");
            assert_eq!(config, meant, "{at}: {sample}");
            let at = format!("yaml:1: {at}: ");
            let warnings = warnings.iter().filter_map(|told| told.strip_prefix(&at));
            let warnings: Vec<_> = warnings.collect();
            assert_eq!(warnings, told.as_slice(), "{at}: {sample}");
        }
    }
}

#[test]
fn the_docs_have_each_of_them() {
    for row in ROWS {
        let name = row.types.first().copied().unwrap_or_default();
        let cell = format!("`{}`", path(row, name));
        let mut lines = DOCS.lines();
        assert!(lines.any(|line| line.contains(&cell)), "{cell}");
    }
}

/// What is left out may be there with a value that asks for nothing, and with no other.
#[test]
fn what_asks_for_nothing_may_stand_there() {
    for (around, key, nothing, something) in [
        (
            ["exporters: {otlp_grpc: {endpoint: \"a:1\", ", "}}"],
            "middlewares",
            &["[]", ""][..],
            "[{id: a}]",
        ),
        (
            ["exporters: {otlphttp/b: {endpoint: \"http://a\", ", "}}"],
            "middlewares",
            &["[]", ""],
            "[{id: a}]",
        ),
        (
            ["exporters: {otlp: {endpoint: \"a:1\", tls: {", "}}}"],
            "tpm",
            &[
                "{enabled: false}",
                "{}",
                "",
                "{enabled: false, path: /dev/tpm0}",
            ],
            "{enabled: true}",
        ),
        (
            ["receivers: {otlp: {protocols: {http: {tls: {", "}}}}}"],
            "tpm",
            &["{enabled: false}"],
            "{enabled: true}",
        ),
        (
            [
                "receivers: {otlp: {protocols: {http: {auth: {authenticator: a, ",
                "}}}}}",
            ],
            "request_params",
            &["[]", ""],
            "[token]",
        ),
        (
            ["service: {telemetry: {logs: {", "}}}"],
            "processors",
            &["[]", ""],
            "[{batch: }]",
        ),
        (
            ["service: {telemetry: {resource: {", "}}}"],
            "detectors",
            &["{}", "{attributes: {included: []}}", ""],
            "{attributes: {included: [a]}}",
        ),
        (
            [
                "service: {telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {",
                "}}}}]}}}",
            ],
            "with_resource_constant_labels",
            &["{included: []}", "{included: , excluded: []}", "{}", ""],
            "{excluded: [a]}",
        ),
        (
            [
                "service: {telemetry: {metrics: {readers: [{periodic: {exporter: {otlp: {protocol: grpc, endpoint: \
                 \"a:1\", ",
                "}}}}]}}}",
            ],
            "temporality_preference",
            &["cumulative", ""],
            "delta",
        ),
        (
            ["exporters: {debug/a: {", "}}"],
            "sending_queue",
            &["{enabled: false}", "{queue_size: 5, enabled: false}"],
            "{}",
        ),
        (
            ["exporters: {file/a: {path: a, ", "}}"],
            "group_by",
            &[
                "{enabled: false}",
                "{}",
                "",
                "{enabled: false, resource_attribute: a}",
            ],
            "{enabled: true}",
        ),
        (
            ["exporters: {file: {path: a, ", "}}"],
            "encoding",
            &["", "null"],
            "otlp_json",
        ),
        (
            ["extensions: {zpages/a: {", "}}"],
            "expvar",
            &["{enabled: false}", "{}", ""],
            "{enabled: true}",
        ),
        (
            ["extensions: {bearertokenauth/a: {filename: a, ", "}}"],
            "retry_on_failure",
            &["{enabled: false}", "{}", "", "{interval: 1s}"],
            "{enabled: true, interval: 1s}",
        ),
        (
            ["extensions: {bearertokenauth: {filename: a, ", "}}"],
            "wait_for_token_file",
            &["false", ""],
            "true",
        ),
        (
            ["receivers: {otlp/a: {protocols: {grpc: {", "}}}}"],
            "dialer",
            &["{timeout: 10s}", "{}", ""],
            "{keep_alive: 10s}",
        ),
        (
            ["receivers: {otlp: {protocols: {http: {", "}}}}"],
            "dialer",
            &["{timeout: 10s}"],
            "{keep_alive: 10s}",
        ),
        (
            ["extensions: {zpages: {", "}}"],
            "dialer",
            &["{timeout: 10s}"],
            "{keep_alive: 10s}",
        ),
        (
            ["extensions: {health_check/a: {", "}}"],
            "dialer",
            &["{timeout: 10s}"],
            "{keep_alive: 10s}",
        ),
        (
            ["extensions: {healthcheckv2: {", "}}"],
            "dialer",
            &["{timeout: 10s}"],
            "{keep_alive: 10s}",
        ),
        (
            ["extensions: {healthcheckv2: {http: {", "}}}"],
            "dialer",
            &["{timeout: 10s}"],
            "{keep_alive: 10s}",
        ),
        (
            ["extensions: {healthcheckv2: {grpc: {", "}}}"],
            "dialer",
            &["{timeout: 10s}"],
            "{keep_alive: 10s}",
        ),
    ] {
        let with = |value: &str| format!("{}{key}: {value}{}", around[0], around[1]);
        let (without, told_without) = load(&around.concat()).unwrap();
        for nothing in nothing {
            let (config, told) = load(&with(nothing)).unwrap();
            assert_eq!(config, without, "{key}: {nothing}");
            assert_eq!(told, told_without, "{key}: {nothing}");
        }
        super::schema::accepts(&with(nothing.first().unwrap()));
        let errors = load(&with(something)).unwrap_err();
        assert!(errors.contains("is not supported: "), "{errors}");
        assert!(super::schema::complaint(&with(something)).is_some());
    }
}

/// A key with nothing behind it is as if it were not there; what has no default needs something.
#[test]
fn what_has_nothing_behind_it_is_not_written() {
    const NOTHING: &str = "has nothing behind it, so that its default holds";
    for (written, without, at) in [
        (
            "exporters: {otlp: {endpoint: \"a:1\", timeout: , compression: ~, headers: }}",
            "exporters: {otlp: {endpoint: \"a:1\"}}",
            &["exporters.otlp.timeout", "exporters.otlp.compression"][..],
        ),
        (
            "receivers: {otlp: {protocols: {grpc: {endpoint: null, max_items: , tls: }}}}",
            "receivers: {otlp: {protocols: {grpc: }}}",
            &[
                "receivers.otlp.protocols.grpc.endpoint",
                "receivers.otlp.protocols.grpc.max_items",
            ],
        ),
        (
            "processors: {artifact: {store: a, dry_run: , text_preview: null}}",
            "processors: {artifact: {store: a}}",
            &[
                "processors.artifact.dry_run",
                "processors.artifact.text_preview",
            ],
        ),
        (
            "service: {telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {port: }}}}]}}}",
            "service: {telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {}}}}]}}}",
            &["service.telemetry.metrics.readers[0].pull.exporter.prometheus.port"],
        ),
    ] {
        let (config, told) = read(written);
        assert_eq!(config, load(without).unwrap().0, "{written}");
        let expected = at.iter().map(|at| format!("yaml:1: {at}: {NOTHING}"));
        assert_eq!(told, expected.collect::<Vec<_>>(), "{written}");
    }
    let (_, told) =
        load("exporters: {otlp: {endpoint: \"a:1\", timeout: \"${env:NONE}\"}}").unwrap();
    let unset = "yaml:1: exporters.otlp.timeout: the environment variable NONE is not set";
    assert_eq!(told, [unset]);
    for (written, told) in [
        (
            "exporters: {otlp: {timeout: , endpoint: }}",
            "yaml:1: exporters.otlp.endpoint: expected a string, found null",
        ),
        (
            "exporters: {otlp: {timeout: , compression: brotli}}",
            "yaml:1: exporters.otlp.compression: unknown value \"brotli\"",
        ),
        (
            "exporters: {otlp: {endpoint: \"a:1\", headers: {a: }}}",
            "yaml:1: exporters.otlp.headers.a: expected a string, found null",
        ),
        (
            "service: {telemetry: {traces: {processors: [{batch: }]}}}",
            "yaml:1: service.telemetry.traces.processors[0].batch: the field \"exporter\" is required",
        ),
        (
            "extensions: {artifact_store: {url: }}",
            "yaml:1: extensions.artifact_store.url: expected a string, found null",
        ),
    ] {
        let errors = load(written).unwrap_err();
        assert!(errors.starts_with(told), "{written}: {errors}");
    }
}
