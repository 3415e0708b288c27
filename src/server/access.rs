//! Who asks, and whose artifacts they may see.

use http::{HeaderMap, HeaderValue};

use crate::auth::Gate;
use crate::catalog::Tenants;
use crate::client::Client;
use crate::refusal::Refusal;
use crate::tenant::TenantId;

/// Tells who asks.
#[derive(Debug)]
pub(super) struct Access {
    gate: Gate,
    deletion: Deletion,
    /// Whether a user is the tenant of that name.
    users_are_tenants: bool,
}

/// Who may delete.
#[derive(Debug)]
pub enum Deletion {
    /// Whoever may read: only this machine can ask.
    Readers,
    /// Nobody here.
    Nobody,
    /// Those who are let in there.
    These(Gate),
}

/// Why somebody may not delete.
#[derive(Debug)]
pub(super) enum NotDeleted {
    /// There is no good credential, or none that could be looked at.
    Unknown(Refusal),
    /// There is one, and it is for reading.
    Forbidden,
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
    pub(super) fn new(gate: Gate, deletion: Deletion, users_are_tenants: bool) -> Self {
        Self {
            gate,
            deletion,
            users_are_tenants,
        }
    }

    /// Whether it lets in who shows nothing.
    pub(super) fn is_open(&self) -> bool {
        self.gate.is_open()
    }

    /// Who sends a request with these headers.
    pub(super) async fn reader(&self, headers: &HeaderMap) -> Result<Reader, Refusal> {
        self.known(&*self.gate.admit(headers).await?)
    }

    /// The same of a person with a browser, which sends a name and a password.
    pub(super) async fn person(&self, headers: &HeaderMap) -> Result<Reader, Refusal> {
        self.known(&*self.gate.admit_person(headers).await?)
    }

    /// Who wants to delete something with a request with these headers.
    pub(super) async fn deleter(&self, headers: &HeaderMap) -> Result<Reader, NotDeleted> {
        let refused = match &self.deletion {
            Deletion::Readers => return self.reader(headers).await.map_err(NotDeleted::Unknown),
            Deletion::Nobody => None,
            Deletion::These(gate) => match gate.admit(headers).await {
                Ok(client) => return self.known(&client).map_err(NotDeleted::Unknown),
                // Nobody knows yet who that is: it may be somebody who may.
                Err(refusal) if refusal.is_retryable() => {
                    return Err(NotDeleted::Unknown(refusal));
                }
                Err(refusal) => Some(refusal),
            },
        };
        match (refused, self.is_open()) {
            // Everybody may read, and to delete is for those who show something.
            (Some(refusal), true) => Err(NotDeleted::Unknown(refusal)),
            _ => match self.reader(headers).await {
                Ok(_) => Err(NotDeleted::Forbidden),
                Err(refusal) => Err(NotDeleted::Unknown(refusal)),
            },
        }
    }

    fn known(&self, client: &Client) -> Result<Reader, Refusal> {
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
        // Who may delete shows something also where everybody may read.
        let name = match client.auth("token") {
            Some(number) => format!("token {number}"),
            None => "anybody".to_owned(),
        };
        let scope = Scope::All;
        Ok(Reader { name, scope })
    }

    /// What who has no credential is told in `WWW-Authenticate`.
    pub(super) fn challenge(&self, refusal: &Refusal) -> Option<HeaderValue> {
        self.gate.challenge(refusal)
    }

    /// The same to who wants to delete something.
    pub(super) fn challenge_to_deleters(&self, refusal: &Refusal) -> Option<HeaderValue> {
        match &self.deletion {
            Deletion::These(gate) => gate.challenge(refusal),
            Deletion::Readers | Deletion::Nobody => self.gate.challenge(refusal),
        }
    }

    /// What a browser is told beside that, so that it asks its person.
    pub(super) fn challenge_to_people(&self, refusal: &Refusal) -> Option<HeaderValue> {
        self.gate.challenge_to_people(refusal)
    }
}

/// A good credential of somebody who is no tenant.
fn nobody() -> Refusal {
    Refusal::unauthenticated("the credential is that of nobody who has artifacts")
}
