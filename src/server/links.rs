//! Links that open one artifact for a while, for whoever has them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use super::address::Address;
use super::config::LinksConfig;

/// The name of the key that only this process knows.
const OWN: &str = "process";

/// Signs links, and knows its own.
pub(super) struct Links {
    /// The first signs.
    keys: Vec<(String, Vec<u8>)>,
    lifetime: Duration,
}

/// What a link lets its owner do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// See it, as far as a browser may show it.
    Inline,
    /// Keep it as a file.
    Attachment,
}

impl Disposition {
    fn name(self) -> &'static str {
        match self {
            Self::Inline => "inline",
            Self::Attachment => "attachment",
        }
    }
}

/// What a query says of a link.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signature {
    /// Nothing.
    None,
    /// That it is one of ours, made with the key of this name.
    Good(String),
    /// What is not true, or not any more.
    Bad,
}

impl Links {
    pub(super) fn new(config: &LinksConfig) -> Self {
        let keys = config.keys.iter();
        let mut keys: Vec<_> = keys
            .map(|key| (key.id.clone(), key.secret.expose().as_bytes().to_vec()))
            .collect();
        if keys.is_empty() {
            let secret: [u8; 32] = rand::random();
            keys.push((OWN.to_owned(), secret.to_vec()));
        }
        Self {
            keys,
            lifetime: config.lifetime,
        }
    }

    /// The query of a link to an artifact, and when it ends.
    pub(super) fn sign(&self, address: &Address, disposition: Disposition) -> (String, Timestamp) {
        let ends = Timestamp::now().saturating_add(self.lifetime);
        let ends = ends.unwrap_or(Timestamp::MAX);
        let Some((id, secret)) = self.keys.first() else {
            return (String::new(), ends);
        };
        let second = ends.as_second();
        let mac = mac(secret, id, address, disposition, second);
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        let download = match disposition {
            Disposition::Inline => "",
            Disposition::Attachment => "&download",
        };
        let query = format!("exp={second}&kid={id}&sig={signature}{download}");
        (query, ends)
    }

    /// What `query` says, about this artifact and to be used like that.
    pub(super) fn check(
        &self,
        query: &str,
        address: &Address,
        disposition: Disposition,
    ) -> Signature {
        let [exp, kid, sig] = ["exp", "kid", "sig"].map(|name| parameter(query, name));
        let (exp, kid, sig) = match (exp, kid, sig) {
            (Some(exp), Some(kid), Some(sig)) => (exp, kid, sig),
            (None, None, None) => return Signature::None,
            _ => return Signature::Bad,
        };
        let key = self.keys.iter().find(|(id, _)| id == kid);
        let (Some((id, secret)), Ok(ends), Ok(signature)) =
            (key, exp.parse::<i64>(), URL_SAFE_NO_PAD.decode(sig))
        else {
            return Signature::Bad;
        };
        // Compared in the same time whatever is wrong with it.
        let is_ours = mac(secret, id, address, disposition, ends)
            .verify_slice(&signature)
            .is_ok();
        if is_ours && Timestamp::now().as_second() < ends {
            Signature::Good(id.clone())
        } else {
            Signature::Bad
        }
    }
}

/// The value of a parameter of a query; empty where it stands alone.
pub(super) fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|parameter| {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (key == name).then_some(value)
    })
}

/// Over all that a link allows; none of the parts has a line break in it. Of media types there is none to choose: the
/// digest says which bytes come, and these say what they are. `GET` stands for reading, of which HEAD is a part.
fn mac(
    secret: &[u8],
    id: &str,
    address: &Address,
    disposition: Disposition,
    ends: i64,
) -> Hmac<Sha256> {
    let disposition = disposition.name();
    let Address { tenant, digest } = address;
    let text = format!("slimspan link 1\nGET\n{tenant}\n{digest}\n{disposition}\n{ends}\n{id}");
    // It takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| never());
    mac.update(text.as_bytes());
    mac
}

