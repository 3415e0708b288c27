//! The authenticators.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::StartError;
use crate::auth::config::AuthConfig;
use crate::auth::{
    AuthError, Authenticator, Authorizer, BasicClient, BasicServer, BearerToken, HeadersSetter,
};
use crate::config::{ComponentId, Config, ExtensionConfig};

/// The authenticators of a configuration, each of which may serve many.
#[derive(Debug, Default)]
pub(super) struct Auth {
    of_senders: BTreeMap<ComponentId, Authenticator>,
    of_backends: BTreeMap<ComponentId, Authorizer>,
}

impl Auth {
    /// Reads what the extensions name.
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        let mut auth = Self::default();
        for (id, extension) in config.started_extensions() {
            let opened = auth.add(id, extension);
            opened.map_err(|reason| StartError::Auth {
                id: id.clone(),
                reason,
            })?;
        }
        // Those that ask others come after these, and the last of a chain asks nobody.
        let started = config.started_extensions();
        let setters = started.filter_map(|(id, extension)| match extension {
            ExtensionConfig::HeadersSetter(setter) => Some((id, setter)),
            _ => None,
        });
        let mut left: Vec<_> = setters.collect();
        while !left.is_empty() {
            let before = left.len();
            let mut failed = None;
            left.retain(|(id, setter)| {
                let first = setter.additional_auth.as_ref();
                let known = first.map(|first| auth.of_backends.get(first).cloned());
                if let Some(None) = known {
                    return true;
                }
                let name = format!("extensions.{id}");
                match HeadersSetter::new(&name, &setter.headers, known.flatten()) {
                    Ok(setter) => {
                        let setter = Authorizer::Headers(Arc::new(setter));
                        auth.of_backends.insert((*id).clone(), setter);
                    }
                    Err(reason) => {
                        let id = (*id).clone();
                        failed = Some(StartError::Auth { id, reason });
                    }
                }
                false
            });
            if let Some(failed) = failed {
                return Err(failed);
            }
            // The configuration has no circle.
            if left.len() == before {
                break;
            }
        }
        Ok(auth)
    }

    fn add(&mut self, id: &ComponentId, extension: &ExtensionConfig) -> Result<(), AuthError> {
        let name = format!("extensions.{id}");
        match extension {
            ExtensionConfig::BearerToken(config) => {
                let bearer = Arc::new(BearerToken::new(name, config)?);
                let of_senders = Authenticator::Bearer(Arc::clone(&bearer));
                self.of_senders.insert(id.clone(), of_senders);
                let of_backends = Authorizer::Bearer(bearer);
                self.of_backends.insert(id.clone(), of_backends);
            }
            ExtensionConfig::BasicAuth(config) => {
                if let Some(server) = BasicServer::new(name.clone(), config)? {
                    let of_senders = Authenticator::Basic(Arc::new(server));
                    self.of_senders.insert(id.clone(), of_senders);
                }
                if let Some(client) = &config.client_auth {
                    let client = Arc::new(BasicClient::new(name, client)?);
                    self.of_backends
                        .insert(id.clone(), Authorizer::Basic(client));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What a receiver's `auth` names.
    pub(super) fn of_senders(&self, config: Option<&AuthConfig>) -> Option<Authenticator> {
        self.of_senders.get(&config?.authenticator).cloned()
    }

    /// What an exporter's `auth` names.
    pub(super) fn of_backend(&self, config: Option<&AuthConfig>) -> Option<Authorizer> {
        self.of_backends.get(&config?.authenticator).cloned()
    }
}
