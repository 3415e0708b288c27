//! The names of components and pipelines.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slimspan_proto::Signal;
use thiserror::Error;

use super::nearest::known_are;

/// Characters of a type, and of a name.
const MAX_TYPE: usize = 63;
const MAX_NAME: usize = 1024;

/// The id of a component: `type` or `type/name`, such as `otlp` or `otlp/internal`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[a-zA-Z][0-9a-zA-Z_]{0,62}(/[^\\s\\u0000-\\u001f\\u007f-\\u009f]{1,1024})?$"))]
pub struct ComponentId {
    component_type: String,
    name: Option<String>,
}

impl ComponentId {
    /// The one that has the name of its type and no other.
    pub(crate) fn of_type(component_type: &'static str) -> Self {
        Self {
            component_type: component_type.to_owned(),
            name: None,
        }
    }

    /// What kind of component it is, such as `otlp`, as it was written.
    pub fn component_type(&self) -> &str {
        &self.component_type
    }

    /// What tells it from others of its type, if it has a name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_id(f, &self.component_type, self.name())
    }
}

impl FromStr for ComponentId {
    type Err = InvalidId;

    fn from_str(id: &str) -> Result<Self, InvalidId> {
        let (component_type, name) = split(id)?;
        let well_formed = component_type.starts_with(|c: char| c.is_ascii_alphabetic())
            && component_type.len() <= MAX_TYPE
            && component_type
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !well_formed {
            return Err(InvalidId::Type(component_type.to_owned()));
        }
        Ok(Self {
            component_type: component_type.to_owned(),
            name: name.map(str::to_owned),
        })
    }
}

impl From<ComponentId> for String {
    fn from(id: ComponentId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ComponentId {
    type Error = InvalidId;

    fn try_from(id: String) -> Result<Self, InvalidId> {
        id.parse()
    }
}

/// The id of a pipeline: `signal` or `signal/name`, such as `traces` or `traces/internal`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^(traces|metrics|logs|profiles)(/[^\\s\\u0000-\\u001f\\u007f-\\u009f]{1,1024})?$"))]
pub struct PipelineId {
    /// What flows through the pipeline.
    pub signal: Signal,
    /// What tells it from others of its signal, if it has a name.
    pub name: Option<String>,
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_id(f, self.signal.name(), self.name.as_deref())
    }
}

impl FromStr for PipelineId {
    type Err = InvalidId;

    fn from_str(id: &str) -> Result<Self, InvalidId> {
        let (signal, name) = split(id)?;
        let signal = Signal::ALL
            .into_iter()
            .find(|known| known.name() == signal)
            .ok_or_else(|| InvalidId::Signal(signal.to_owned()))?;
        Ok(Self {
            signal,
            name: name.map(str::to_owned),
        })
    }
}

impl From<PipelineId> for String {
    fn from(id: PipelineId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for PipelineId {
    type Error = InvalidId;

    fn try_from(id: String) -> Result<Self, InvalidId> {
        id.parse()
    }
}

/// Why a text is not the id of a component or pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidId {
    /// The part before the slash is not a type.
    #[error(
        "\"{0}\" is not a component type: use at most 63 letters, digits and _, and a letter first"
    )]
    Type(String),
    /// The part before the slash is not a signal.
    #[error("unknown signal \"{0}\"{known}", known = signals_like(.0))]
    Signal(String),
    /// There is a slash, and what follows is not a name.
    #[error(
        "the name after the slash must have 1 to 1024 characters, none of them white space or \
         control characters"
    )]
    Name,
}

fn signals_like(signal: &str) -> String {
    known_are(signal, "known", Signal::ALL.map(Signal::name))
}

fn split(id: &str) -> Result<(&str, Option<&str>), InvalidId> {
    let Some((first, name)) = id.split_once('/') else {
        return Ok((id, None));
    };
    let well_formed = !name.is_empty()
        && name.chars().count() <= MAX_NAME
        && !name.chars().any(|c| c.is_whitespace() || c.is_control());
    if well_formed {
        Ok((first, Some(name)))
    } else {
        Err(InvalidId::Name)
    }
}

fn write_id(f: &mut fmt::Formatter<'_>, first: &str, name: Option<&str>) -> fmt::Result {
    f.write_str(first)?;
    name.map_or(Ok(()), |name| write!(f, "/{name}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn ids_read_as_they_are_shown() {
        let longest = format!("a{}/{}", "b".repeat(62), "ü".repeat(1024));
        for id in [
            "otlp",
            "otlp_grpc/a.b-c",
            "o1/2",
            "otlp/a/b",
            longest.as_str(),
        ] {
            assert_eq!(id.parse::<ComponentId>().unwrap().to_string(), id);
        }
        for id in ["traces", "logs/a", "metrics/b/c"] {
            assert_eq!(id.parse::<PipelineId>().unwrap().to_string(), id);
        }
    }

    #[test]
    fn the_parts_of_an_id() {
        let id: ComponentId = "otlp/internal".parse().unwrap();
        assert_eq!((id.component_type(), id.name()), ("otlp", Some("internal")));
        let id: PipelineId = "logs".parse().unwrap();
        assert_eq!((id.signal, id.name), (Signal::Logs, None));
    }

    #[test]
    fn what_is_no_component_id() {
        let long = "a".repeat(64);
        for id in [
            "",
            "1otlp",
            "_otlp",
            "ot-lp",
            "ot lp",
            "/name",
            "ötlp",
            long.as_str(),
        ] {
            let component_type = id.split('/').next().unwrap_or_default().to_owned();
            let error = id.parse::<ComponentId>().unwrap_err();
            assert_eq!(error, InvalidId::Type(component_type), "{id}");
        }
        let long = format!("otlp/{}", "a".repeat(1025));
        for id in [
            "otlp/",
            "otlp/a b",
            "otlp/a\tb",
            "otlp/\u{7}",
            long.as_str(),
        ] {
            let error = id.parse::<ComponentId>().unwrap_err();
            assert_eq!(error, InvalidId::Name, "{id}");
        }
    }

    #[test]
    fn what_is_no_pipeline_id() {
        for id in ["Traces", "events", "", "trace/x"] {
            let error = id.parse::<PipelineId>().unwrap_err().to_string();
            assert!(
                error.ends_with("known are traces, metrics, logs, profiles"),
                "{error}"
            );
        }
        assert_eq!("logs/".parse::<PipelineId>(), Err(InvalidId::Name));
    }
}
