//! Values of the Collector that nothing here does. Each means what comes nearest, and whoever writes one down is told
//! so. They are replaced in the tree of nodes, before that is read.

use serde_json::{Value as Json, json};

use super::node::{Entry, Node, Value};
use super::path::KeyPath;
use super::scalar::{Origin, Scalar, Typed};
use Instead::{Everywhere, TheDefault, This};
use Written::{Empty, NoLevel, Port, Word, Zero};

/// A value that a key may have in the Collector, and what holds here.
pub(super) struct Row {
    pub(super) section: &'static str,
    /// The types of the component; none of what is no component.
    pub(super) types: &'static [&'static str],
    /// The keys in it.
    pub(super) keys: &'static [&'static str],
    pub(super) written: Written,
    pub(super) instead: Instead,
}

/// What is written.
pub(super) enum Written {
    /// A number or time of 0.
    Zero,
    /// A level of compression that leaves it to the library: 0 or -1.
    NoLevel,
    /// The empty text.
    Empty,
    /// One of these, in whatever case.
    Word(&'static [&'static str]),
    /// A port without a host: all addresses, to programs in Go.
    Port,
}

/// What holds instead, and what is told of it where it is not the same.
pub(super) enum Instead {
    /// What holds where nothing is written.
    TheDefault(Option<&'static str>),
    This(&'static str, Option<&'static str>),
    /// The port on every address.
    Everywhere,
}

const OTLP: &[&str] = &["otlp"];
const OVER_GRPC: &[&str] = &["otlp_grpc", "otlp"];
const OVER_HTTP: &[&str] = &["otlp_http", "otlphttp"];
const BASIC: &[&str] = &["basicauth"];
const GRPC: &str = "grpc";
const HTTP: &str = "http";

const fn row(
    section: &'static str,
    types: &'static [&'static str],
    keys: &'static [&'static str],
    written: Written,
    instead: Instead,
) -> Row {
    Row {
        section,
        types,
        keys,
        written,
        instead,
    }
}

const fn receiver(keys: &'static [&'static str], told: &'static str) -> Row {
    row("receivers", OTLP, keys, Zero, TheDefault(Some(told)))
}

const fn exporter(
    types: &'static [&'static str],
    keys: &'static [&'static str],
    told: &'static str,
) -> Row {
    row("exporters", types, keys, Zero, TheDefault(Some(told)))
}

const fn listener(
    section: &'static str,
    types: &'static [&'static str],
    keys: &'static [&'static str],
) -> Row {
    row(section, types, keys, Port, Everywhere)
}

const SIZE: &str = "0 is the default, which is not that of the Collector";
const NEVER: &str = "0 is the default here: a peer that is gone without a word is noticed";

/// Each value, by where it stands.
pub(super) const ROWS: &[Row] = &[
    receiver(&["protocols", GRPC, "max_recv_msg_size_mib"], SIZE),
    receiver(
        &["protocols", GRPC, "max_concurrent_streams"],
        "0 is the default here, and not any number: what one connection can pin is bounded",
    ),
    receiver(
        &[
            "protocols",
            GRPC,
            "keepalive",
            "server_parameters",
            "max_connection_age_grace",
        ],
        "0 is the default here, and not for ever: a request that never ends keeps no connection",
    ),
    receiver(
        &["protocols", GRPC, "keepalive", "server_parameters", "time"],
        NEVER,
    ),
    receiver(
        &[
            "protocols",
            GRPC,
            "keepalive",
            "server_parameters",
            "timeout",
        ],
        NEVER,
    ),
    receiver(&["protocols", HTTP, "max_request_body_size"], SIZE),
    receiver(
        &["protocols", HTTP, "read_header_timeout"],
        "0 is the default here, and not for ever: who sends nothing keeps no place",
    ),
    listener("receivers", OTLP, &["protocols", GRPC, "endpoint"]),
    listener("receivers", OTLP, &["protocols", HTTP, "endpoint"]),
    // One of the two may be 0, which is none.
    row(
        "processors",
        &["memory_limiter"],
        &["limit_mib"],
        Zero,
        TheDefault(None),
    ),
    row(
        "processors",
        &["memory_limiter"],
        &["limit_percentage"],
        Zero,
        TheDefault(None),
    ),
    row(
        "extensions",
        &["memory_limiter"],
        &["limit_mib"],
        Zero,
        TheDefault(None),
    ),
    row(
        "extensions",
        &["memory_limiter"],
        &["limit_percentage"],
        Zero,
        TheDefault(None),
    ),
    row(
        "processors",
        &["batch"],
        &["metadata_cardinality_limit"],
        Zero,
        This(
            "1000000",
            Some("0 is a million here, and not any number: what waits is bounded"),
        ),
    ),
    row(
        "exporters",
        OVER_GRPC,
        &["compression"],
        Empty,
        This("none", None),
    ),
    row(
        "exporters",
        OVER_HTTP,
        &["compression"],
        Empty,
        This("none", None),
    ),
    exporter(
        OVER_GRPC,
        &["timeout"],
        "0 is the default here, and not for ever: write as long a time as the backend needs",
    ),
    exporter(
        OVER_HTTP,
        &["timeout"],
        "0 is the default here, and not for ever: write as long a time as the backend needs",
    ),
    exporter(OVER_GRPC, &["keepalive", "time"], NEVER),
    exporter(OVER_GRPC, &["keepalive", "timeout"], NEVER),
    // In Go it means its default, which is the one here.
    row(
        "exporters",
        OVER_HTTP,
        &["http2_ping_timeout"],
        Zero,
        TheDefault(None),
    ),
    exporter(
        OVER_HTTP,
        &["max_idle_conns_per_host"],
        "0 is as many as max_idle_conns here, and not two",
    ),
    row(
        "exporters",
        OVER_HTTP,
        &["compression_params", "level"],
        NoLevel,
        TheDefault(Some("means the default, which is 1 here, the fastest")),
    ),
    row(
        "extensions",
        BASIC,
        &["client_auth", "username_file"],
        Empty,
        TheDefault(None),
    ),
    row(
        "extensions",
        BASIC,
        &["client_auth", "password_file"],
        Empty,
        TheDefault(None),
    ),
    listener("extensions", &["health_check"], &["endpoint"]),
    listener("extensions", &["healthcheckv2"], &["endpoint"]),
    listener("extensions", &["healthcheckv2"], &["http", "endpoint"]),
    listener("extensions", &["healthcheckv2"], &["grpc", "endpoint"]),
    listener("extensions", &["zpages"], &["endpoint"]),
    listener("service", &[], &["telemetry", "metrics", "address"]),
    row(
        "service",
        &[],
        &["telemetry", "logs", "level"],
        Word(&["dpanic", "panic", "fatal"]),
        This(
            "error",
            Some(
                "means error here: nothing that is told is worse, and a panic is told as an error",
            ),
        ),
    ),
];

