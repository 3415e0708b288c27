//! Who asks for credentials, and who gives them.

use http::HeaderName;

use super::{Check, not_configured, wrong_type};
use crate::auth::config::{AuthConfig, is_credential};
use crate::config::components::{Component, ExporterConfig, ExtensionConfig, ReceiverConfig};
use crate::config::id::ComponentId;
use crate::config::path::KeyPath;

impl Check<'_> {
    pub(super) fn authenticators(&mut self) {
        let config = self.config;
        for (id, extension) in &config.extensions {
            let path = KeyPath::of([ExtensionConfig::SECTION]).key(id);
            match extension {
                ExtensionConfig::BearerToken(bearer) => {
                    if let Some((key, message)) = bearer.mistake() {
                        self.report(path.key(key), message);
                    }
                }
                ExtensionConfig::BasicAuth(basic) => {
                    if let Some((keys, message)) = basic.mistake() {
                        let path = keys.iter().fold(path, |path, key| path.key(key));
                        self.report(path, message);
                    }
                }
                ExtensionConfig::HeadersSetter(setter) => {
                    if setter.headers.is_empty() {
                        self.report(path.key("headers"), "needs a header to set");
                    }
                    for (index, header) in setter.headers.iter().enumerate() {
                        if let Some((key, message)) = header.mistake() {
                            self.report(path.key("headers").index(index).key(key), message);
                        }
                    }
                    if let Some(first) = &setter.additional_auth {
                        let path = path.key("additional_auth");
                        if self.leads_back_to(id, first) {
                            self.report(path, format!("\"{first}\" leads back to \"{id}\""));
                        } else {
                            self.authorizer(path, first);
                        }
                    }
                }
                _ => {}
            }
        }
        for (id, receiver) in &config.receivers {
            let ReceiverConfig::Otlp(receiver) = receiver;
            let path = KeyPath::of([ReceiverConfig::SECTION])
                .key(id)
                .key("protocols");
            for (protocol, auth) in receiver.protocols.auth() {
                if let Some(auth) = auth {
                    let path = path.key(protocol).key("auth").key("authenticator");
                    self.authenticator(path, auth);
                }
            }
        }
        for (id, server) in config.artifact_servers() {
            let path = KeyPath::of([ExtensionConfig::SECTION]).key(id);
            for (path, auth) in [
                (path.clone(), &server.auth),
                (path.key("deletion"), &server.deletion.auth),
            ] {
                if let Some(auth) = auth {
                    self.authenticator(path.key("auth").key("authenticator"), auth);
                }
            }
        }
        for (id, exporter) in &config.exporters {
            let Some(delivery) = exporter.delivery() else {
                continue;
            };
            let Some(auth) = delivery.auth else { continue };
            let path = KeyPath::of([ExporterConfig::SECTION]).key(id);
            let key = path.key("auth").key("authenticator");
            self.authorizer(key.clone(), &auth.authenticator);
            let context = self.context(&auth.authenticator, 0);
            let Some(name) = context.first() else {
                continue;
            };
            if !self.sees_metadata(id) {
                self.report(
                    key,
                    format!(
                        "\"{}\" wants the header {name} of senders, and no receiver shows it: set \
                         include_metadata: true in a receiver of this exporter's pipelines",
                        auth.authenticator
                    ),
                );
            }
            let queue = delivery.sending_queue;
            let secret = context.iter().find(|name| is_credential(name));
            if let Some(name) = secret
                && queue.enabled
                && queue.storage.is_some()
            {
                self.report(
                    path.key("sending_queue").key("storage"),
                    format!(
                        "\"{}\" passes on the header {name} of senders, which would be written to \
                         disk with each request: remove the storage, so that the queue is in \
                         memory, or give the exporter a credential of its own",
                        auth.authenticator
                    ),
                );
            }
        }
    }

    /// The authenticator of a receiver or server.
    fn authenticator(&mut self, path: KeyPath, auth: &AuthConfig) {
        let id = &auth.authenticator;
        match self.config.extensions.get(id) {
            Some(ExtensionConfig::BearerToken(_)) => {}
            Some(ExtensionConfig::BasicAuth(basic)) => {
                if basic.htpasswd.is_none() {
                    self.report(path, format!("extensions.{id} has no htpasswd for senders"));
                }
            }
            Some(_) => self.report(path, wrong_type(id, "a bearertokenauth or basicauth")),
            None => {
                let known = self.config.extensions.keys();
                self.report(path, not_configured(ExtensionConfig::KIND, id, known));
            }
        }
    }

    /// An exporter's authenticator, or the one that another asks first.
    fn authorizer(&mut self, path: KeyPath, id: &ComponentId) {
        match self.config.extensions.get(id) {
            Some(ExtensionConfig::BearerToken(bearer)) => {
                if !bearer.tenants.is_empty() {
                    let message = format!(
                        "extensions.{id} has tokens of tenants, which are for receivers: give the \
                         exporter one with a token of its own"
                    );
                    self.report(path, message);
                }
            }
            Some(ExtensionConfig::HeadersSetter(_)) => {}
            Some(ExtensionConfig::BasicAuth(basic)) => {
                if basic.client_auth.is_none() {
                    let message = format!("extensions.{id} has no client_auth for exporters");
                    self.report(path, message);
                }
            }
            Some(_) => {
                let wanted = "a bearertokenauth, basicauth or headers_setter";
                self.report(path, wrong_type(id, wanted));
            }
            None => {
                let known = self.config.extensions.keys();
                self.report(path, not_configured(ExtensionConfig::KIND, id, known));
            }
        }
    }

    fn additional(&self, id: &ComponentId) -> Option<&ComponentId> {
        match self.config.extensions.get(id)? {
            ExtensionConfig::HeadersSetter(setter) => setter.additional_auth.as_ref(),
            _ => None,
        }
    }

    fn leads_back_to(&self, id: &ComponentId, first: &ComponentId) -> bool {
        let mut next = Some(first);
        // A circle without `id` is reported where it is.
        for _ in 0..=self.config.extensions.len() {
            match next {
                Some(next) if next == id => return true,
                Some(other) => next = self.additional(other),
                None => return false,
            }
        }
        false
    }

    /// The headers of senders that an exporter with this authenticator needs.
    pub(super) fn context(&self, id: &ComponentId, depth: usize) -> Vec<HeaderName> {
        let Some(ExtensionConfig::HeadersSetter(setter)) = self.config.extensions.get(id) else {
            return Vec::new();
        };
        let own = setter.headers.iter();
        let mut names: Vec<_> = own
            .filter_map(|header| header.from_context.clone())
            .collect();
        if let Some(first) = &setter.additional_auth
            && depth < self.config.extensions.len()
        {
            names.extend(self.context(first, depth + 1));
        }
        names
    }

    /// Whether any request that comes to the exporter `id` may have headers with it.
    pub(super) fn sees_metadata(&self, id: &ComponentId) -> bool {
        let pipelines = self.config.service.pipelines.iter();
        let mut receivers = pipelines
            .filter(|(_, pipeline)| pipeline.exporters.contains(id))
            .flat_map(|(id, pipeline)| self.config.end_to_end(id, pipeline).receivers)
            .peekable();
        // Nobody misses anything where nothing comes.
        receivers.peek().is_none()
            || receivers.any(|id| match self.config.receivers.get(&id) {
                Some(ReceiverConfig::Otlp(receiver)) => receiver.protocols.includes_metadata(),
                None => true,
            })
    }
}
