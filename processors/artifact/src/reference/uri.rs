//! References that are a URI and nothing else.
//!
//! `<base><digest>.<extension>` and, where the usual encoding is not the right one, a query
//! `?as=<token>`. Nothing in it is escaped in JSON or in URLs, so it reads the same at any depth of
//! nesting. A `~` ends it where the text behind it would read on.

use super::{Reference, Standing, UNTRUSTED, inline};
use crate::encoding::Written;
use crate::media_type::extension;
use crate::{Digest, Location};

/// The scheme of what has no address.
const SCHEME: &str = "artifact://";

/// Where artifacts are that are nowhere.
const DROPPED: &str = "artifact://dropped/";

/// Ends a URI where more text follows.
pub(crate) const END: u8 = b'~';

const HEX_DIGITS: usize = 64;

impl Location {
    /// What the URI of every artifact starts with.
    pub(crate) fn base(&self) -> String {
        match self {
            Self::Store(url) => format!("{url}/"),
            Self::Public(url) => format!("{url}/artifacts/"),
        }
    }

    /// Where the artifact is to be found.
    pub(crate) fn address(&self, digest: Digest, media_type: &str) -> String {
        let base = self.base();
        match self {
            Self::Store(_) => {
                let hex = digest.to_string();
                let shard = hex.get(..2).unwrap_or_default();
                format!("{base}{shard}/{hex}")
            }
            Self::Public(_) => format!("{base}{digest}.{}", extension::of(media_type)),
        }
    }
}

impl Reference<'_> {
    /// The reference as a URI, in front of a text that starts with `next`.
    pub(crate) fn to_uri(&self, next: Option<u8>) -> String {
        let proven = self.media_type.proven();
        let (mut uri, shown) = match self.location {
            None => {
                let extension = extension::of(proven);
                let size = self.size;
                let uri = format!("{DROPPED}{}.{extension}?size={size}", self.digest);
                (uri, extension::media_type(extension))
            }
            Some(location) => {
                let of_extension = extension::media_type(extension::of(proven));
                let shown = of_extension.filter(|_| matches!(location, Location::Public(_)));
                (location.address(self.digest, proven), shown)
            }
        };
        let token = self.written.to_token(shown);
        if token != usual_token(shown) {
            uri.push(if self.location.is_none() { '&' } else { '?' });
            uri += "as=";
            uri += &token;
        }
        if next.is_some_and(reads_on) {
            uri.push(char::from(END));
        }
        uri
    }
}

/// The encoding that a URI has which says none.
fn usual_token(shown: Option<&str>) -> &'static str {
    match shown {
        Some(_) => "data-uri",
        None => "base64",
    }
}

/// Whether a byte could belong to the URI in front of it.
fn reads_on(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"?&=%.,_-~/:#+;@!$*".contains(&byte)
}

/// The beginnings of all URIs of references.
pub(super) struct Bases {
    location: Vec<u8>,
    is_public: bool,
}

impl Bases {
    pub(super) fn of(location: &Location) -> Self {
        Self {
            location: location.base().into_bytes(),
            is_public: matches!(location, Location::Public(_)),
        }
    }

    /// What to look for: where artifacts are, and the scheme of what has no address.
    pub(super) fn needles(&self) -> [&[u8]; 2] {
        [&self.location, SCHEME.as_bytes()]
    }

    /// Reads the URI at the start of `text`: what it says, its length, where a mark goes in, and
    /// the length of the marks there.
    pub(super) fn read(&self, text: &[u8]) -> Option<(Standing, usize, usize, usize)> {
        let (base, dropped) = match text.strip_prefix(&*self.location) {
            Some(_) => (self.location.len(), false),
            None if text.starts_with(DROPPED.as_bytes()) => (DROPPED.len(), true),
            None => return None,
        };
        let mut marks = 0;
        while let Some(after) = text
            .get(base + marks..)?
            .strip_prefix(UNTRUSTED.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"/"))
        {
            marks = text.len() - base - after.len();
        }
        let mut rest = text.get(base + marks..)?;
        let sharded = !dropped && !self.is_public;
        let shard = if sharded {
            let (shard, after) = rest.split_at_checked(3)?;
            rest = after;
            shard.strip_suffix(b"/")?
        } else {
            b""
        };
        let (hex, mut rest) = rest.split_at_checked(HEX_DIGITS)?;
        let digest: Digest = std::str::from_utf8(hex).ok()?.parse().ok()?;
        if !hex.starts_with(shard) {
            return None;
        }
        let mut shown = None;
        if !sharded {
            let after = rest.strip_prefix(b".")?;
            let is_part = |c: &&u8| c.is_ascii_lowercase() || c.is_ascii_digit();
            let len = after.iter().take(10).take_while(is_part).count();
            let (name, after) = after.split_at_checked(len)?;
            rest = after;
            shown = Some(extension::media_type(std::str::from_utf8(name).ok()?)?);
        }
        let query = match rest.strip_prefix(b"?") {
            None => None,
            Some(after) => {
                let is_part = |c: &&u8| c.is_ascii_alphanumeric() || b"&=%.-".contains(c);
                let len = after.iter().take_while(is_part).count();
                let (query, after) = after.split_at_checked(len)?;
                rest = after;
                Some(std::str::from_utf8(query).ok()?)
            }
        };
        let written = Written::parse(token(query, dropped, usual_token(shown))?, shown)?;
        match rest.first() {
            Some(&END) => rest = rest.get(1..)?,
            Some(&next) if reads_on(next) => return None,
            _ => {}
        }
        let standing = Standing {
            digest,
            dropped,
            written,
        };
        Some((standing, text.len() - rest.len(), base, marks))
    }

    /// The mark of a URI that a sender wrote.
    pub(super) fn mark() -> Vec<u8> {
        format!("{UNTRUSTED}/").into_bytes()
    }
}

/// Whether what begins with the scheme at `at` can be ours: others use it, too.
pub(super) fn is_of_scheme(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.starts_with(DROPPED.as_bytes()) || rest.starts_with(inline::STEM.as_bytes())
}

/// The token that a query says, or the usual one; `None` where the query is none of ours.
fn token<'q>(query: Option<&'q str>, dropped: bool, usual: &'q str) -> Option<&'q str> {
    let unusual = |token: &&str| *token != usual;
    if !dropped {
        return match query {
            None => Some(usual),
            Some(query) => query.strip_prefix("as=").filter(unusual),
        };
    }
    let query = query?;
    let (size, token) = match query.split_once('&') {
        None => (query, usual),
        Some((size, after)) => (size, after.strip_prefix("as=").filter(unusual)?),
    };
    let size = size.strip_prefix("size=")?;
    let number: u64 = size.parse().ok()?;
    (number.to_string() == size).then_some(token)
}
