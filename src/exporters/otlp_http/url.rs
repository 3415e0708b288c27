//! Where backends and proxies are.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use slimspan_proto::Signal;
use thiserror::Error;
use url::Url;

use crate::config::redacted;

/// Where requests of one signal go, such as `https://api.example.com/v1/traces?region=eu`.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("pattern" = "^[hH][tT][tT][pP][sS]?://[^#]+$"))]
pub struct HttpUrl(Url);

/// What the paths of the signals are added to, such as `https://api.example.com/otlp`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("pattern" = "^[hH][tT][tT][pP][sS]?://[^#?]+$"))]
pub struct BaseUrl(Url);

/// A proxy, such as `http://user:password@proxy.example.com:3128`.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("pattern" = "^([hH][tT][tT][pP][sS]?|[sS][oO][cC][kK][sS]5[hH]?)://.+$"))]
pub struct ProxyUrl(Url);

/// Why a text is not such a URL. None quotes it: it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidUrl {
    /// There is no scheme.
    #[error("has no scheme: use http://host:port or https://host:port")]
    NoScheme,
    /// A scheme that nobody speaks; it holds the scheme.
    #[error("unknown scheme \"{0}\": use http://host:port or https://host:port")]
    Scheme(String),
    /// A scheme that no proxy speaks; it holds the scheme.
    #[error(
        "unknown scheme \"{0}\": use http://host:port, https://host:port or socks5://host:port"
    )]
    ProxyScheme(String),
    /// A user or password.
    #[error("a user or password does not belong here: send credentials as headers")]
    Credentials,
    /// What stands behind a `?` would end up in the middle.
    #[error(
        "a query does not belong here, because the paths of the signals follow: give whole URLs as \
         traces_endpoint, metrics_endpoint, logs_endpoint and profiles_endpoint"
    )]
    Query,
    /// A part that is never sent.
    #[error("what follows a # is never sent: remove it")]
    Fragment,
    /// Anything else.
    #[error("is not a URL: {0}")]
    Other(#[from] url::ParseError),
}

fn parse(text: &str) -> Result<Url, InvalidUrl> {
    // What stands before the colon of host:port is a scheme to others.
    if !text.contains("://") {
        return Err(InvalidUrl::NoScheme);
    }
    Ok(Url::parse(text)?)
}

impl FromStr for HttpUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let url = parse(text)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidUrl::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUrl::Credentials);
        }
        if url.fragment().is_some() {
            return Err(InvalidUrl::Fragment);
        }
        Ok(Self(url))
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let HttpUrl(url) = text.parse()?;
        if url.query().is_some() {
            return Err(InvalidUrl::Query);
        }
        Ok(Self(url))
    }
}

impl FromStr for ProxyUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let url = parse(text)?;
        if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
            return Err(InvalidUrl::ProxyScheme(url.scheme().to_owned()));
        }
        Ok(Self(url))
    }
}

impl BaseUrl {
    /// Where requests of `signal` go (OTLP specification, "OTLP/HTTP Request").
    pub fn of(&self, signal: Signal) -> HttpUrl {
        let mut url = self.0.clone();
        let path = format!("{}{}", url.path().trim_end_matches('/'), signal.http_path());
        url.set_path(&path);
        HttpUrl(url)
    }
}

impl HttpUrl {
    /// The same with this path, if it has none.
    #[must_use]
    pub fn or_path(mut self, path: &str) -> Self {
        if self.0.path() == "/" {
            self.0.set_path(path);
        }
        self
    }

    pub(super) fn as_url(&self) -> &Url {
        &self.0
    }
}

impl ProxyUrl {
    pub(super) fn as_url(&self) -> &Url {
        &self.0
    }
}

macro_rules! read_from_text {
    ($($url:ty),*) => {$(
        impl TryFrom<String> for $url {
            type Error = InvalidUrl;

            fn try_from(text: String) -> Result<Self, InvalidUrl> {
                text.parse()
            }
        }
    )*};
}
read_from_text!(HttpUrl, BaseUrl, ProxyUrl);

macro_rules! shown_without_credentials {
    ($($url:ty),*) => {$(
        impl Serialize for $url {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                redacted::url_or_path(self.0.as_str(), serializer)
            }
        }
    )*};
}
shown_without_credentials!(HttpUrl, BaseUrl, ProxyUrl);

/// Without the query, which may hold a key.
impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        shown.set_query(None);
        shown.fmt(f)
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Without user and password.
impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.0.scheme(), self.0.host_str().unwrap_or_default());
        write!(f, "{scheme}://{host}")?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn paths_of_signals_follow_the_base() {
        let table = [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("https://host/", "https://host/v1/traces"),
            ("https://host:443/otlp", "https://host/otlp/v1/traces"),
            ("http://[::1]:1/a/b/", "http://[::1]:1/a/b/v1/traces"),
        ];
        for (base, traces) in table {
            let base: BaseUrl = base.parse().unwrap();
            assert_eq!(base.of(Signal::Traces).to_string(), traces);
        }
        let base: BaseUrl = "http://host".parse().unwrap();
        assert_eq!(base.of(Signal::Logs).to_string(), "http://host/v1/logs");
        let metrics = base.of(Signal::Metrics).to_string();
        assert_eq!(metrics, "http://host/v1/metrics");
    }

    #[test]
    fn what_is_no_endpoint_is_told_without_a_secret() {
        let table = [
            ("localhost:4318", InvalidUrl::NoScheme),
            ("", InvalidUrl::NoScheme),
            ("ftp://host", InvalidUrl::Scheme("ftp".to_owned())),
            ("http://me:hunter2@host", InvalidUrl::Credentials),
            ("http://host?key=hunter2", InvalidUrl::Query),
            ("http://host/#hunter2", InvalidUrl::Fragment),
            ("http://", InvalidUrl::Other(url::ParseError::EmptyHost)),
        ];
        for (text, error) in table {
            let found = text.parse::<BaseUrl>().unwrap_err();
            assert!(!found.to_string().contains("hunter2"));
            assert_eq!(found, error, "{text}");
        }
        let url: HttpUrl = "http://host/v1/traces?key=hunter2".parse().unwrap();
        assert_eq!(url.to_string(), "http://host/v1/traces");
        assert_eq!(url.as_url().query(), Some("key=hunter2"));
        let proxy: ProxyUrl = "http://me:hunter2@proxy:3128".parse().unwrap();
        assert_eq!(
            format!("{proxy} {proxy:?}"),
            "http://proxy:3128 http://proxy:3128"
        );
        let error = "ldap://proxy".parse::<ProxyUrl>().unwrap_err();
        assert_eq!(error, InvalidUrl::ProxyScheme("ldap".to_owned()));
    }
}
