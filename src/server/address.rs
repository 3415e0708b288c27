//! The one route of artifacts.

use std::fmt;

use slimspan_artifact::Digest;

use crate::tenant::TenantId;

/// The longest extension of a reference.
const EXTENSION: usize = 16;

/// What a path names: `^(/[a-z0-9_-]{1,64})?/artifacts/[0-9a-f]{64}(\.[a-z0-9]{1,16})?~?$`.
///
/// What the extension says is never believed. The `~` ends a reference in a text, and programs that make
/// links of texts take it along.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Whose artifact it is.
    pub tenant: TenantId,
    /// Which.
    pub digest: Digest,
}

impl Address {
    /// Reads a path. Nothing in it is decoded: a digest and a tenant need no escapes.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let (before, name) = path.rsplit_once('/')?;
        let tenant = match before.strip_suffix("/artifacts")? {
            "" => TenantId::default(),
            tenant => tenant.strip_prefix('/')?.parse().ok()?,
        };
        let name = name.strip_suffix('~').unwrap_or(name);
        let (digest, rest) = name.split_at_checked(64)?;
        let is_extension = |text: &str| {
            (1..=EXTENSION).contains(&text.len())
                && (text.bytes()).all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let is_fine = rest.is_empty() || rest.strip_prefix('.').is_some_and(is_extension);
        let digest = digest.parse().ok().filter(|_| is_fine)?;
        Some(Self { tenant, digest })
    }
}

/// As a path, without an extension.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.tenant.is_default() {
            write!(f, "/{}", self.tenant)?;
        }
        write!(f, "/artifacts/{}", self.digest)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn references_lead_to_artifacts() {
        for (path, tenant) in [
            (format!("/artifacts/{DIGEST}"), "default"),
            (format!("/artifacts/{DIGEST}.png"), "default"),
            (format!("/artifacts/{DIGEST}.png~"), "default"),
            (format!("/acme/artifacts/{DIGEST}.m4a"), "acme"),
            (format!("/artifacts/artifacts/{DIGEST}"), "artifacts"),
        ] {
            let address = Address::parse(&path).unwrap();
            assert_eq!(address.tenant.as_str(), tenant, "{path}");
            assert_eq!(address.digest.to_string(), DIGEST);
            assert_eq!(Address::parse(&address.to_string()), Some(address));
        }
    }

    #[test]
    fn nothing_else_leads_anywhere() {
        let upper = DIGEST.to_uppercase();
        for path in [
            String::new(),
            "/".to_owned(),
            "/artifacts/".to_owned(),
            "/artifacts".to_owned(),
            format!("/artifacts/{upper}"),
            format!("/artifacts/{DIGEST}0"),
            format!("/artifacts/{}", &DIGEST[1..]),
            format!("/artifacts/{DIGEST}."),
            format!("/artifacts/{DIGEST}.PNG"),
            format!("/artifacts/{DIGEST}.tar.gz"),
            format!("/artifacts/{DIGEST}.png/"),
            format!("/artifacts/{DIGEST}.png~~"),
            format!("/artifacts/{DIGEST}%2epng"),
            format!("/artifacts/{DIGEST}\0.png"),
            format!("/artifacts/{DIGEST}.{}", "x".repeat(17)),
            format!("//artifacts/{DIGEST}"),
            format!("/artifacts//{DIGEST}"),
            format!("artifacts/{DIGEST}"),
            format!("/../artifacts/{DIGEST}"),
            format!("/a/../artifacts/{DIGEST}"),
            format!("/a/b/artifacts/{DIGEST}"),
            format!("/Acme/artifacts/{DIGEST}"),
            format!("/%61cme/artifacts/{DIGEST}"),
            format!("/{}/artifacts/{DIGEST}", "x".repeat(65)),
            format!("/artifacts/untrusted/{DIGEST}.png"),
            format!("/artifacts/../../{DIGEST}"),
            format!("/artifacts/é{}", &DIGEST[2..]),
        ] {
            assert_eq!(Address::parse(&path), None, "{path}");
        }
    }
}
