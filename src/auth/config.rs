//! The configuration of authenticators, with the keys of the Collector.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::config::units::{Header, HeaderOrNone};
use crate::config::{ComponentId, Secret};
use crate::tenant::TenantId;

/// `auth` of a receiver or exporter: who asks for credentials, or gives them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// The extension.
    pub authenticator: ComponentId,
}

/// `bearertokenauth`: a token in a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BearerTokenConfig {
    /// The header.
    #[serde(with = "Header")]
    pub header: HeaderName,
    /// What stands before the token; nothing if it is empty.
    pub scheme: String,
    /// The token.
    pub token: Option<Secret>,
    /// Tokens of which senders may have any. An exporter sends the first.
    pub tokens: Vec<Secret>,
    /// A token for each tenant of a receiver: `auth.tenant` is the one whose token came.
    pub tenants: BTreeMap<TenantId, Secret>,
    /// A file with a token in each line, its first word, which is read again when it changes.
    pub filename: Option<PathBuf>,
}

impl Default for BearerTokenConfig {
    fn default() -> Self {
        Self {
            header: http::header::AUTHORIZATION,
            scheme: "Bearer".to_owned(),
            token: None,
            tokens: Vec::new(),
            tenants: BTreeMap::new(),
            filename: None,
        }
    }
}

impl BearerTokenConfig {
    /// What is wrong between its keys.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let given = [
            ("token", self.token.is_some()),
            ("tokens", !self.tokens.is_empty()),
            ("tenants", !self.tenants.is_empty()),
            ("filename", self.filename.is_some()),
        ];
        let mut given = given.iter().filter(|(_, is_given)| *is_given);
        let Some((first, _)) = given.next() else {
            return Some((
                "token",
                "is required: the token, or tokens, or tenants, or a filename".to_owned(),
            ));
        };
        let (other, _) = given.next()?;
        Some((
            other,
            format!("cannot stand beside {first}: give one of them"),
        ))
    }
}

/// `basicauth`: a user and a password.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuthConfig {
    /// The users that senders may be.
    pub htpasswd: Option<HtpasswdConfig>,
    /// The user that exporters are.
    pub client_auth: Option<ClientAuthConfig>,
}

impl BasicAuthConfig {
    /// What is wrong between its keys: the keys that lead there, and why.
    pub fn mistake(&self) -> Option<(&'static [&'static str], &'static str)> {
        let Self {
            htpasswd,
            client_auth,
        } = self;
        if htpasswd.is_none() && client_auth.is_none() {
            let why = "needs htpasswd, for a receiver, or client_auth, for an exporter";
            return Some((&[], why));
        }
        let of_senders = htpasswd.as_ref();
        if of_senders.is_some_and(|of| of.file.is_none() && of.inline.is_none()) {
            return Some((&["htpasswd"], "needs a file, or lines as inline"));
        }
        client_auth.as_ref().and_then(ClientAuthConfig::mistake)
    }
}

/// The users that senders may be, each in a line `user:hash`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HtpasswdConfig {
    /// A file with such lines, which is read again when it changes.
    pub file: Option<PathBuf>,
    /// Such lines themselves. A user in them takes the place of the same one in the file.
    pub inline: Option<Secret>,
}

/// The user that an exporter is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientAuthConfig {
    /// The name.
    pub username: Option<String>,
    /// A file with the name, which comes before `username` and is read again when it changes.
    pub username_file: Option<PathBuf>,
    /// The password.
    pub password: Option<Secret>,
    /// A file with the password, which comes before `password` and is read again when it changes.
    pub password_file: Option<PathBuf>,
}

