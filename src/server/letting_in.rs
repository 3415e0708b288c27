//! Who is let in, at both listeners, and what those are told who are not.

use std::io;
use std::net::IpAddr;

use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};

use super::Server;
use super::access::{NotDeleted, Reader, Scope};
use super::artifacts::{Refused, later, refusal};
use crate::peer::host;
use crate::refusal::Refusal;

impl Server {
    /// Refuses what is asked for by a name that is not known here: a page of a stranger may let its own
    /// name lead to this machine.
    pub(super) fn hosts_allow(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let of_uri = uri.host();
        let mut given = headers.get_all(header::HOST).iter();
        let host = given.next().map(|host| host.to_str().unwrap_or_default());
        let is_one = given.next().is_none();
        match of_uri.or(host) {
            Some(host) if is_one && self.hosts.allow(host) => Ok(()),
            _ => Err(Box::new(refusal(
                StatusCode::MISDIRECTED_REQUEST,
                "this name is not known here: see allowed_hosts of the artifact_server\n",
            ))),
        }
    }

    /// Who asks; an answer for who has no good credential.
    pub(super) async fn reader(&self, headers: &HeaderMap) -> Result<Reader, Refused> {
        let reader = self.access.reader(headers).await;
        reader.map_err(|why| not_let_in(&why, self.access.challenge(&why)).into())
    }

    /// Who opens a page; an answer for who has no good credential.
    pub(super) async fn person(&self, headers: &HeaderMap) -> Result<Reader, Refused> {
        self.access.person(headers).await.map_err(|why| {
            let mut response = not_let_in(&why, self.access.challenge(&why));
            if let Some(challenge) = self.access.challenge_to_people(&why) {
                let headers = response.headers_mut();
                headers.append(header::WWW_AUTHENTICATE, challenge);
            }
            response.into()
        })
    }

    /// Who wants to delete something; an answer for who may not.
    pub(super) async fn deleter(&self, headers: &HeaderMap) -> Result<Reader, Refused> {
        self.access.deleter(headers).await.map_err(|why| {
            let response = match why {
                NotDeleted::Unknown(why) => {
                    not_let_in(&why, self.access.challenge_to_deleters(&why))
                }
                NotDeleted::Forbidden => {
                    let id = &self.id;
                    let told = format!(
                        "this credential is not for deleting: see deletion.auth of extensions.{id}\n"
                    );
                    refusal(StatusCode::FORBIDDEN, told)
                }
            };
            response.into()
        })
    }

    /// Refuses who asks too often.
    pub(super) fn rate_allows(&self, reader: &Reader, peer: IpAddr) -> Result<(), Refused> {
        if self.rate.admit(&self.payer(reader, peer)) {
            return Ok(());
        }
        let mut response = later("too many requests: see max_requests_per_second\n");
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        Err(response.into())
    }

    /// Who has a share of what there is: by their credential, or by where they are.
    pub(super) fn payer(&self, reader: &Reader, peer: IpAddr) -> String {
        payer(reader, peer, self.access.is_open())
    }

    /// Nobody reads what cannot be written down.
    pub(super) fn was_told(&self, told: io::Result<()>) -> Result<(), Refused> {
        told.map_err(|error| {
            let id = &self.id;
            tracing::error!("extensions.{id}.audit_log cannot be written: {error}");
            Box::new(later("the audit log cannot be written\n"))
        })
    }
}

/// Who has a share, where everybody may come without a credential or not.
fn payer(reader: &Reader, peer: IpAddr, is_open: bool) -> String {
    let place = host(peer);
    if is_open {
        // Anybody could make links, of as many tenants as they like.
        return place.to_string();
    }
    match &reader.scope {
        // All links of all tenants may come from one proxy.
        Scope::One(tenant) if reader.name.starts_with("link ") => {
            format!("link of {tenant} at {place}")
        }
        _ => reader.name.clone(),
    }
}

/// What who is not let in is told: to show a credential, or to come again where there was no time to look at it.
fn not_let_in(why: &Refusal, challenge: Option<HeaderValue>) -> Response {
    if why.is_retryable() {
        return later(format!("{why}\n"));
    }
    let mut response = refusal(StatusCode::UNAUTHORIZED, "a credential is needed here\n");
    if let Some(challenge) = challenge {
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn reader(name: &str, tenant: Option<&str>) -> Reader {
        Reader {
            name: name.to_owned(),
            scope: tenant.map_or(Scope::All, |tenant| Scope::One(tenant.parse().unwrap())),
        }
    }

    fn of(reader: &Reader, peer: &str, is_open: bool) -> String {
        payer(reader, peer.parse().unwrap(), is_open)
    }

    #[test]
    fn who_is_known_has_one_share_wherever_they_are() {
        let acme = reader("tenant acme", Some("acme"));
        assert_eq!(of(&acme, "10.0.0.1", false), of(&acme, "10.0.0.2", false));
        let beta = reader("tenant beta", Some("beta"));
        assert_ne!(of(&acme, "10.0.0.1", false), of(&beta, "10.0.0.1", false));
    }

    #[test]
    fn who_is_not_known_has_the_share_of_their_host() {
        let anybody = reader("anybody", None);
        let of = |peer| of(&anybody, peer, true);
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
    }

    #[test]
    fn links_of_one_tenant_leave_those_of_another_their_share() {
        let [acme, beta] = ["acme", "beta"].map(|tenant| reader("link 2026-11", Some(tenant)));
        let of = |reader, peer| of(reader, peer, false);
        assert_ne!(of(&acme, "10.0.0.1"), of(&beta, "10.0.0.1"));
        assert_ne!(of(&acme, "10.0.0.1"), of(&acme, "10.0.0.2"));
        let [one, another] = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2"];
        assert_eq!(of(&acme, one), of(&acme, another));
    }

    #[test]
    fn who_can_make_links_for_any_tenant_has_no_more_by_them() {
        let [acme, beta] = ["acme", "beta"].map(|tenant| reader("link 2026-11", Some(tenant)));
        assert_eq!(of(&acme, "10.0.0.1", true), of(&beta, "10.0.0.1", true));
    }
}
