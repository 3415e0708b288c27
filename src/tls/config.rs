//! The `tls` blocks, with the keys of the Collector.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

pub use super::curves::Curve;
use super::identity::Identity;
use super::pem::Source;
pub use super::suites::{CipherSuite, Version};
use crate::config::Secret;
use crate::config::units::AnyDuration;

/// `tls` of an exporter: how a connection to a backend is protected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsClientConfig {
    /// Connects without TLS, unless `ca_file` or `ca_pem` says what to trust. A scheme in the endpoint has the last
    /// word.
    pub insecure: bool,
    /// Trusts any backend, whoever it is.
    pub insecure_skip_verify: bool,
    /// The name that the certificate of the backend must have, if not the host of the endpoint.
    pub server_name_override: Option<String>,
    /// The certificates (PEM) to trust instead of those of the system.
    pub ca_file: Option<PathBuf>,
    /// The same, as text.
    pub ca_pem: Option<Secret>,
    /// The certificate (PEM) to show to the backend, with those between it and who vouches for it.
    pub cert_file: Option<PathBuf>,
    /// The same, as text.
    pub cert_pem: Option<Secret>,
    /// The key (PEM) of that certificate.
    pub key_file: Option<PathBuf>,
    /// The same, as text.
    pub key_pem: Option<Secret>,
    /// Trusts those of the system beside those of `ca_file` or `ca_pem`.
    pub include_system_ca_certs_pool: bool,
    /// The oldest version of TLS.
    #[serde(deserialize_with = "oldest")]
    pub min_version: Version,
    /// The newest version of TLS; the latest where there is none.
    #[serde(deserialize_with = "newest")]
    pub max_version: Option<Version>,
    /// The cipher suites; all that are sound where there are none.
    pub cipher_suites: Vec<CipherSuite>,
    /// The groups in which both sides agree on keys, the best first; all that are sound where there are none.
    pub curve_preferences: Vec<Curve>,
    /// As in the Collector; no insecure cipher suite is spoken here, so it can only be false.
    #[schemars(extend("const" = false))]
    pub include_insecure_cipher_suites: bool,
    /// How often the files are looked at, to use what is new in them; 0 for never.
    #[serde(with = "AnyDuration")]
    pub reload_interval: Duration,
}

/// `tls` of a receiver: how connections of senders are protected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsServerConfig {
    /// The certificate (PEM) to show to senders, with those between it and who vouches for it.
    pub cert_file: Option<PathBuf>,
    /// The same, as text.
    pub cert_pem: Option<Secret>,
    /// The key (PEM) of that certificate.
    pub key_file: Option<PathBuf>,
    /// The same, as text.
    pub key_pem: Option<Secret>,
    /// The certificates (PEM) that vouch for senders. With them a sender must have a certificate.
    pub client_ca_file: Option<PathBuf>,
    /// The same, as text.
    pub client_ca_pem: Option<Secret>,
    /// Uses what is new in `client_ca_file`.
    pub client_ca_file_reload: bool,
    /// The oldest version of TLS.
    #[serde(deserialize_with = "oldest")]
    pub min_version: Version,
    /// The newest version of TLS; the latest where there is none.
    #[serde(deserialize_with = "newest")]
    pub max_version: Option<Version>,
    /// The cipher suites; all that are sound where there are none.
    pub cipher_suites: Vec<CipherSuite>,
    /// The groups in which both sides agree on keys, the best first; all that are sound where there are none.
    pub curve_preferences: Vec<Curve>,
    /// As in the Collector; no insecure cipher suite is spoken here, so it can only be false.
    #[schemars(extend("const" = false))]
    pub include_insecure_cipher_suites: bool,
    /// How often the files of the certificate and key are looked at, to use what is new in them; 0 for
    /// never.
    #[serde(with = "AnyDuration")]
    pub reload_interval: Duration,
    /// As in the Collector; a listener trusts senders by `client_ca_file`.
    pub ca_file: Option<PathBuf>,
    /// As in the Collector; a listener trusts senders by `client_ca_pem`.
    pub ca_pem: Option<Secret>,
    /// As in the Collector; a listener trusts senders by `client_ca_file`.
    pub include_system_ca_certs_pool: bool,
}