impl ClientAuthConfig {
    /// What is missing: the keys that lead there, and why it is needed.
    fn mistake(&self) -> Option<(&'static [&'static str], &'static str)> {
        if self.username.is_none() && self.username_file.is_none() {
            let why = "is required: the name, or username_file, a file with it";
            return Some((&["client_auth", "username"], why));
        }
        if self.password.is_none() && self.password_file.is_none() {
            let why = "is required: the password, or password_file, a file with it";
            return Some((&["client_auth", "password"], why));
        }
        None
    }

    /// What a file takes the place of, as in the Collector, and why it does nothing.
    pub(crate) fn idle(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let name = self.username.as_ref().is_some_and(|name| !name.is_empty());
        let password = self.password.as_ref();
        let password = password.is_some_and(|password| !password.expose().is_empty());
        let keys = [
            (
                name && self.username_file.is_some(),
                "username",
                "does nothing beside username_file, which comes first",
            ),
            (
                password && self.password_file.is_some(),
                "password",
                "does nothing beside password_file, which comes first",
            ),
        ];
        let keys = keys.into_iter().filter(|(is_idle, ..)| *is_idle);
        keys.map(|(_, key, why)| (key, why))
    }
}

/// `headers_setter`: headers of an exporter's requests, by what their senders' had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadersSetterConfig {
    /// The headers, in this order.
    pub headers: Vec<HeaderConfig>,
    /// Another authenticator, which is asked first.
    #[serde(default)]
    pub additional_auth: Option<ComponentId>,
}

/// One header of a `headers_setter`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderConfig {
    /// Its name.
    #[serde(with = "Header")]
    pub key: HeaderName,
    /// What is done.
    #[serde(default)]
    pub action: HeaderAction,
    /// The value.
    #[serde(default, deserialize_with = "header_value")]
    pub value: Option<Secret>,
    /// A file with the value, which is read again when it changes.
    #[serde(default)]
    pub value_file: Option<PathBuf>,
    /// The header of the sender that has the value.
    #[serde(default, with = "HeaderOrNone")]
    pub from_context: Option<HeaderName>,
    /// The value where the sender has none.
    #[serde(default, deserialize_with = "header_value")]
    pub default_value: Option<Secret>,
}

/// What is done with a header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HeaderAction {
    /// It is added unless it is there.
    Insert,
    /// It is replaced if it is there.
    Update,
    /// It is added or replaced.
    #[default]
    Upsert,
    /// It is removed.
    Delete,
}

impl HeaderConfig {
    /// What is wrong between its keys.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let mistake = |key, message: &str| Some((key, message.to_owned()));
        if is_of_the_protocol(&self.key) {
            return Some((
                "key",
                format!(
                    "\"{}\" belongs to the protocol and cannot be set: requests would not be \
                     understood",
                    self.key
                ),
            ));
        }
        let sources = [
            ("value", self.value.is_some()),
            ("value_file", self.value_file.is_some()),
            ("from_context", self.from_context.is_some()),
        ];
        let mut sources = sources.into_iter().filter(|(_, is_given)| *is_given);
        match (self.action, sources.next(), sources.next()) {
            (HeaderAction::Delete, Some(_), _) => mistake(
                "action",
                "delete takes no value, value_file or from_context",
            ),
            (HeaderAction::Delete, None, _) => None,
            (_, None, _) => mistake(
                "value",
                "is required: the value, or value_file, a file with it, or from_context, the header of the \
                 sender that has it",
            ),
            (_, Some((first, _)), Some((second, _))) => {
                let why = format!("cannot stand beside {first}: give one of them");
                mistake(second, &why)
            }
            _ if self.default_value.is_some() && self.from_context.is_none() => {
                mistake("default_value", "is for from_context, and there is none")
            }
            _ => None,
        }
    }
}

/// Whether requests would not be understood any more with another value.
fn is_of_the_protocol(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("grpc-")
        || matches!(
            name,
            "connection"
                | "content-encoding"
                | "content-length"
                | "content-type"
                | "host"
                | "keep-alive"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        )
}

/// Whether a header commonly holds what lets others act in the name of its sender.
pub fn is_credential(name: &HeaderName) -> bool {
    let name = name.as_str();
    let parts = [
        "access-key",
        "api-key",
        "apikey",
        "auth",
        "cookie",
        "credential",
        "password",
        "secret",
        "token",
    ];
    parts.iter().any(|part| name.contains(part))
}

fn header_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let value = Option::<Secret>::deserialize(deserializer)?;
    match &value {
        Some(value) if HeaderValue::from_str(value.expose()).is_err() => Err(D::Error::custom(
            "has a character that a header cannot carry, such as a line break",
        )),
        _ => Ok(value),
    }
}
