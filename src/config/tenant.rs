//! Whose telemetry the `artifact` processor takes a request for.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::units::PositiveSizeOrNone;
use crate::tenant::TenantId;

/// `tenant`: each tenant's artifacts have a folder of their own, and are unknown to the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TenantConfig {
    /// What of the request's context names the tenant: its metadata, or what the authenticator
    /// of the receiver says of its sender.
    pub from_context: Option<ContextKey>,
    /// The resource attribute that names the tenant where the context does not.
    #[serde(deserialize_with = "attribute")]
    #[schemars(length(min = 1))]
    pub from_attribute: Option<String>,
    /// The tenant of what neither of them names; without one, that is refused.
    pub default: Option<TenantId>,
    /// The bytes of requests that one tenant may have under way at a time.
    #[serde(with = "PositiveSizeOrNone")]
    pub max_in_flight: Option<ByteSize>,
}

/// A value of a request's context: `metadata.NAME` or `auth.ATTRIBUTE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String", extend("pattern" = "^(metadata|auth)\\..+$"))]
pub enum ContextKey {
    /// The header of that name.
    Metadata(String),
    /// What the authenticator says.
    Auth(String),
}

impl TenantConfig {
    /// What is wrong with it, if anything is.
    pub(super) fn mistake(&self) -> Option<&'static str> {
        (self.from_context.is_none() && self.from_attribute.is_none()).then_some(
            "names no tenant: give it a from_context, such as metadata.x-scope-orgid, or a \
             from_attribute, such as tenant.id",
        )
    }
}

impl From<ContextKey> for String {
    fn from(key: ContextKey) -> Self {
        key.to_string()
    }
}

impl FromStr for ContextKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('.') {
            Some(("metadata", name)) => http::HeaderName::try_from(name)
                .map(|name| Self::Metadata(name.as_str().to_owned()))
                .map_err(|_| format!("\"{name}\" is not a header name")),
            Some(("auth", attribute)) if !attribute.is_empty() => {
                Ok(Self::Auth(attribute.to_owned()))
            }
            _ => Err(format!(
                "\"{text}\" is no part of a request's context: use metadata. and the name of a \
                 header, such as metadata.x-scope-orgid, or auth. and what the authenticator says, \
                 such as auth.username"
            )),
        }
    }
}

impl fmt::Display for ContextKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata(name) => write!(f, "metadata.{name}"),
            Self::Auth(attribute) => write!(f, "auth.{attribute}"),
        }
    }
}

impl<'de> Deserialize<'de> for ContextKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

fn attribute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let key = Option::<String>::deserialize(deserializer)?;
    if key.as_deref() == Some("") {
        return Err(D::Error::custom(
            "must not be empty: name an attribute of the resource, such as tenant.id",
        ));
    }
    Ok(key)
}
