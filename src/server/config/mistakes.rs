//! What is wrong with the configuration of an `artifact_server`.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderValue, Uri};

use super::{ArtifactServerConfig, LONGEST_LINK, host_of, is_unspecified, origin_of};
use crate::config::HostPort;

/// The shortest secret of signed links: as long as what it makes.
const SECRET: usize = 32;

impl ArtifactServerConfig {
    /// What is wrong with it, and at which keys.
    pub fn mistake(&self) -> Option<(Vec<&'static str>, String)> {
        self.openness()
            .or_else(|| self.names())
            .or_else(|| self.signatures())
            .or_else(|| self.publicity())
            .or_else(|| self.nowhere())
            .or_else(|| self.nameless())
    }

    /// Whether nobody on other machines can ask for anything, or say who they are.
    pub fn is_for_this_machine(&self) -> bool {
        self.auth.is_none() && self.reached().is_none() && self.known_elsewhere().is_none()
    }

    /// What is wrong with taking what is put at a receiver that listens there.
    pub fn mistake_at(&self, receiver: &HostPort) -> Option<String> {
        if self.auth.is_some() || self.open_to_everybody || is_loopback(&receiver.host) {
            return None;
        }
        Some(format!(
            "{receiver} can be reached from other machines, and without auth anybody there can store artifacts of \
             any tenant, and learn which there are: add auth to the artifact_server, listen on 127.0.0.1, or say \
             open_to_everybody: true there"
        ))
    }

    /// A listener that other machines reach.
    fn reached(&self) -> Option<(Vec<&'static str>, &HostPort)> {
        let mut endpoints = [
            (vec!["endpoint"], &self.endpoint),
            (vec!["pages", "endpoint"], &self.pages.endpoint),
        ]
        .into_iter();
        endpoints.find(|(_, endpoint)| !is_loopback(&endpoint.host))
    }

    fn openness(&self) -> Option<(Vec<&'static str>, String)> {
        if self.auth.is_some() || self.open_to_everybody {
            return None;
        }
        let (key, endpoint) = self.reached()?;
        let message = format!(
            "{endpoint} can be reached from other machines, and without auth anybody there can read and \
             store artifacts: add auth, listen on 127.0.0.1, or say open_to_everybody: true"
        );
        Some((key, message))
    }

    fn publicity(&self) -> Option<(Vec<&'static str>, String)> {
        if self.auth.is_some() || self.open_to_everybody {
            return None;
        }
        let (key, host) = self.known_elsewhere()?;
        let message = format!(
            "{host} is a name for other machines, and without auth whoever comes by it can read and store \
             artifacts: add auth, or say open_to_everybody: true"
        );
        Some((key, message))
    }

    /// A listener on all addresses of a machine is at none that a browser, or a reference, could be led to.
    fn nowhere(&self) -> Option<(Vec<&'static str>, String)> {
        let pages = &self.pages;
        let listeners = [
            (vec!["public_url"], &self.endpoint, &self.public_url),
            (
                vec!["pages", "public_url"],
                &pages.endpoint,
                &pages.public_url,
            ),
        ];
        let mut nowhere = listeners
            .into_iter()
            .filter(|(_, endpoint, url)| url.is_none() && is_unspecified(endpoint));
        let (key, endpoint, _) = nowhere.next()?;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let port = endpoint.port;
        let message = format!(
            "{endpoint} is all addresses of this machine, and none that a browser or a reference can lead to: say \
             where people reach it, such as {scheme}://files.example.com:{port}, or listen on one address"
        );
        Some((key, message))
    }

