//! Where slimspan sends what it says of itself, with the keys of the Collector.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::Secret;
use crate::config::headers::{headers, headers_list, listed};
use crate::config::units::Between;

/// A backend for what slimspan says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtlpBackend {
    /// What it speaks.
    pub protocol: Protocol,
    /// Its URL. Over HTTP one without a path means `/v1/traces` or `/v1/metrics` there.
    #[serde(serialize_with = "crate::config::redacted::endpoint")]
    pub endpoint: String,
    /// Where the endpoint has no scheme: whether there is no TLS.
    #[serde(default)]
    pub insecure: bool,
    /// What comes with every request, by name.
    #[serde(default, deserialize_with = "headers")]
    #[schemars(schema_with = "crate::config::headers::schema")]
    pub headers: BTreeMap<String, Secret>,
    /// The same in one text, such as `a=1,b=2`, with `%20` for a space; what is in `headers` comes first.
    #[serde(default, deserialize_with = "headers_list")]
    pub headers_list: Option<Secret>,
    /// How requests are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// What the backend has for one request, in milliseconds.
    #[serde(default = "timeout", with = "Between::<1, 3_600_000>")]
    pub timeout: u32,
    /// The certificates (PEM) to trust instead of those of the system.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// A certificate (PEM) to show to the backend.
    #[serde(default)]
    pub client_certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[serde(default)]
    pub client_key: Option<PathBuf>,
}

/// What a backend speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// OTLP/gRPC
    #[serde(rename = "grpc")]
    Grpc,
    /// OTLP/HTTP
    #[serde(rename = "http/protobuf")]
    Http,
}

/// How requests are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Every backend reads it.
    #[default]
    Gzip,
    /// Not at all.
    None,
}

impl OtlpBackend {
    /// Its endpoint over HTTP: one without a scheme has TLS, unless it is `insecure`.
    pub fn url(&self) -> Cow<'_, str> {
        if self.endpoint.contains("://") {
            return Cow::Borrowed(&self.endpoint);
        }
        let scheme = if self.insecure { "http" } else { "https" };
        Cow::Owned(format!("{scheme}://{}", self.endpoint))
    }

    /// What comes with every request.
    pub fn all_headers(&self) -> BTreeMap<String, Secret> {
        let listed = self.headers_list.as_ref().map(listed);
        // What is wrong with it was told when it was read.
        let mut all = listed.and_then(Result::ok).unwrap_or_default();
        all.extend(self.headers.clone());
        all
    }

    /// What is wrong with it: the key, and why.
    pub fn mistake(&self) -> Option<(&'static str, &'static str)> {
        match (&self.client_certificate, &self.client_key) {
            (Some(_), None) => Some(("client_certificate", "needs its key: add client_key")),
            (None, Some(_)) => Some((
                "client_key",
                "needs its certificate: add client_certificate",
            )),
            _ => None,
        }
    }
}

pub(super) fn timeout() -> u32 {
    10_000
}

/// What is named is there, also where nothing stands behind it.
pub(super) fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
