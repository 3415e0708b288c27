//! An artifact, as a person names it.

use std::str::FromStr;

use slimspan_artifact::Digest;

use super::path_of;
use crate::tenant::TenantId;

/// What stands between the place of a server and the digest in a link, behind the name of a tenant.
const ARTIFACTS: &str = "/artifacts/";

/// An artifact, as a person names it: its digest, or a reference to it in any form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    /// Which it is.
    pub(crate) digest: Digest,
    text: String,
}

/// A text that names no artifact, or several.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no artifact: give its sha256, 64 lower-case hexadecimal digits, or a reference that has it"
)]
pub(crate) struct Unnamed(String);

impl FromStr for Mention {
    type Err = Unnamed;

    fn from_str(text: &str) -> Result<Self, Unnamed> {
        let told = || Unnamed(text.to_owned());
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_-".contains(c));
        let mut digests = words.filter_map(|word| word.parse::<Digest>().ok());
        let digest = digests.next().ok_or_else(told)?;
        // A reference that is an object has it by itself, and in its URI.
        if digests.any(|other| other != digest) {
            return Err(told());
        }
        Ok(Self {
            digest,
            text: text.to_owned(),
        })
    }
}

impl Mention {
    /// Whose it is, where the reference says so; `urls` are those below which links to artifacts are.
    pub(crate) fn tenant(&self, urls: &[String]) -> Option<TenantId> {
        let mut before = self.before();
        before.find_map(|before| in_store(before).or_else(|| of_link(before, urls)))
    }

    /// Whose it may be: what is a tenant in a link to a server that is none of `urls`, and may be a folder there.
    pub(crate) fn likely_tenant(&self, urls: &[String]) -> Option<TenantId> {
        self.before().find_map(|before| {
            let place = before.strip_suffix(ARTIFACTS)?;
            // The name of a server is none of a tenant.
            let place = place.rsplit_once("://").map_or(place, |(_, behind)| behind);
            let mut own = urls.iter().map(|url| path_of(url));
            if own.any(|path| !path.is_empty() && place.ends_with(path.as_str())) {
                return None;
            }
            let (_, tenant) = place.rsplit_once('/')?;
            tenant.parse().ok()
        })
    }

    /// What stands in front of the digest, each time that it is there.
    fn before(&self) -> impl Iterator<Item = &str> {
        let digest = self.digest.to_string();
        let found = self.text.match_indices(&digest).map(|(at, _)| at);
        let found: Vec<usize> = found.collect();
        found.into_iter().filter_map(move |at| self.text.get(..at))
    }
}

/// Of `.../TENANT/sha256/ab/DIGEST`.
fn in_store(before: &str) -> Option<TenantId> {
    let (before, _) = before.strip_suffix('/')?.rsplit_once('/')?;
    let tenant = before.strip_suffix("/sha256")?.rsplit('/').next();
    tenant?.parse().ok()
}

/// Of `<url>/TENANT/artifacts/DIGEST.png`. A URL may have a path of its own, which looks like a tenant.
fn of_link(before: &str, urls: &[String]) -> Option<TenantId> {
    let before = before.strip_suffix(ARTIFACTS)?;
    let is_below = |place: &str| urls.iter().any(|url| place.ends_with(url.as_str()));
    if is_below(before) {
        return Some(TenantId::default());
    }
    let (place, tenant) = before.rsplit_once('/')?;
    tenant.parse().ok().filter(|_| is_below(place))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn urls() -> Vec<String> {
        let urls = [
            "http://127.0.0.1:4319",
            "https://example.com",
            "https://example.com/kept/files",
        ];
        urls.map(str::to_owned).into()
    }

    fn object(digest: Digest, uri: &str) -> String {
        format!(
            "{{\"type\":\"artifact\",\"sha256\":\"{digest}\",\"size_bytes\":3,\"uri\":\"{uri}\",\
             \"encoding\":\"base64\"}}"
        )
    }

    #[test]
    fn a_digest_is_found_in_any_reference_and_whose_it_is_where_it_says_so() {
        let digest = Digest::of(b"abc");
        for (text, tenant) in [
            (digest.to_string(), None),
            (format!("sha256:{digest}"), None),
            (
                format!("http://127.0.0.1:4319/artifacts/{digest}.png?as=base64"),
                Some("default"),
            ),
            (
                format!("http://127.0.0.1:4319/acme/artifacts/{digest}.png"),
                Some("acme"),
            ),
            (
                format!("https://example.com/kept/files/artifacts/{digest}"),
                Some("default"),
            ),
            (
                format!("https://example.com/kept/files/acme/artifacts/{digest}~"),
                Some("acme"),
            ),
            (
                format!("{{\"url\":\"https://example.com/acme/artifacts/{digest}.png\"}}"),
                Some("acme"),
            ),
            (
                object(
                    digest,
                    &format!("https://example.com/acme/artifacts/{digest}.png"),
                ),
                Some("acme"),
            ),
            (
                object(digest, &format!("s3://b/p/acme/sha256/ba/{digest}")),
                Some("acme"),
            ),
            // Who knows what is a tenant there, and what a folder.
            (format!("https://example.org/acme/artifacts/{digest}"), None),
            (format!("https://example.com/a/b/artifacts/{digest}"), None),
            (format!("https://example.com/Acme/artifacts/{digest}"), None),
            (format!("s3://b/p/acme/sha256/ba/{digest}"), Some("acme")),
            (format!("acme/sha256/ba/{digest}"), Some("acme")),
            (
                format!("{{\"type\":\"artifact\",\"sha256\":\"{digest}\",\"size_bytes\":3}}"),
                None,
            ),
        ] {
            let named: Mention = text.parse().unwrap();
            assert_eq!(named.digest, digest, "{text}");
            let found = named.tenant(&urls());
            assert_eq!(found.as_ref().map(TenantId::as_str), tenant, "{text}");
        }
        let two = format!("{digest} {}", Digest::of(b"abd"));
        for text in ["", "abc", &digest.to_string()[1..], &two] {
            assert!(text.parse::<Mention>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_looks_like_a_tenant_of_a_strangers_server_may_be_one() {
        let digest = Digest::of(b"abc");
        for (before, tenant) in [
            ("https://example.org/acme", Some("acme")),
            ("https://example.org/a/b", Some("b")),
            ("/acme", Some("acme")),
            ("https://acme", None),
            ("https://example.org", None),
            // The path that this server has itself.
            ("https://example.org/kept/files", None),
            ("https://example.org/kept/files/acme", Some("acme")),
            ("", None),
        ] {
            let text = format!("{before}/artifacts/{digest}.png");
            let named: Mention = text.parse().unwrap();
            let found = named.likely_tenant(&urls());
            assert_eq!(found.as_ref().map(TenantId::as_str), tenant, "{text}");
        }
    }
}