    /// A page says in its `Content-Security-Policy` from where it loads pictures, and an artifact in whose frames it may
    /// be. The grammar of that has names and nothing with a colon in it, so browsers pass over an IPv6 address there.
    fn nameless(&self) -> Option<(Vec<&'static str>, String)> {
        let mut frames = self.frame_ancestors.iter();
        if let Some(origin) =
            frames.find(|origin| host_of(origin).is_some_and(|host| is_ipv6(&host)))
        {
            let message = format!(
                "{origin} has an IPv6 address, which browsers pass over in a Content-Security-Policy: say \
                 the name of that host"
            );
            return Some((vec!["frame_ancestors"], message));
        }
        let (key, place, host) = if let Some(url) = &self.public_url {
            ("public_url", url.clone(), host_of(url)?)
        } else {
            let HostPort { host, .. } = &self.endpoint;
            ("endpoint", self.endpoint.to_string(), host.clone())
        };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let name = if is_loopback(&host) {
            "localhost"
        } else {
            "files.example.com"
        };
        is_ipv6(&host).then(|| {
            let message = format!(
                "{place} is an IPv6 address, from which browsers show no picture, sound or film in a page: none can \
                 stand in a Content-Security-Policy. Say a public_url with a name, such as {scheme}://{name}:{}, or \
                 listen on 127.0.0.1",
                self.endpoint.port
            );
            (vec![key], message)
        })
    }

    /// A name that others use leads to a proxy in front of a listener that only this machine reaches.
    fn known_elsewhere(&self) -> Option<(Vec<&'static str>, String)> {
        let urls = [
            (vec!["public_url"], &self.public_url),
            (vec!["pages", "public_url"], &self.pages.public_url),
        ];
        let urls = urls
            .into_iter()
            .filter_map(|(key, url)| Some((key, host_of(url.as_deref()?)?)));
        let hosts = self.allowed_hosts.iter().cloned();
        let hosts = hosts.map(|host| (vec!["allowed_hosts"], host));
        urls.chain(hosts).find(|(_, host)| !is_loopback(host))
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

/// Whether a host, without brackets, is an address of IPv6.
fn is_ipv6(host: &str) -> bool {
    host.parse::<Ipv6Addr>().is_ok()
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

#[cfg(test)]
mod tests {
    use super::super::loopback;
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
    fn what_listens_everywhere_says_where_it_is() {
        for (endpoint, has_place) in [
            ("127.0.0.1:4319", true),
            ("10.0.0.1:4319", true),
            ("files.example.com:4319", true),
            ("0.0.0.0:4319", false),
            ("[::]:4319", false),
            ("0.0.0.0:0", false),
        ] {
            let mut config = at(endpoint);
            config.open_to_everybody = true;
            let mistake = config.mistake();
            assert_eq!(mistake.is_none(), has_place, "{endpoint}");
            if let Some((key, told)) = mistake {
                assert_eq!(key, ["public_url"], "{told}");
            }
            let endpoint = config.endpoint.clone();
            config.public_url = Some("https://files.example.com".to_owned());
            assert_eq!(config.mistake(), None, "{endpoint}");
            config.pages.endpoint = endpoint;
            let mistake = config.mistake();
            assert_eq!(mistake.is_none(), has_place, "{config:?}");
            if let Some((key, told)) = mistake {
                assert_eq!(key, ["pages", "public_url"], "{told}");
            }
            config.pages.public_url = Some("https://pages.example.com".to_owned());
            assert_eq!(config.mistake(), None, "{config:?}");
        }
    }

    #[test]
    fn artifacts_are_where_a_page_can_say_that_it_loads_them_from() {
        for (endpoint, url, wrong) in [
            ("127.0.0.1:4319", None, None),
            ("[::1]:4319", None, Some("endpoint")),
            ("[::1]:4319", Some("http://localhost:4319"), None),
            ("[::ffff:127.0.0.1]:4319", None, Some("endpoint")),
            (
                "127.0.0.1:4319",
                Some("http://[::1]:4319"),
                Some("public_url"),
            ),
        ] {
            let mut config = at(endpoint);
            config.public_url = url.map(str::to_owned);
            let mistake = config.mistake();
            let key = mistake.as_ref().map(|(key, _)| key.as_slice());
            assert_eq!(key, wrong.as_ref().map(std::slice::from_ref), "{endpoint}");
            if let Some((_, told)) = mistake {
                assert!(told.contains("http://localhost:4319"), "{told}");
            }
        }
        // Of themselves they say it without an address.
        let mut config = ArtifactServerConfig::default();
        config.pages.endpoint = at("[::1]:4320").endpoint;
        assert_eq!(config.mistake(), None);
        config.frame_ancestors = vec!["http://[::1]:3000".to_owned()];
        let (key, _) = config.mistake().unwrap_or_default();
        assert_eq!(key, ["frame_ancestors"]);
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
