//! The configuration of `artifact_server`.

mod mistakes;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::auth::config::AuthConfig;
use crate::config::units::{Between, PositiveDuration, SizeBetween};
use crate::config::{ComponentId, HostPort, Secret};
use crate::tls::config::TlsServerConfig;

/// The longest that a signed link works.
const LONGEST_LINK: Duration = Duration::from_mins(15);

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
    /// Who may read and store.
    pub auth: Option<AuthConfig>,
    /// Who may delete.
    pub deletion: DeletionConfig,
    /// Lets anybody who reaches it from other machines read and store, without `auth`.
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
    /// The requests of one tenant, user, token or address in a second; 0 for any number.
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

/// What is deleted over the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeletionConfig {
    /// Who may delete. Without it nobody may but who is on this machine, where only that can ask at all.
    pub auth: Option<AuthConfig>,
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
            deletion: DeletionConfig::default(),
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

    /// All URLs below which its artifacts and their pages are, as far as the configuration tells.
    pub fn urls(&self) -> impl Iterator<Item = String> {
        let public = [self.public_url.clone(), self.pages.public_url.clone()];
        let here = [&self.endpoint, &self.pages.endpoint].map(|endpoint| self.url_of(endpoint));
        public.into_iter().chain(here).flatten()
    }

    /// The URL of what listens there, if that is a place to connect to.
    pub(super) fn url_of(&self, endpoint: &HostPort) -> Option<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let is_place = endpoint.port != 0 && !is_unspecified(endpoint);
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
}

/// Whether that is all addresses of a machine.
fn is_unspecified(endpoint: &HostPort) -> bool {
    let address = endpoint.host.parse::<IpAddr>();
    address.is_ok_and(|address| address.to_canonical().is_unspecified())
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
