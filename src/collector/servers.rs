//! The artifact servers.

use std::collections::BTreeMap;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::auth::Auth;
use super::error::StartError;
use crate::admission::Budget;
use crate::auth::Gate;
use crate::catalog::{Catalog, Recorder};
use crate::config::{
    ComponentId, Config, ContextKey, ExtensionConfig, HostPort, ProcessorConfig, ReceiverConfig,
    Socket,
};
use crate::listeners::{Listeners, Wanted};
use crate::server::config::ArtifactServerConfig;
use crate::server::{ArtifactServer, Deletion, Door, Parts, protection_of};
use crate::shutdown::GRACE;
use crate::sockets::Listening;
use crate::storage::Store;
use crate::telemetry::Counters;
use crate::tls::ServerTls;

/// The servers that run. They end when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Servers {
    tasks: JoinSet<()>,
    /// Lets in at receivers who puts artifacts.
    doors: BTreeMap<ComponentId, Door>,
    stop: CancellationToken,
}

/// What servers that take no more requests still send. It is cut when this is dropped.
#[derive(Debug, Default)]
pub(super) struct LastAnswers(JoinSet<()>);

impl LastAnswers {
    /// Ends when all is sent.
    pub(super) async fn sent(mut self) {
        while self.0.join_next().await.is_some() {}
    }

    /// The same by a certain time; what is not sent by then is cut.
    pub(super) async fn sent_until(self, until: Instant) {
        if timeout_at(until, self.sent()).await.is_err() {
            tracing::warn!(
                "answers of artifact servers did not end within {GRACE:?} and were cut off"
            );
        }
    }
}

impl Servers {
    /// Starts those whose store is open.
    pub(super) async fn start(
        config: &Config,
        auth: &Auth,
        stores: &BTreeMap<ComponentId, Store>,
        recorders: &BTreeMap<ComponentId, Recorder>,
        (budget, counters): (&Budget, &Counters),
        listeners: &mut Listeners,
        summary: &mut Vec<(String, String)>,
    ) -> Result<Self, StartError> {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        let mut doors = BTreeMap::new();
        for id in &config.service.extensions {
            let Some(ExtensionConfig::ArtifactServer(server)) = config.extensions.get(id) else {
                continue;
            };
            let Some(store) = stores.get(&server.store) else {
                let what = format!(
                    "nothing to serve: {} is not open in a dry run",
                    server.store
                );
                summary.push((id.to_string(), what));
                continue;
            };
            let path = path(id);
            let tls = tls(id, server)?;
            let [of_artifacts, of_pages] = places(id, server);
            let parts = Parts {
                id: id.to_string(),
                store: store.clone(),
                catalog: catalog(config, &server.store, store).await,
                recorder: recorders.get(&server.store).cloned(),
                gate: Gate::new(&path, auth.of_senders(server.auth.as_ref()), false),
                deletion: deletion(&path, server, auth),
                counts: counters.server(&id.to_string()),
                budget: budget.clone(),
                users_are_tenants: users_are_tenants(config, &server.store),
                names: names_of_receivers(config, id),
                artifacts: listen(listeners, &of_artifacts).await?,
                pages: listen(listeners, &of_pages).await?,
            };
            let started = ArtifactServer::new(server, tls, parts);
            let started = started.map_err(not_bound(&of_artifacts))?;
            let [artifacts, pages] = started.addresses();
            let scheme = if server.tls.is_some() {
                "https"
            } else {
                "http"
            };
            summary.push((
                id.to_string(),
                format!(
                    "artifacts at {scheme}://{artifacts}/, pages and API at {scheme}://{pages}/; people go to {}",
                    started.pages_url()
                ),
            ));
            doors.insert(id.clone(), started.door());
            started.serve(&mut tasks, &stop);
        }
        Ok(Self { tasks, doors, stop })
    }

    /// What lets in at a receiver who puts artifacts into this one, if it runs.
    pub(super) fn door(&self, id: &ComponentId) -> Option<&Door> {
        self.doors.get(id)
    }

    /// From now on they take no more requests.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// The same, and gives what they still send.
    pub(super) fn end(self) -> LastAnswers {
        self.stop();
        LastAnswers(self.tasks)
    }
}

/// The hosts on which receivers listen that take artifacts for this server.
fn names_of_receivers(config: &Config, id: &ComponentId) -> Vec<String> {
    let receivers = config.receivers.values();
    let listeners = receivers.filter_map(|ReceiverConfig::Otlp(otlp)| otlp.protocols.http.as_ref());
    let theirs = listeners.filter(|http| http.artifact_server.as_ref() == Some(id));
    let sockets = theirs.filter_map(|http| http.socket().ok());
    let hosts = sockets.filter_map(|socket| match socket {
        Socket::Tcp(endpoint, _) => Some(endpoint.host),
        Socket::Unix(_) => None,
    });
    hosts.collect()
}

