//! Where requests are let in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Authenticator;
use super::basic::{self, BasicServer};
use crate::client::Client;
use crate::refusal::Refusal;
use crate::telemetry::Seldom;

/// What a listener asks of requests before it reads them, and what it remembers of their senders.
#[derive(Debug, Default)]
pub struct Gate {
    /// The path of the listener in the configuration.
    listener: String,
    authenticator: Option<Authenticator>,
    /// Whether processors and exporters may see headers.
    include_metadata: bool,
    refused: Mutex<Seldom>,
}

impl Gate {
    /// The gate of `listener`, which lets everybody in unless there is an authenticator.
    pub fn new(
        listener: impl Into<String>,
        authenticator: Option<Authenticator>,
        include_metadata: bool,
    ) -> Self {
        Self {
            listener: listener.into(),
            authenticator,
            include_metadata,
            refused: Mutex::default(),
        }
    }

    /// Whether it lets everybody in.
    pub fn is_open(&self) -> bool {
        self.authenticator.is_none()
    }

    /// Who sends a request with these headers; refuses who has no good credential.
    pub async fn admit(&self, headers: &HeaderMap) -> Result<Arc<Client>, Refusal> {
        let says = match &self.authenticator {
            None => Ok(BTreeMap::new()),
            Some(Authenticator::Bearer(bearer)) => bearer.authenticate(headers),
            Some(Authenticator::Basic(basic)) => basic.authenticate(headers).await,
        };
        self.client(headers, says)
    }

    /// The same for people with browsers, which know names and passwords: where there are tokens, the
    /// password is one, whatever the name is.
    pub async fn admit_person(&self, headers: &HeaderMap) -> Result<Arc<Client>, Refusal> {
        let Some(Authenticator::Bearer(bearer)) = &self.authenticator else {
            return self.admit(headers).await;
        };
        let mut given = headers.get_all(AUTHORIZATION).iter();
        match (given.next().and_then(basic::decode), given.next()) {
            (Some(credential), None) => {
                let token = credential.split_once(':').map(|(_, token)| token);
                let says = bearer.authenticate_token(token.unwrap_or_default());
                self.client(headers, says)
            }
            _ => self.admit(headers).await,
        }
    }

    fn client(
        &self,
        headers: &HeaderMap,
        says: Result<BTreeMap<String, String>, Refusal>,
    ) -> Result<Arc<Client>, Refusal> {
        let says = says.inspect_err(|refusal| self.tell(refusal))?;
        let client = Client::unknown().with_auth(says);
        Ok(Arc::new(if self.include_metadata {
            client.with_metadata(by_themselves(headers))
        } else {
            client
        }))
    }

    /// What a sender is told in `WWW-Authenticate`, if `refusal` is for want of a credential.
    pub fn challenge(&self, refusal: &Refusal) -> Option<HeaderValue> {
        if !refusal.is_for_want_of_credential() {
            return None;
        }
        match self.authenticator.as_ref()? {
            Authenticator::Bearer(bearer) => Some(bearer.challenge()),
            Authenticator::Basic(_) => Some(BasicServer::challenge()),
        }
    }

    /// What a browser is told beside that, so that it asks for a password.
    pub fn challenge_to_people(&self, refusal: &Refusal) -> Option<HeaderValue> {
        let is_for_tokens = matches!(self.authenticator, Some(Authenticator::Bearer(_)));
        (is_for_tokens && refusal.is_for_want_of_credential()).then(BasicServer::challenge)
    }

    /// Whoever runs this has to know of senders that are not let in, but not of each request.
    fn tell(&self, refusal: &Refusal) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = refused.occurred() {
            let listener = &self.listener;
            tracing::warn!("{listener}: {times} requests were not let in, the last: {refusal}");
        }
    }
}

/// The same headers in memory of their own: the values of HTTP/1 are parts of all that was read with them, and may be
/// kept for long.
fn by_themselves(headers: &HeaderMap) -> HeaderMap {
    let copies = headers.iter().map(|(name, value)| {
        let mut copy = HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
        copy.set_sensitive(value.is_sensitive());
        (name.clone(), copy)
    });
    copies.collect()
}

/// The only value of a header.
pub(super) fn only<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<&'h HeaderValue, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(Refusal::unauthenticated(format!(
            "the request has no {name} header, and this receiver wants a credential there"
        ))),
        (Some(_), Some(_)) => Err(Refusal::unauthenticated(format!(
            "the request has more than one {name} header"
        ))),
    }
}

/// What is told of a credential that is no good. Nothing of it is repeated.
pub(super) fn invalid(name: &HeaderName) -> Refusal {
    Refusal::unauthenticated(format!("the credential in the {name} header is not valid"))
}
