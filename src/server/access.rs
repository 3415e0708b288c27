//! Who asks, and whose artifacts they may see.

use http::{HeaderMap, HeaderValue};

use crate::auth::Gate;
use crate::catalog::Tenants;
use crate::refusal::Refusal;
use crate::tenant::TenantId;

/// Tells who asks.
#[derive(Debug)]
pub(super) struct Access {
    gate: Gate,
    /// Whether a user is the tenant of that name.
    users_are_tenants: bool,
}

/// Somebody who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Who it is, for the audit log.
    pub name: String,
    /// Whose artifacts it may see.
    pub scope: Scope,
}

/// Whose artifacts somebody may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    All,
    /// Those of one tenant.
    One(TenantId),
}

impl Scope {
    /// Whether those of `tenant` are among them.
    pub fn includes(&self, tenant: &TenantId) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == tenant,
        }
    }

    /// The same for the catalog.
    pub(super) fn tenants(&self) -> Tenants {
        match self {
            Self::All => Tenants::All,
            Self::One(one) => Tenants::one(one.clone()),
        }
    }

    /// The tenant that is meant where none is named.
    pub fn usual(&self) -> TenantId {
        match self {
            Self::All => TenantId::default(),
            Self::One(one) => one.clone(),
        }
    }
}

impl Access {
    pub(super) fn new(gate: Gate, users_are_tenants: bool) -> Self {
        Self {
            gate,
            users_are_tenants,
        }
    }

    /// Whether it lets in who shows nothing.
    pub(super) fn is_open(&self) -> bool {
        self.gate.is_open()
    }

    /// Who sends a request with these headers.
    pub(super) async fn reader(&self, headers: &HeaderMap) -> Result<Reader, Refusal> {
        let client = self.gate.admit(headers).await?;
        if let Some(tenant) = client.auth("tenant") {
            let one = tenant.parse().map_err(|_| nobody())?;
            return Ok(Reader {
                name: format!("tenant {tenant}"),
                scope: Scope::One(one),
            });
        }
        if let Some(user) = client.auth("username") {
            let scope = if self.users_are_tenants {
                Scope::One(user.parse().map_err(|_| nobody())?)
            } else {
                Scope::All
            };
            let name = format!("user {user}");
            return Ok(Reader { name, scope });
        }
        let name = if self.is_open() { "anybody" } else { "token" };
        Ok(Reader {
            name: name.to_owned(),
            scope: Scope::All,
        })
    }

    /// What who has no credential is told in `WWW-Authenticate`.
    pub(super) fn challenge(&self, refusal: &Refusal) -> Option<HeaderValue> {
        self.gate.challenge(refusal)
    }
}

/// A good credential of somebody who is no tenant.
fn nobody() -> Refusal {
    Refusal::unauthenticated("the credential is that of nobody who has artifacts")
}