/// Who may delete at a server.
fn deletion(path: &str, server: &ArtifactServerConfig, auth: &Auth) -> Deletion {
    match auth.of_senders(server.deletion.auth.as_ref()) {
        Some(authenticator) => {
            let path = format!("{path}.deletion");
            Deletion::These(Gate::new(path, Some(authenticator), false))
        }
        None if server.is_for_this_machine() => Deletion::Readers,
        None => Deletion::Nobody,
    }
}

/// What refers to the artifacts of a store, if its configuration has that written down.
///
/// Telemetry does not wait for people who look at files: where the index cannot be where it should, it is
/// somewhere for this process alone, or nowhere.
async fn catalog(config: &Config, id: &ComponentId, store: &Store) -> Option<Catalog> {
    let mut stores = config.artifact_stores();
    let (_, of) = stores.find(|(other, of)| *other == id && of.catalog.enabled)?;
    let interval = of.catalog.interval;
    let reason = match Catalog::open(store, &of.catalog.directory).await {
        Ok(catalog) => return Some(catalog.as_often_as(interval)),
        Err(reason) => reason,
    };
    let path = format!("extensions.{id}.catalog.directory");
    match Catalog::open_temporary(store) {
        Ok(catalog) => {
            tracing::warn!("{path}: {reason}; the index of the catalog is read anew at each start");
            Some(catalog.as_often_as(interval))
        }
        Err(second) => {
            tracing::error!("{path}: {reason}; nor elsewhere: {second}; artifacts are not listed");
            None
        }
    }
}

/// Whether the servers of both configurations are the same, so that nobody is to be cut off whom the one
/// before answers.
pub(super) fn are_same(one: &Config, other: &Config) -> bool {
    let of = |config: &Config| -> Vec<_> {
        let servers = config.artifact_servers();
        let servers = servers.map(|(id, server)| (id.clone(), server.clone()));
        servers.collect()
    };
    of(one) == of(other)
}

/// Where servers listen.
pub(super) fn wanted(config: &Config) -> Vec<Wanted> {
    let running = config.service.extensions.iter();
    let servers = running.filter_map(|id| match config.extensions.get(id)? {
        ExtensionConfig::ArtifactServer(server) => Some(places(id, server)),
        _ => None,
    });
    servers.flatten().collect()
}

/// Finds out what would keep a server from being protected.
pub(super) fn try_out(id: &ComponentId, server: &ArtifactServerConfig) -> Result<(), StartError> {
    tls(id, server).map(drop)
}

fn tls(id: &ComponentId, server: &ArtifactServerConfig) -> Result<Option<ServerTls>, StartError> {
    let tls = protection_of(&id.to_string(), server);
    tls.map_err(|reason| StartError::Tls {
        listener: path(id),
        reason,
    })
}

fn places(id: &ComponentId, server: &ArtifactServerConfig) -> [Wanted; 2] {
    let wanted = |owner: String, endpoint: &HostPort| Wanted {
        owner,
        socket: endpoint.clone().into(),
        is_dispensable: false,
    };
    let path = path(id);
    let pages = format!("{path}.pages");
    [
        wanted(path, &server.endpoint),
        wanted(pages, &server.pages.endpoint),
    ]
}

async fn listen(listeners: &mut Listeners, wanted: &Wanted) -> Result<TcpListener, StartError> {
    let listening = listeners.listen(wanted).await;
    listening
        .and_then(Listening::tcp)
        .map_err(not_bound(wanted))
}

fn not_bound(wanted: &Wanted) -> impl FnOnce(std::io::Error) -> StartError + '_ {
    |reason| StartError::Bind {
        owner: format!("{}.endpoint", wanted.owner),
        endpoint: wanted.socket.to_string(),
        reason,
    }
}

fn path(id: &ComponentId) -> String {
    format!("extensions.{id}")
}

/// Whether what comes into this store is a tenant's by the name of its user: then a user may see no more than
/// that.
fn users_are_tenants(config: &Config, store: &ComponentId) -> bool {
    config.processors.values().any(|processor| match processor {
        ProcessorConfig::Artifact(artifact) => {
            let tenant = artifact.tenant.as_ref();
            artifact.store == *store
                && tenant.and_then(|tenant| tenant.from_context.as_ref())
                    == Some(&ContextKey::Auth("username".to_owned()))
        }
        _ => false,
    })
}