impl Default for TlsClientConfig {
    fn default() -> Self {
        Self {
            insecure: false,
            insecure_skip_verify: false,
            server_name_override: None,
            ca_file: None,
            ca_pem: None,
            cert_file: None,
            cert_pem: None,
            key_file: None,
            key_pem: None,
            include_system_ca_certs_pool: false,
            min_version: Version::V12,
            max_version: None,
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
            include_insecure_cipher_suites: false,
            reload_interval: Duration::ZERO,
        }
    }
}

impl Default for TlsServerConfig {
    fn default() -> Self {
        Self {
            cert_file: None,
            cert_pem: None,
            key_file: None,
            key_pem: None,
            client_ca_file: None,
            client_ca_pem: None,
            client_ca_file_reload: false,
            min_version: Version::V12,
            max_version: None,
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
            include_insecure_cipher_suites: false,
            reload_interval: Duration::ZERO,
            ca_file: None,
            ca_pem: None,
            include_system_ca_certs_pool: false,
        }
    }
}

/// A key, and what is wrong with its value beside those of others.
type Mistake = (&'static str, String);

impl TlsClientConfig {
    /// What is wrong between its keys.
    pub fn mistake(&self) -> Option<Mistake> {
        let own = OwnKeys {
            cert_file: self.cert_file.is_some(),
            cert_pem: self.cert_pem.is_some(),
            key_file: self.key_file.is_some(),
            key_pem: self.key_pem.is_some(),
        };
        let missing = || match (own.has_certificate(), own.has_key()) {
            (true, false) => Some((
                "cert_file",
                "needs its key: add key_file or key_pem".to_owned(),
            )),
            (false, true) => Some((
                "key_file",
                "needs its certificate: add cert_file or cert_pem".to_owned(),
            )),
            _ => None,
        };
        both(
            "ca_pem",
            "ca_file",
            self.ca_pem.is_some() && self.ca_file.is_some(),
        )
        .or_else(|| own.twice())
        .or_else(missing)
        .or_else(|| range(self.min_version, self.max_version))
        .or_else(|| without_curve(self.max_version, &self.curve_preferences))
        .or_else(|| insecure(self.include_insecure_cipher_suites))
    }

    /// The keys that are set and say how a connection is encrypted, which one in plain text is not.
    pub(crate) fn of_encryption(&self) -> impl Iterator<Item = &'static str> {
        let unset = Self::default();
        let keys = [
            ("insecure_skip_verify", self.insecure_skip_verify),
            ("server_name_override", self.server_name_override.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("ca_pem", self.ca_pem.is_some()),
            ("cert_file", self.cert_file.is_some()),
            ("cert_pem", self.cert_pem.is_some()),
            ("key_file", self.key_file.is_some()),
            ("key_pem", self.key_pem.is_some()),
            (
                "include_system_ca_certs_pool",
                self.include_system_ca_certs_pool,
            ),
            ("min_version", self.min_version != unset.min_version),
            ("max_version", self.max_version.is_some()),
            ("cipher_suites", !self.cipher_suites.is_empty()),
            ("curve_preferences", !self.curve_preferences.is_empty()),
            (
                "reload_interval",
                self.reload_interval != unset.reload_interval,
            ),
        ];
        keys.into_iter()
            .filter_map(|(key, is_set)| is_set.then_some(key))
    }

    /// Whether it says which certificates to trust.
    pub(crate) fn has_authorities(&self) -> bool {
        self.ca_file.is_some() || self.ca_pem.is_some()
    }

    pub(super) fn authorities(&self) -> Option<Source> {
        Source::of(
            ("ca_file", self.ca_file.as_ref()),
            ("ca_pem", self.ca_pem.as_ref()),
        )
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        identity(
            (self.cert_file.as_ref(), self.cert_pem.as_ref()),
            (self.key_file.as_ref(), self.key_pem.as_ref()),
        )
    }
}

impl TlsServerConfig {
    /// What is wrong between its keys.
    pub fn mistake(&self) -> Option<Mistake> {
        let own = OwnKeys {
            cert_file: self.cert_file.is_some(),
            cert_pem: self.cert_pem.is_some(),
            key_file: self.key_file.is_some(),
            key_pem: self.key_pem.is_some(),
        };
        let missing = || {
            let needed = |key, what: &str| Some((key, format!("is required: {what}")));
            if !own.has_certificate() {
                needed(
                    "cert_file",
                    "the certificate to show to senders, or cert_pem",
                )
            } else if !own.has_key() {
                needed("key_file", "the key of the certificate, or key_pem")
            } else {
                None
            }
        };
        let reload = || {
            (self.client_ca_file_reload && self.client_ca_file.is_none()).then(|| {
                let message = "there is no client_ca_file that could change";
                ("client_ca_file_reload", message.to_owned())
            })
        };
        let clients = self.client_ca_pem.is_some() && self.client_ca_file.is_some();
        both("client_ca_pem", "client_ca_file", clients)
            .or_else(|| own.twice())
            .or_else(missing)
            .or_else(reload)
            .or_else(|| range(self.min_version, self.max_version))
            .or_else(|| without_curve(self.max_version, &self.curve_preferences))
            .or_else(|| insecure(self.include_insecure_cipher_suites))
    }

    /// The keys that are set and say whom a client trusts, which no listener is.
    pub(crate) fn of_clients(&self) -> impl Iterator<Item = &'static str> {
        let keys = [
            ("ca_file", self.ca_file.is_some()),
            ("ca_pem", self.ca_pem.is_some()),
            (
                "include_system_ca_certs_pool",
                self.include_system_ca_certs_pool,
            ),
        ];
        keys.into_iter()
            .filter_map(|(key, is_set)| is_set.then_some(key))
    }

    pub(super) fn clients(&self) -> Option<Source> {
        Source::of(
            ("client_ca_file", self.client_ca_file.as_ref()),
            ("client_ca_pem", self.client_ca_pem.as_ref()),
        )
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        identity(
            (self.cert_file.as_ref(), self.cert_pem.as_ref()),
            (self.key_file.as_ref(), self.key_pem.as_ref()),
        )
    }
}

