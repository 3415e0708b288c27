//! Whose telemetry it is.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use schemars::JsonSchema;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

/// The name of a tenant: part of the keys of its artifacts, so it is short and plain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String", extend("pattern" = "^[a-z0-9_-]{1,64}$"))]
pub struct TenantId(Arc<str>);

/// A name that is none. It does not repeat what was given: that is a stranger's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tenant has 1 to 64 of the characters a-z, 0-9, _ and -")]
pub struct InvalidTenant;

/// The name where nothing says whose telemetry it is.
const DEFAULT: &str = "default";

static DEFAULT_ID: LazyLock<TenantId> = LazyLock::new(|| TenantId(DEFAULT.into()));

impl TenantId {
    /// The name, as a part of a path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the one where nothing says whose telemetry it is.
    pub fn is_default(&self) -> bool {
        self.as_str() == DEFAULT
    }
}

impl Default for TenantId {
    fn default() -> Self {
        DEFAULT_ID.clone()
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> Self {
        tenant.as_str().to_owned()
    }
}

impl FromStr for TenantId {
    type Err = InvalidTenant;

    fn from_str(text: &str) -> Result<Self, InvalidTenant> {
        let plain = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidTenant)
        }
    }
}

impl<'de> Deserialize<'de> for TenantId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_folder_of_a_tenant() {
        let longest = "x".repeat(64);
        for name in ["a", "acme", "acme-corp_7", "0", &longest] {
            assert!(name.parse::<TenantId>().is_ok_and(|id| id.as_str() == name));
        }
        let too_long = "x".repeat(65);
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "%2e%2e",
            "Acme",
            "a b",
            "a\0",
            "a\n",
            "\u{202e}a",
            "ä",
            &too_long,
        ] {
            assert_eq!(name.parse::<TenantId>(), Err(InvalidTenant), "{name:?}");
        }
        assert!(TenantId::default().is_default());
        assert_eq!("default".parse(), Ok(TenantId::default()));
    }
}
