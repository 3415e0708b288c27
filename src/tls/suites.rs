//! Versions and cipher suites.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion, version};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::curves::{Curve, groups};

/// A version of TLS, written `"1.2"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Version {
    /// TLS 1.2
    V12,
    /// TLS 1.3
    V13,
}

impl JsonSchema for Version {
    fn schema_name() -> Cow<'static, str> {
        "TlsVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Without quotes it is a number to YAML; an empty text is how the Collector writes the default.
        json_schema!({ "description": "A version of TLS.", "enum": ["1.2", "1.3", 1.2, 1.3, "", null] })
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        match version {
            Version::V12 => "1.2".to_owned(),
            Version::V13 => "1.3".to_owned(),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "1.2" => Ok(Self::V12),
            "1.3" => Ok(Self::V13),
            "1.0" | "1.1" => Err(format!(
                "TLS {text} is broken and not spoken here: use \"1.2\" or \"1.3\""
            )),
            _ => Err(format!(
                "\"{text}\" is not a version: use \"1.2\" or \"1.3\""
            )),
        }
    }
}

impl Version {
    fn of(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::V12 => &version::TLS12,
            Self::V13 => &version::TLS13,
        }
    }
}

/// The versions from `min` to `max`, the latest if there is none.
pub(super) fn versions(
    min: Version,
    max: Option<Version>,
) -> Vec<&'static SupportedProtocolVersion> {
    [Version::V13, Version::V12]
        .into_iter()
        .filter(|version| *version >= min && max.is_none_or(|max| *version <= max))
        .map(Version::of)
        .collect()
}

/// A cipher suite by its IANA name, such as `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^TLS_"))]
pub struct CipherSuite(String);

impl From<CipherSuite> for String {
    fn from(suite: CipherSuite) -> Self {
        suite.0
    }
}

impl TryFrom<String> for CipherSuite {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let suites = || aws_lc_rs::ALL_CIPHER_SUITES.iter().map(name);
        if suites().any(|known| known == text) {
            return Ok(Self(text));
        }
        let known: Vec<String> = suites().collect();
        Err(format!(
            "\"{text}\" is not a cipher suite that is spoken here; known are {}",
            known.join(", ")
        ))
    }
}

/// What does the cryptography, with the suites in `only`; a version of which none is named has all,
/// as in the Collector, where those of TLS 1.3 cannot be chosen. So with the groups of `curves`, if there are any.
pub(super) fn provider(only: &[CipherSuite], curves: &[Curve]) -> Arc<CryptoProvider> {
    static DEFAULT: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    if only.is_empty() && curves.is_empty() {
        return Arc::clone(&DEFAULT);
    }
    let mut provider = CryptoProvider::clone(&DEFAULT);
    if !curves.is_empty() {
        provider.kx_groups = groups(curves);
    }
    let is_named = |suite: &SupportedCipherSuite| only.iter().any(|named| named.0 == name(suite));
    let is_chosen = |version: ProtocolVersion| {
        let mut all = aws_lc_rs::ALL_CIPHER_SUITES.iter();
        all.any(|suite| suite.version().version == version && is_named(suite))
    };
    provider
        .cipher_suites
        .retain(|suite| is_named(suite) || !is_chosen(suite.version().version));
    Arc::new(provider)
}

/// Its IANA name: the library marks those of TLS 1.3.
fn name(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Vec<String> {
        let only = names.iter().map(|name| (*name).to_owned().try_into());
        let only: Vec<CipherSuite> = only.collect::<Result<_, String>>().unwrap();
        provider(&only, &[])
            .cipher_suites
            .iter()
            .map(name)
            .collect()
    }

    #[test]
    fn suites_of_a_version_are_chosen_among_those_of_the_version() {
        assert_eq!(chosen(&[]).len(), aws_lc_rs::ALL_CIPHER_SUITES.len());
        let one = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
        let all_of_13 = [
            "TLS_AES_256_GCM_SHA384",
            "TLS_AES_128_GCM_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256",
        ];
        assert_eq!(chosen(&[one]), [all_of_13.as_slice(), &[one]].concat());
        assert_eq!(chosen(&[one, all_of_13[1]]), [all_of_13[1], one]);
        let error = CipherSuite::try_from("TLS_RSA_WITH_RC4_128_SHA".to_owned()).unwrap_err();
        assert!(error.contains(one), "{error}");
    }

    #[test]
    fn versions_are_a_range() {
        let count = |min, max| versions(min, max).len();
        assert_eq!(count(Version::V12, None), 2);
        assert_eq!(count(Version::V13, None), 1);
        assert_eq!(count(Version::V12, Some(Version::V12)), 1);
        assert_eq!(
            versions(Version::V12, Some(Version::V12)),
            [&version::TLS12]
        );
    }
}