/// Which keys say what this side shows of itself.
struct OwnKeys {
    cert_file: bool,
    cert_pem: bool,
    key_file: bool,
    key_pem: bool,
}

impl OwnKeys {
    fn has_certificate(&self) -> bool {
        self.cert_file || self.cert_pem
    }

    fn has_key(&self) -> bool {
        self.key_file || self.key_pem
    }

    fn twice(&self) -> Option<Mistake> {
        both("cert_pem", "cert_file", self.cert_file && self.cert_pem)
            .or_else(|| both("key_pem", "key_file", self.key_file && self.key_pem))
    }
}

fn both(key: &'static str, other: &str, are_given: bool) -> Option<Mistake> {
    are_given.then(|| {
        (
            key,
            format!("cannot stand beside {other}: give one of them"),
        )
    })
}

fn range(min: Version, max: Option<Version>) -> Option<Mistake> {
    max.is_some_and(|max| max < min).then(|| {
        let message = "is older than min_version, so no version is left";
        ("max_version", message.to_owned())
    })
}

/// Versions without any of the groups that are left.
fn without_curve(max: Option<Version>, curves: &[Curve]) -> Option<Mistake> {
    let are_new = curves.iter().all(|curve| *curve == Curve::X25519MlKem768);
    (max == Some(Version::V12) && !curves.is_empty() && are_new).then(|| {
        let message =
            "X25519MLKEM768 is of TLS 1.3, and max_version is 1.2: add X25519, P256 or P384";
        ("curve_preferences", message.to_owned())
    })
}

fn insecure(are_included: bool) -> Option<Mistake> {
    are_included.then(|| {
        let message = "no insecure cipher suite is spoken here: remove it, or say false";
        ("include_insecure_cipher_suites", message.to_owned())
    })
}

fn identity(
    (cert_file, cert_pem): (Option<&PathBuf>, Option<&Secret>),
    (key_file, key_pem): (Option<&PathBuf>, Option<&Secret>),
) -> Option<Identity> {
    let certificate = Source::of(("cert_file", cert_file), ("cert_pem", cert_pem));
    let key = Source::of(("key_file", key_file), ("key_pem", key_pem));
    let (certificate, key) = certificate.zip(key)?;
    Some(Identity { certificate, key })
}

/// A version; nothing said, as the Collector writes it, is its default.
fn oldest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
    Ok(newest(deserializer)?.unwrap_or(Version::V12))
}

fn newest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Version>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let text = text.filter(|text| !text.is_empty());
    let version = text.map(Version::try_from).transpose();
    version.map_err(serde::de::Error::custom)
}