#[cold]
fn never() -> Hmac<Sha256> {
    Hmac::new(&rand::random::<[u8; 64]>().into())
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|(id, _)| id).collect();
        f.debug_struct("Links")
            .field("keys", &ids)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use slimspan_artifact::Digest;

    use super::*;
    use crate::config::Secret;
    use crate::server::config::LinkKeyConfig;

    fn links(ids: &[&str], lifetime: Duration) -> Links {
        let key = |id: &&str| LinkKeyConfig {
            id: (*id).to_owned(),
            secret: Secret::new(id.repeat(32)),
        };
        Links::new(&LinksConfig {
            keys: ids.iter().map(key).collect(),
            lifetime,
        })
    }

    fn address(tenant: &str, bytes: &[u8]) -> Address {
        Address {
            tenant: tenant.parse().unwrap(),
            digest: Digest::of(bytes),
        }
    }

    #[test]
    fn a_link_opens_what_it_was_made_for() {
        use Disposition::{Attachment, Inline};
        let links = links(&["a"], Duration::from_mins(1));
        let of_acme = address("acme", b"one");
        let (query, ends) = links.sign(&of_acme, Inline);
        assert!(ends > Timestamp::now());
        let good = Signature::Good("a".to_owned());
        assert_eq!(links.check(&query, &of_acme, Inline), good);
        assert_eq!(links.check(&query, &of_acme, Attachment), Signature::Bad);
        for other in [address("beta", b"one"), address("acme", b"two")] {
            assert_eq!(links.check(&query, &other, Inline), Signature::Bad);
        }
        let (query, _) = links.sign(&of_acme, Attachment);
        assert!(query.ends_with("&download"));
        assert_eq!(links.check(&query, &of_acme, Attachment), good);
    }

    #[test]
    fn what_is_changed_or_over_opens_nothing() {
        let links = links(&["a"], Duration::from_mins(1));
        let address = address("acme", b"one");
        let (query, ends) = links.sign(&address, Disposition::Inline);
        let exp = format!("exp={}", ends.as_second());
        let later = query.replace(&exp, &format!("exp={}", ends.as_second() + 60));
        let cut = &query[..query.len() - 1];
        let without = query.replace("&kid=a", "");
        let other = query.replace("kid=a", "kid=b");
        for query in [&later, cut, &without, &other, "sig=", "exp=&kid=&sig="] {
            let checked = links.check(query, &address, Disposition::Inline);
            assert_eq!(checked, Signature::Bad, "{query}");
        }
        let none = links.check("as=base64&raw", &address, Disposition::Inline);
        assert_eq!(none, Signature::None);
        let over = self::links(&["a"], Duration::from_nanos(1));
        let (query, _) = over.sign(&address, Disposition::Inline);
        let checked = over.check(&query, &address, Disposition::Inline);
        assert_eq!(checked, Signature::Bad);
    }

    #[test]
    fn keys_are_rotated() {
        let (before, both, after) = (
            links(&["old"], Duration::from_mins(1)),
            links(&["new", "old"], Duration::from_mins(1)),
            links(&["new"], Duration::from_mins(1)),
        );
        let address = address("default", b"one");
        let (old, _) = before.sign(&address, Disposition::Inline);
        let (new, _) = both.sign(&address, Disposition::Inline);
        let opens = |links: &Links, query: &str| {
            links.check(query, &address, Disposition::Inline) != Signature::Bad
        };
        assert!(opens(&both, &old) && opens(&both, &new) && opens(&after, &new));
        assert!(!opens(&after, &old));
        // Two processes without a key do not know each other's.
        let [one, two] = [(); 2].map(|()| links(&[], Duration::from_mins(1)));
        let (of_one, _) = one.sign(&address, Disposition::Inline);
        assert!(opens(&one, &of_one) && !opens(&two, &of_one));
    }
}
