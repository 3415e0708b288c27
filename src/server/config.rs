//! The configuration of `artifact_server`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use http::{HeaderValue, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::auth::config::AuthConfig;
use crate::config::units::{Between, PositiveDuration, SizeBetween};
use crate::config::{ComponentId, HostPort, Secret};
use crate::tls::config::TlsServerConfig;

/// The longest that a signed link works.
const LONGEST_LINK: Duration = Duration::from_mins(15);

/// The shortest secret of signed links: as long as what it makes.
const SECRET: usize = 32;

/// Gives artifacts to people, browsers and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArtifactServerConfig {
    /// Where artifacts themselves are read, and nothing else.
    pub endpoint: HostPort,
    /// Where people reach that. References of the store lead there unless the store has a `public_url` of
    /// its own.
    #[serde(deserialize_with = "crate::storage::config::public_url")]
    #[schemars(extend("pattern" = "^[hH][tT][tT][pP][sS]?://[^?#@]+$"))]
    pub public_url: Option<String>,
    /// Where pages and the API are: another origin, so that nothing in an artifact is ever a part of it.
    pub pages: PagesConfig,
    /// The `artifact_store` whose artifacts they are.
    pub store: ComponentId,
    /// TLS of both listeners.
    pub tls: Option<TlsServerConfig>,
    /// Who may read, store and delete.
    pub auth: Option<AuthConfig>,
    /// Lets anybody who reaches it from other machines read, store and delete, without `auth`.
    pub open_to_everybody: bool,
    /// Names by which both may be asked for, beside localhost, IP addresses and those of their addresses here.
    pub allowed_hosts: Vec<String>,
    /// The origins whose pages may show an artifact in a frame.
    pub frame_ancestors: Vec<String>,
    /// The origins whose scripts may read artifacts.
    pub allowed_origins: Vec<String>,
    /// Whose pages may show artifacts as pictures, audio and video.
    pub cross_origin_resource_policy: ResourcePolicy,
    /// Links that open one artifact for a while without a credential.
    pub links: LinksConfig,
    /// Requests for artifacts that are answered at a time; from 1 to 10000.
    #[serde(with = "Between::<1, 10_000>")]
    pub max_concurrent_requests: u32,
    /// The requests of one tenant, user or address in a second; 0 for any number.
    #[serde(with = "Between::<0, 1_000_000>")]
    pub max_requests_per_second: u32,
    /// The largest artifact that is taken; from 1 byte to 40 GiB.
    #[serde(with = "SizeBetween::<1, { 40 << 30 }>")]
    pub max_upload_size: ByteSize,
    /// The file that is told who read which artifact when, as JSON Lines.
    pub audit_log: Option<PathBuf>,
}

/// The API, and pages for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PagesConfig {
    /// Where they listen.
    pub endpoint: HostPort,
    /// Where people reach that.
    #[serde(deserialize_with = "crate::storage::config::public_url")]
    #[schemars(extend("pattern" = "^[hH][tT][tT][pP][sS]?://[^?#@]+$"))]
    pub public_url: Option<String>,
}

/// Signed links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LinksConfig {
    /// What signs them. The first signs, and all are accepted. Without any there is one that only this process
    /// knows.
    pub keys: Vec<LinkKeyConfig>,
    /// How long one works; up to 15m.
    #[serde(with = "PositiveDuration")]
    pub lifetime: Duration,
}

/// A key of signed links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkKeyConfig {
    /// Its name, which is in the links.
    pub id: String,
    /// 32 characters or more that nobody can guess.
    pub secret: Secret,
}

/// Who may show an artifact as a picture: `Cross-Origin-Resource-Policy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResourcePolicy {
    /// Any page.
    #[default]
    CrossOrigin,
    /// Pages of the same site.
    SameSite,
    /// Pages of the same origin: none.
    SameOrigin,
}

impl ResourcePolicy {
    /// As the header has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CrossOrigin => "cross-origin",
            Self::SameSite => "same-site",
            Self::SameOrigin => "same-origin",
        }
    }
}

impl Default for ArtifactServerConfig {
    fn default() -> Self {
        Self {
            endpoint: loopback(4319),
            public_url: None,
            pages: PagesConfig::default(),
            store: ComponentId::of_type("artifact_store"),
            tls: None,
            auth: None,
            open_to_everybody: false,
            allowed_hosts: Vec::new(),
            frame_ancestors: Vec::new(),
            allowed_origins: Vec::new(),
            cross_origin_resource_policy: ResourcePolicy::default(),
            links: LinksConfig::default(),
            max_concurrent_requests: 200,
            max_requests_per_second: 1000,
            max_upload_size: ByteSize::gib(1),
            audit_log: None,
        }
    }
}

