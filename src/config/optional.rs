//! Sections that may be left out have an `enabled` in the Collector: with `true` they are as if it were not there, with
//! `false` as if nobody had written them. Both are settled in the tree of nodes, before that is read.

use serde_json::{Value as Json, json};

use super::node::{Entry, Node, Value};
use super::path::{KeyPath, Step};
use super::problem::Problem;
use super::{Told, de, unsaid};
use Off::{Away, Defaults, Empty};

const ENABLED: &str = "enabled";

/// A section that may be left out.
pub(super) struct Optional {
    /// The section of the file.
    pub(super) section: &'static str,
    /// The types of the component.
    pub(super) types: &'static [&'static str],
    /// The keys in it.
    pub(super) keys: &'static [&'static str],
    pub(super) off: Off,
}

/// What becomes of one that is not enabled.
#[derive(Clone, Copy)]
pub(super) enum Off {
    /// Nothing stands behind its key any more.
    Empty,
    /// Its key goes, too: with nothing behind it, it would be there.
    Away,
    /// Nothing stands behind its key, and its defaults hold. They are not what the Collector does without it, and
    /// that is told.
    Defaults(&'static str),
}

const CONNECTIONS: &str = "has its defaults with enabled: false, and they are not those of the Collector: \
                           connections are renewed, and peers that are gone without a word are noticed";
const BACKENDS: &str = "has its defaults with enabled: false, and is not off as in the Collector: a backend that is \
                        gone without a word is noticed";

const GRPC: &str = "grpc";
const HTTP: &str = "http";
const TLS: &str = "tls";
const AUTH: &str = "auth";
const KEEPALIVE: &str = "keepalive";

const fn receiver(keys: &'static [&'static str], off: Off) -> Optional {
    Optional {
        section: "receivers",
        types: &["otlp"],
        keys,
        off,
    }
}

const fn exporter(
    types: &'static [&'static str],
    keys: &'static [&'static str],
    off: Off,
) -> Optional {
    Optional {
        section: "exporters",
        types,
        keys,
        off,
    }
}

const fn extension(types: &'static [&'static str], keys: &'static [&'static str]) -> Optional {
    Optional {
        section: "extensions",
        types,
        keys,
        off: Empty,
    }
}

const OVER_GRPC: &[&str] = &["otlp_grpc", "otlp"];
const OF_OTLP: &[&str] = &["otlp_grpc", "otlp", "otlp_http", "otlphttp"];

/// Each of them, those around others first.
pub(super) const OPTIONAL: &[Optional] = &[
    receiver(&["protocols", GRPC], Away),
    receiver(&["protocols", GRPC, TLS], Empty),
    receiver(&["protocols", GRPC, AUTH], Empty),
    receiver(&["protocols", GRPC, KEEPALIVE], Defaults(CONNECTIONS)),
    receiver(
        &["protocols", GRPC, KEEPALIVE, "server_parameters"],
        Defaults(CONNECTIONS),
    ),
    receiver(&["protocols", GRPC, KEEPALIVE, "enforcement_policy"], Empty),
    receiver(&["protocols", HTTP], Away),
    receiver(&["protocols", HTTP, TLS], Empty),
    receiver(&["protocols", HTTP, AUTH], Empty),
    receiver(&["protocols", HTTP, "cors"], Empty),
    exporter(OVER_GRPC, &[KEEPALIVE], Defaults(BACKENDS)),
    exporter(OF_OTLP, &[AUTH], Empty),
    exporter(OF_OTLP, &["sending_queue", "batch"], Away),
    extension(
        &["health_check", "healthcheckv2", "zpages", "artifact_server"],
        &[TLS],
    ),
    extension(&["healthcheckv2"], &[HTTP, TLS]),
    extension(&["healthcheckv2"], &[GRPC, TLS]),
    extension(&["artifact_server"], &[AUTH]),
    extension(&["artifact_server"], &["deletion", AUTH]),
];

/// Settles them all; returns what there is to tell, and what is wrong.
pub(super) fn settle(root: &mut Node) -> (Vec<Told>, Vec<Problem>) {
    let (mut told, mut problems) = (Vec::new(), Vec::new());
    for optional in OPTIONAL {
        let section = root.value_mut(optional.section);
        let Some(Value::Mapping(components)) = section.map(|section| &mut section.value) else {
            continue;
        };
        for Entry { key: id, value, .. } in components {
            let name = id.split('/').next().unwrap_or_default();
            if !optional.types.contains(&name) {
                continue;
            }
            let path = KeyPath::of([optional.section, id.as_str()]);
            let path = optional.keys.iter().fold(path, |path, key| path.key(key));
            match optional.settle(value, &path) {
                Ok(more) => told.extend(more),
                Err(problem) => problems.push(problem),
            }
        }
    }
    (told, problems)
}

impl Optional {
    /// Settles the one of a component, which is at `path`; returns what there is to tell of it.
    fn settle(&self, component: &mut Node, path: &KeyPath) -> Result<Option<Told>, Problem> {
        let Some((last, above)) = self.keys.split_last() else {
            return Ok(None);
        };
        let around = above
            .iter()
            .try_fold(component, |node, key| node.value_mut(key));
        let Some(around) = around else {
            return Ok(None);
        };
        let Some(section) = around.value_mut(last) else {
            return Ok(None);
        };
        let Some(enabled) = section.get(ENABLED) else {
            return Ok(None);
        };
        let steps = [Step::Key(ENABLED.to_owned())];
        let is_enabled = enabled.value.is_null()
            || de::from_node::<bool>(&enabled.value)
                .map_err(|error| Problem::under(&path.key(ENABLED), error))?;
        if is_enabled {
            let told = if enabled.value.is_null() {
                unsaid::tell(section, path, &steps)
            } else {
                None
            };
            section.take_away(&steps);
            return Ok(told);
        }
        if let Away = self.off {
            around.take_away(&[Step::Key((*last).to_owned())]);
            return Ok(None);
        }
        *section = Node::null(section.place.clone());
        Ok(match self.off {
            Defaults(why) => Some((path.clone(), why.to_owned())),
            Away | Empty => None,
        })
    }
}

/// Each such section has one of these keys, and nothing else has.
const KNOWN_BY: [&str; 9] = [
    "allowed_headers",
    "authenticator",
    "client_ca_file",
    "flush_timeout",
    "max_connection_idle",
    "max_recv_msg_size_mib",
    "permit_without_stream",
    "server_parameters",
    "traces_url_path",
];

/// Admits the key in the definition of such a section, and with `false` anything beside it.
pub(super) fn admit(definition: &mut Json) {
    let keys = definition
        .get_mut("properties")
        .and_then(Json::as_object_mut)
        .filter(|keys| KNOWN_BY.iter().any(|key| keys.contains_key(*key)));
    let Some(keys) = keys else {
        return;
    };
    let description = "As in the Collector: false is as if nothing of this were written.";
    keys.insert(
        ENABLED.to_owned(),
        json!({ "type": "boolean", "description": description }),
    );
    let off = json!({
        "type": "object",
        "properties": { ENABLED: { "const": false, "description": description } },
        "required": [ENABLED],
    });
    *definition = json!({ "anyOf": [definition.take(), off] });
}