/// Replaces them all, and tells of those that do not mean the same.
pub(super) fn replace(root: &mut Node) -> Vec<(KeyPath, String)> {
    let mut told = Vec::new();
    for row in ROWS {
        let path = KeyPath::of([row.section]);
        let Some(section) = root.value_mut(row.section) else {
            continue;
        };
        if row.types.is_empty() {
            told.extend(row.apply(section, &path));
            continue;
        }
        let Value::Mapping(components) = &mut section.value else {
            continue;
        };
        for Entry { key: id, value, .. } in components {
            let name = id.split('/').next().unwrap_or_default();
            if row.types.contains(&name) {
                told.extend(row.apply(value, &path.key(&*id)));
            }
        }
    }
    told
}

impl Row {
    /// Replaces its value in a component; returns what there is to tell of that.
    fn apply(&self, component: &mut Node, path: &KeyPath) -> Option<(KeyPath, String)> {
        let (last, section) = self.keys.split_last()?;
        let listener = section
            .iter()
            .try_fold(component, |node, key| node.value_mut(key))?;
        let transport = listener.get("transport").map(|entry| &entry.value.value);
        let any = match transport {
            Some(Value::Scalar(scalar)) => match scalar.text() {
                Some("tcp6") => Some("[::]"),
                Some("unix") => None,
                _ => Some("0.0.0.0"),
            },
            _ => Some("0.0.0.0"),
        };
        let Value::Scalar(scalar) = &mut listener.value_mut(last)?.value else {
            return None;
        };
        if !self.written.is(scalar) {
            return None;
        }
        let (instead, told) = match self.instead {
            TheDefault(told) => (None, told.map(ToOwned::to_owned)),
            This(value, told) => (Some(value.to_owned()), told.map(ToOwned::to_owned)),
            Everywhere => {
                let any = any?;
                let address = format!("{any}{}", scalar.text);
                let told = if any == "0.0.0.0" {
                    format!(
                        "means {address} here, every IPv4 address of this machine; write \"[::]{}\" for IPv6, too",
                        scalar.text
                    )
                } else {
                    format!("means {address} here, every IPv6 address of this machine")
                };
                (Some(address), Some(told))
            }
        };
        *scalar = Scalar {
            origin: match instead {
                Some(_) => Origin::Plain,
                None => Origin::Unwritten,
            },
            text: instead.unwrap_or_default(),
        };
        let path = self
            .keys
            .iter()
            .fold(path.clone(), |path, key| path.key(key));
        Some((path, told?))
    }
}

impl Written {
    fn is(&self, scalar: &Scalar) -> bool {
        match (self, scalar.typed()) {
            (Zero, Typed::Int(number)) => number == 0,
            (Zero, Typed::Str(text)) => is_no_time(text),
            (NoLevel, Typed::Int(number)) => matches!(number, -1 | 0),
            (Empty, Typed::Str(text)) => text.is_empty(),
            (Word(words), Typed::Str(text)) => {
                words.iter().any(|word| text.eq_ignore_ascii_case(word))
            }
            (Port, Typed::Str(text)) => text
                .strip_prefix(':')
                .is_some_and(|port| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())),
            _ => false,
        }
    }

    /// The schemas of what it may look like.
    pub(super) fn schemas(&self) -> Vec<Json> {
        match self {
            Zero => vec![
                json!({ "const": 0 }),
                json!({ "type": "string", "pattern": "^0[0.]*(ns|us|µs|μs|ms|s|m|h)?$" }),
            ],
            NoLevel => vec![json!({ "enum": [-1, 0] })],
            Empty => vec![json!({ "const": "" })],
            Word(words) => {
                let upper = words.iter().map(|word| word.to_ascii_uppercase());
                let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
                vec![json!({ "enum": words.into_iter().chain(upper).collect::<Vec<_>>() })]
            }
            Port => vec![json!({ "type": "string", "pattern": "^:[0-9]{1,5}$" })],
        }
    }
}

/// Whether it is a duration of nothing, such as `0s`.
fn is_no_time(text: &str) -> bool {
    let unit = text.trim_start_matches(['0', '.']);
    text.starts_with('0')
        && matches!(
            unit,
            "" | "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h"
        )
}