impl Default for PagesConfig {
    fn default() -> Self {
        Self {
            endpoint: loopback(4320),
            public_url: None,
        }
    }
}

impl Default for LinksConfig {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            lifetime: LONGEST_LINK,
        }
    }
}

fn loopback(port: u16) -> HostPort {
    HostPort {
        host: "127.0.0.1".to_owned(),
        port,
    }
}

impl ArtifactServerConfig {
    /// Where artifacts are read, as far as the configuration tells.
    pub fn url(&self) -> Option<String> {
        self.public_url
            .clone()
            .or_else(|| self.url_of(&self.endpoint))
    }

    /// Where pages are, as far as the configuration tells.
    pub fn pages_url(&self) -> Option<String> {
        let pages = &self.pages;
        let own = pages.public_url.clone();
        own.or_else(|| self.url_of(&pages.endpoint))
    }

    /// The URL of what listens there, if that is a place to connect to.
    pub(super) fn url_of(&self, endpoint: &HostPort) -> Option<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let is_place = endpoint.port != 0
            && !endpoint
                .host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_unspecified());
        is_place.then(|| format!("{scheme}://{endpoint}"))
    }

    /// Names by which its listeners may be asked for.
    pub(super) fn hosts(&self) -> Vec<String> {
        let urls = [&self.public_url, &self.pages.public_url];
        let of_urls = urls.into_iter().flatten().filter_map(|url| host_of(url));
        let own = [&self.endpoint, &self.pages.endpoint].map(|own| own.host.clone());
        let allowed = self.allowed_hosts.iter().cloned();
        own.into_iter().chain(of_urls).chain(allowed).collect()
    }

    /// What is wrong with it, and at which keys.
    pub fn mistake(&self) -> Option<(Vec<&'static str>, String)> {
        self.openness()
            .or_else(|| self.names())
            .or_else(|| self.signatures())
            .or_else(|| self.publicity())
    }

    fn openness(&self) -> Option<(Vec<&'static str>, String)> {
        let endpoints = [
            (vec!["endpoint"], &self.endpoint),
            (vec!["pages", "endpoint"], &self.pages.endpoint),
        ];
        if self.auth.is_some() || self.open_to_everybody {
            return None;
        }
        let (key, endpoint) = endpoints
            .into_iter()
            .find(|(_, endpoint)| !is_loopback(&endpoint.host))?;
        let message = format!(
            "{endpoint} can be reached from other machines, and without auth anybody there can read, \
             store and delete artifacts: add auth, listen on 127.0.0.1, or say open_to_everybody: true"
        );
        Some((key, message))
    }

    /// A name that others use leads to a proxy in front of a listener that only this machine reaches.
    fn publicity(&self) -> Option<(Vec<&'static str>, String)> {
        if self.auth.is_some() || self.open_to_everybody {
            return None;
        }
        let urls = [
            (vec!["public_url"], &self.public_url),
            (vec!["pages", "public_url"], &self.pages.public_url),
        ];
        let urls = urls
            .into_iter()
            .filter_map(|(key, url)| Some((key, host_of(url.as_deref()?)?)));
        let hosts = self.allowed_hosts.iter().cloned();
        let hosts = hosts.map(|host| (vec!["allowed_hosts"], host));
        let (key, host) = urls.chain(hosts).find(|(_, host)| !is_loopback(host))?;
        let message = format!(
            "{host} is a name for other machines, and without auth whoever comes by it can read, store and \
             delete artifacts: add auth, or say open_to_everybody: true"
        );
        Some((key, message))
    }

    fn names(&self) -> Option<(Vec<&'static str>, String)> {
        let is_name = |host: &&String| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !host.is_empty() && !host.ends_with('.') && host.chars().all(is_plain)
        };
        if let Some(host) = self.allowed_hosts.iter().find(|host| !is_name(host)) {
            let message = format!(
                "\"{host}\" is no name of a host: it has no scheme, port or dot at its end"
            );
            return Some((vec!["allowed_hosts"], message));
        }
        for (key, origins) in [
            ("frame_ancestors", &self.frame_ancestors),
            ("allowed_origins", &self.allowed_origins),
        ] {
            if let Some(origin) = origins.iter().find(|origin| !is_origin(origin)) {
                let message = format!(
                    "\"{origin}\" is no origin: use one such as https://backend.example.com, without a \
                     slash at its end"
                );
                return Some((vec![key], message));
            }
        }
        let (bytes, pages) = (self.url()?, self.pages_url()?);
        if origin_of(&bytes) == origin_of(&pages) {
            let message = format!(
                "{pages} is the origin of the artifacts, too: what is in an artifact must not be a part \
                 of the pages, so give them another host or port"
            );
            return Some((vec!["pages", "public_url"], message));
        }
        None
    }

    fn signatures(&self) -> Option<(Vec<&'static str>, String)> {
        let links = &self.links;
        if links.lifetime > LONGEST_LINK {
            let message = "is too long: a link that got about is to end soon, so it is at most 15m";
            return Some((vec!["links", "lifetime"], message.to_owned()));
        }
        let mut ids = BTreeSet::new();
        for key in &links.keys {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            let message = if key.id.is_empty() || key.id.len() > 32 || !key.id.chars().all(is_plain)
            {
                format!(
                    "\"{}\" is no id: it has 1 to 32 letters, digits, - and _",
                    key.id
                )
            } else if !ids.insert(&key.id) {
                format!("two keys have the id \"{}\"", key.id)
            } else if key.secret.expose().len() < SECRET {
                format!(
                    "the secret of \"{}\" has less than {SECRET} characters, and can be guessed: take \
                     one of openssl rand -hex 32",
                    key.id
                )
            } else {
                continue;
            };
            return Some((vec!["links", "keys"], message));
        }
        None
    }
}

