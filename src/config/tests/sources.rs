//! Several sources: what they give together, and what is wrong with any of them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

use std::fs;

use tempfile::TempDir;

use crate::config::{Config, ExporterConfig, ReceiverConfig, Sources};
use crate::exporters::debug::config::Verbosity;

const BASE: &str = "\
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:4317
exporters:
  debug:
  otlp_grpc:
    endpoint: backend:4317
    headers: {authorization: \"Bearer ${env:TOKEN}\"}
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [debug, otlp_grpc]
";

fn env(name: &str) -> Option<String> {
    let value = match name {
        "TOKEN" => "hunter2",
        "OVERLAY" => "exporters:\n  debug: {verbosity: detailed}\n",
        "WRONG" => "exporters:\n  debug: {verbosity: loud}\n",
        "VERBOSITY" => "normal",
        "MIB" => "32",
        "LIST" => "[otlp]",
        "DEBUG" => "{verbosity: normal}",
        "TAB" => "a:\n\tb: 1",
        _ => return None,
    };
    Some(value.to_owned())
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("base.yaml", BASE);
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Loads the base, with more: names of files here end in `.yaml`.
    fn load(&self, locations: &[&str], settings: &[&str]) -> Result<Config, String> {
        let more = locations.iter().map(|location| {
            let is_path = !location.contains([':', '/']);
            if is_path {
                self.path(location)
            } else {
                (*location).to_owned()
            }
        });
        let sources = Sources {
            locations: [self.path("base.yaml")].into_iter().chain(more).collect(),
            settings: settings
                .iter()
                .map(|setting| (*setting).to_owned())
                .collect(),
        };
        match Config::load(&sources, env) {
            Ok((config, _)) => Ok(config),
            Err(errors) => {
                let folder = format!("{}/", self.0.path().display());
                Err(errors.to_string().replace(&folder, ""))
            }
        }
    }
}

fn verbosity(config: &Config) -> Verbosity {
    match config.exporters.get(&"debug".parse().unwrap()) {
        Some(ExporterConfig::Debug(debug)) => debug.verbosity,
        other => panic!("{other:?}"),
    }
}

#[test]
fn later_sources_have_the_last_word() {
    let folder = Folder::new();
    folder.write("overlay.yaml", "exporters: {debug: {verbosity: normal}}\n");
    let file = format!("file:{}", folder.path("overlay.yaml"));
    let table: &[(&[&str], &[&str], Verbosity)] = &[
        (&[], &[], Verbosity::Basic),
        (&["overlay.yaml"], &[], Verbosity::Normal),
        (&[&file], &[], Verbosity::Normal),
        (&["env:OVERLAY"], &[], Verbosity::Detailed),
        (&["overlay.yaml", "env:OVERLAY"], &[], Verbosity::Detailed),
        (&["env:OVERLAY", "overlay.yaml"], &[], Verbosity::Normal),
        (
            &["yaml:exporters::debug::verbosity: detailed"],
            &[],
            Verbosity::Detailed,
        ),
        (
            &["yaml:exporters: {debug: {verbosity: normal}}"],
            &[],
            Verbosity::Normal,
        ),
        // Null is the default again.
        (
            &["overlay.yaml", "yaml:exporters::debug:"],
            &[],
            Verbosity::Basic,
        ),
        (
            &[],
            &["exporters.debug.verbosity=detailed"],
            Verbosity::Detailed,
        ),
        (
            &[],
            &["exporters::debug::verbosity=normal"],
            Verbosity::Normal,
        ),
        (
            &[],
            &["exporters.debug={verbosity: normal}"],
            Verbosity::Normal,
        ),
        (
            &[],
            &["exporters.debug.verbosity = normal "],
            Verbosity::Normal,
        ),
        (
            &[],
            &["exporters.debug.verbosity=${env:VERBOSITY}"],
            Verbosity::Normal,
        ),
        (&[], &["exporters.debug=${env:DEBUG}"], Verbosity::Normal),
        (
            &["overlay.yaml"],
            &[
                "exporters.debug.verbosity=normal",
                "exporters.debug.verbosity=detailed",
            ],
            Verbosity::Detailed,
        ),
        (&["overlay.yaml"], &["exporters.debug="], Verbosity::Basic),
    ];
    for (locations, settings, expected) in table {
        let config = folder.load(locations, settings).unwrap();
        assert_eq!(verbosity(&config), *expected, "{locations:?} {settings:?}");
        // The base is still there.
        assert_eq!(config.exporters.len(), 2);
    }
}

#[test]
fn lists_are_replaced_and_values_are_typed() {
    let folder = Folder::new();
    let config = folder
        .load(
            &["yaml:service::pipelines::traces::receivers: ${env:LIST}"],
            &[
                "service.pipelines.traces.exporters=[debug]",
                "receivers.otlp.protocols.grpc.max_recv_msg_size_mib=${env:MIB}",
                // A dot may stand in a name.
                "exporters::otlp_grpc/eu.1={endpoint: \"eu:1\"}",
            ],
        )
        .unwrap();
    let pipeline = config.service.pipelines.values().next().unwrap();
    assert_eq!(pipeline.exporters, ["debug".parse().unwrap()]);
    assert!(
        config
            .exporters
            .contains_key(&"otlp_grpc/eu.1".parse().unwrap())
    );
    let Some(ReceiverConfig::Otlp(otlp)) = config.receivers.values().next() else {
        panic!("{config:?}");
    };
    let grpc = otlp.protocols.grpc.as_ref().unwrap();
    assert_eq!(grpc.max_recv_msg_size_mib, 32);
}

/// Another source, settings, and what is told.
const MISTAKES: &[(&[&str], &[&str], &str)] = &[
    (
        &["https://example.org/c.yaml"],
        &[],
        "--config: https: is not supported: slimspan fetches no configuration over a network, where it could change or be missing at the next start; fetch it before, such as with curl -o collector.yaml URL, and give the file",
    ),
    (
        &["http://me:hunter2@example.org/c.yaml"],
        &[],
        "--config: http: is not supported: slimspan fetches no configuration over a network, where it could change or be missing at the next start; fetch it before, such as with curl -o collector.yaml URL, and give the file",
    ),
    (
        &["s3:bucket/c.yaml"],
        &[],
        "--config: unknown scheme \"s3\"; known are env, file, yaml; a path with a colon is written file:PATH",
    ),
    (
        &["env:NOWHERE"],
        &[],
        "--config: the environment variable NOWHERE is not set",
    ),
    (
        &["/no/such/file"],
        &[],
        "/no/such/file: cannot be read: No such file or directory (os error 2)",
    ),
    (
        &["file:/no/such/file"],
        &[],
        "/no/such/file: cannot be read: No such file or directory (os error 2)",
    ),
    (
        &["/dev/zero"],
        &[],
        "/dev/zero: cannot be read: it is larger than 4 MiB",
    ),
    (
        &["latin1.yaml"],
        &[],
        "latin1.yaml: cannot be read: it is not UTF-8 text",
    ),
    (&["yaml:- a"], &[], "yaml:1: expected a mapping"),
    (
        &["env:VERBOSITY"],
        &[],
        "env:VERBOSITY:1: expected a mapping",
    ),
    (
        &["env:TAB"],
        &[],
        "env:TAB:2: a: not valid YAML: tabs disallowed within this context (block indentation)",
    ),
    (
        &["env:WRONG"],
        &[],
        "env:WRONG:2: exporters.debug.verbosity: unknown value \"loud\"; known are basic, normal, detailed",
    ),
    (
        &["yaml:exporters::debug::verbosty: normal"],
        &[],
        "yaml:1: exporters.debug: has invalid keys: verbosty; did you mean \"verbosity\"? known are verbosity, sampling_initial, sampling_thereafter, use_internal_logger, output_paths, reference, bytes_values",
    ),
    (
        &["overlay.yaml"],
        &[],
        "overlay.yaml:3: receivers.otlp.protocols.grpc.endpoint: \"4317\" is not an address: use host:port, such as 127.0.0.1:4317",
    ),
    (
        &["part.yaml"],
        &[],
        "broken.yaml:2: exporters.otlp_grpc: has invalid keys: endpiont; did you mean \"endpoint\"? known are endpoint, compression, headers, timeout, retry_on_failure, sending_queue, max_request_bytes, dead_letters, preset, keepalive, authority, user_agent, balancer_name, wait_for_ready, read_buffer_size, write_buffer_size, tls, auth, reference, bytes_values",
    ),
    (
        &["pipeline.yaml"],
        &[],
        "pipeline.yaml:2: service::pipelines::traces: references exporter \"debgu\" which is not configured; did you mean \"debug\"? configured are debug, otlp_grpc",
    ),
    (
        &[],
        &["exporters.debug.verbosity"],
        "--set: a setting has no =: write key=value, such as exporters.debug.verbosity=detailed",
    ),
    (
        &[],
        &["exporters..verbosity=normal"],
        "--set: \"exporters..verbosity\" is not a path of keys, such as exporters.debug.verbosity",
    ),
    (
        &[],
        &["=normal"],
        "--set: \"\" is not a path of keys, such as exporters.debug.verbosity",
    ),
    (
        &[],
        &["exporters.debug.verbosity=loud"],
        "--set: exporters.debug.verbosity: unknown value \"loud\"; known are basic, normal, detailed",
    ),
    (
        &[],
        &["exporters.debug={verbosity: normal"],
        "--set: exporters.debug: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'",
    ),
    (
        &[],
        &["exporter.debug.verbosity=normal"],
        "--set: has invalid keys: exporter; did you mean \"exporters\"? known are receivers, processors, exporters, connectors, extensions, service",
    ),
    (
        &[],
        &["receivers.otlp=7"],
        "--set: receivers.otlp: expected a mapping, found a number",
    ),
    (
        &[],
        &["exporters.otlp_grpc.endpoint=${env:NOWHERE}"],
        "--set: exporters.otlp_grpc.endpoint: expected a string, found null, because the environment variable NOWHERE is not set",
    ),
    (
        &[],
        &["exporters.otlp_grpc.endpoint=${file:/dev/zero}"],
        "--set: exporters.otlp_grpc.endpoint: `${file:/dev/zero}` cannot be read: it is larger than 4 MiB",
    ),
    (
        &[],
        &["receivers.otlp.protocols.grpc.enabled=false"],
        "base.yaml:3: receivers.otlp.protocols: names no protocol: add grpc, http or both, or leave protocols out for both",
    ),
    (
        &[],
        &["receivers.otlp.protocols.grpc.enabled=maybe"],
        "--set: receivers.otlp.protocols.grpc.enabled: expected a boolean, found string \"maybe\"",
    ),
];

/// As in the Collector, whatever the file says of it.
#[test]
fn a_listener_is_switched_off_on_the_command_line() {
    let folder = Folder::new();
    let path = "receivers.otlp.protocols.http";
    for http in [
        "",
        "{}",
        "{endpoint: \"127.0.0.1:0\", max_items: 5}",
        "{enabled: false}",
    ] {
        let both = format!("receivers: {{otlp: {{protocols: {{http: {http}}}}}}}\n");
        folder.write("both.yaml", &both);
        for (setting, is_on) in [
            (Some("enabled=false"), false),
            (Some("enabled=true"), true),
            (None, !http.contains("false")),
        ] {
            let setting = setting.map(|setting| format!("{path}.{setting}"));
            let settings: Vec<&str> = setting.as_deref().into_iter().collect();
            let config = folder.load(&["both.yaml"], &settings).unwrap();
            let Some(ReceiverConfig::Otlp(otlp)) = config.receivers.values().next() else {
                panic!("{config:?}");
            };
            let on = (otlp.protocols.grpc.is_some(), otlp.protocols.http.is_some());
            assert_eq!(on, (true, is_on), "{http}: {settings:?}");
        }
    }
}

#[test]
fn each_mistake_is_told_with_its_source() {
    let folder = Folder::new();
    folder.write(
        "overlay.yaml",
        "# Only this differs.\nreceivers:\n  otlp: {protocols: {grpc: {endpoint: 4317}}}\n",
    );
    fs::write(
        folder.path("latin1.yaml"),
        b"receivers: {otlp: } # caf\xe9\n",
    )
    .unwrap();
    folder.write("broken.yaml", "compression: gzip\nendpiont: backend:4317\n");
    let part = format!(
        "exporters:\n  otlp_grpc: ${{file:{}}}\n",
        folder.path("broken.yaml")
    );
    folder.write("part.yaml", &part);
    folder.write(
        "pipeline.yaml",
        "service: {pipelines: {traces: {exporters:\n  [debgu]}}}\n",
    );
    let mut differences = Vec::new();
    for (locations, settings, expected) in MISTAKES {
        let told = folder.load(locations, settings).err();
        let told = told.unwrap_or_else(|| "no error".to_owned());
        if told != *expected {
            let difference = format!("{locations:?}:\n  expected {expected}\n  told     {told}");
            differences.push(difference);
        }
        assert!(!told.contains("hunter2"), "{told}");
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn mistakes_of_all_sources_are_told() {
    let folder = Folder::new();
    let told = folder
        .load(
            &["/no/such/file", "yaml:- a"],
            &["x", "exporters.debug.verbosity=loud"],
        )
        .unwrap_err();
    let told: Vec<&str> = told
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(told, ["/no/such/file", "yaml:1", "--set"]);
}

/// What is printed is a configuration that means the same.
#[test]
fn what_is_printed_can_be_read_again() {
    let folder = Folder::new();
    let config = folder.load(&["env:OVERLAY"], &[]).unwrap();
    let write = || {
        let yaml = serde_saphyr::to_string(&config).unwrap();
        (yaml, serde_json::to_string(&config).unwrap())
    };
    let (yaml, json) = write();
    assert!(
        yaml.contains("[REDACTED]") && json.contains("[REDACTED]"),
        "{yaml}"
    );
    assert!(
        !yaml.contains("hunter2") && !json.contains("hunter2"),
        "{yaml}"
    );
    let (yaml, json) = Config::exposed(write);
    for text in [yaml, json] {
        super::schema::accepts(&text);
        let (again, _) = Config::parse(&text, "printed", |_| None).unwrap();
        assert_eq!(again, config, "{text}");
    }
}
