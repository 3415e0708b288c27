//! Who may send, and as whom requests leave: the Collector's authenticator extensions.
//!
//! Credentials are compared without telling how much of them was right, are kept where no log sees
//! them, and are checked before anything of a request is read but its headers.

mod basic;
mod bearer;
pub mod config;
mod error;
mod gate;
mod headers_setter;
mod htpasswd;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

pub use basic::{BasicClient, BasicServer};
pub use bearer::BearerToken;
pub use error::AuthError;
pub use gate::Gate;
pub use headers_setter::HeadersSetter;

use crate::client::Client;
use crate::refusal::Refusal;

/// What tells good senders from others.
#[derive(Debug, Clone)]
pub enum Authenticator {
    /// `bearertokenauth`
    Bearer(Arc<BearerToken>),
    /// `basicauth` with `htpasswd`
    Basic(Arc<BasicServer>),
}

/// What says to a backend who sends.
#[derive(Debug, Clone)]
pub enum Authorizer {
    /// `bearertokenauth`
    Bearer(Arc<BearerToken>),
    /// `basicauth` with `client_auth`
    Basic(Arc<BasicClient>),
    /// `headers_setter`
    Headers(Arc<HeadersSetter>),
}

impl Authorizer {
    /// Adds to the headers of a request that `client` has sent.
    pub fn apply(&self, headers: &mut HeaderMap, client: &Client) -> Result<(), Refusal> {
        match self {
            Self::Bearer(bearer) => bearer.apply(headers),
            Self::Basic(basic) => basic.apply(headers),
            Self::Headers(setter) => setter.apply(headers, client)?,
        }
        Ok(())
    }

    /// Refuses a client whose headers cannot be passed on, while there is somebody to be told.
    pub fn check(&self, client: &Client) -> Result<(), Refusal> {
        match self {
            Self::Bearer(_) | Self::Basic(_) => Ok(()),
            Self::Headers(setter) => setter.check(client),
        }
    }

    /// The headers of senders that it needs to know.
    pub fn context(&self) -> Vec<HeaderName> {
        match self {
            Self::Bearer(_) | Self::Basic(_) => Vec::new(),
            Self::Headers(setter) => setter.context(),
        }
    }
}

/// Who a request is from, and what makes that known to a backend.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// What makes it known, if anything does.
    pub authorizer: Option<&'a Authorizer>,
    /// Who it is.
    pub client: &'a Client,
}

impl Credentials<'_> {
    /// Adds to the headers of a request.
    pub fn apply(&self, headers: &mut HeaderMap) -> Result<(), Refusal> {
        match self.authorizer {
            Some(authorizer) => authorizer.apply(headers, self.client),
            None => Ok(()),
        }
    }
}

/// A value that is shown to nobody but the other side.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