/// Whether nobody but this machine reaches a listener with this host.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// `scheme://host[:port]`, which can stand in a header.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    is_web
        && uri.host().is_some()
        && origin_of(text).as_deref() == Some(text)
        && !text.contains([';', ',', ' ', '\'', '"', '*'])
        && HeaderValue::from_str(text).is_ok()
}

/// The origin of a URL, as browsers write it.
pub(super) fn origin_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    Some(url.origin().ascii_serialization())
}

fn host_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    Some(host.trim_matches(['[', ']']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: &str) -> ArtifactServerConfig {
        ArtifactServerConfig {
            endpoint: endpoint.parse().unwrap_or_else(|_| loopback(1)),
            ..ArtifactServerConfig::default()
        }
    }

    #[test]
    fn what_others_reach_is_open_only_where_somebody_said_so() {
        for (endpoint, is_fine) in [
            ("127.0.0.1:4319", true),
            ("localhost:4319", true),
            ("[::1]:4319", true),
            ("0.0.0.0:4319", false),
            ("[::]:4319", false),
            ("10.0.0.1:4319", false),
            ("files.example.com:4319", false),
        ] {
            let mut config = at(endpoint);
            assert_eq!(config.openness().is_none(), is_fine, "{endpoint}");
            config.open_to_everybody = true;
            assert_eq!(config.openness(), None);
            let mut pages = ArtifactServerConfig::default();
            pages.pages.endpoint = config.endpoint;
            assert_eq!(pages.openness().is_none(), is_fine, "{endpoint}");
        }
    }

    #[test]
    fn where_it_is_follows_from_where_it_listens_if_that_is_a_place() {
        for (endpoint, url) in [
            ("127.0.0.1:4319", Some("http://127.0.0.1:4319")),
            ("[::1]:80", Some("http://[::1]:80")),
            ("0.0.0.0:4319", None),
            ("[::]:4319", None),
            ("127.0.0.1:0", None),
        ] {
            assert_eq!(at(endpoint).url().as_deref(), url);
        }
        let public = ArtifactServerConfig {
            public_url: Some("https://files.example.com".to_owned()),
            ..at("0.0.0.0:4319")
        };
        assert_eq!(public.url(), public.public_url);
    }

    #[test]
    fn artifacts_and_pages_never_share_an_origin() {
        let mut config = at("127.0.0.1:4319");
        config.pages.public_url = Some("http://127.0.0.1:4319/pages".to_owned());
        assert!(config.mistake().is_some());
        config.pages.public_url = Some("http://localhost:4319".to_owned());
        assert_eq!(config.mistake(), None);
    }

    #[test]
    fn only_origins_are_origins() {
        for (text, is) in [
            ("https://backend.example.com", true),
            ("http://127.0.0.1:6006", true),
            ("https://backend.example.com/", false),
            ("https://*.example.com", false),
            ("*", false),
            ("null", false),
            ("https://a.example; script-src *", false),
            ("ftp://a.example", false),
        ] {
            assert_eq!(is_origin(text), is, "{text}");
        }
    }
}
