//! Where requests come in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::{fmt, io};

use tokio_util::sync::CancellationToken;

use super::auth::Auth;
use super::error::StartError;
use super::plain_text::{Told, warn_of_plain_text};
use super::servers::Servers;
use crate::admission::Budget;
use crate::auth::Gate;
use crate::config::{ComponentId, Config, InvalidSocket, PipelineConfig, ReceiverConfig, Socket};
use crate::listeners::{Listeners, Wanted};
use crate::pipeline::{Pipeline, Pipelines};
use crate::receivers::Standing;
use crate::receivers::otlp::config::{GrpcConfig, HttpConfig, Protocols};
use crate::receivers::otlp::{GRPC_ALPN, GrpcReceiver, HTTP_ALPN, HttpReceiver};
use crate::sift::EntryLimit;
use crate::sockets::Listening;
use crate::telemetry::Counters;
use crate::telemetry::traces::Tracer;
use crate::tls::config::TlsServerConfig;
use crate::tls::{Authorities, ServerTls};

/// A listener, and where its requests go.
#[derive(Debug)]
pub(super) struct Receiver {
    listener: Listener,
    pipelines: Arc<Pipelines>,
}

#[derive(Debug)]
enum Listener {
    Grpc(Box<GrpcReceiver>),
    Http(Box<HttpReceiver>),
}

impl Receiver {
    /// The most bytes that its connections can pin beside their requests.
    pub(super) fn pinned_by_connections(&self) -> u64 {
        match &self.listener {
            Listener::Grpc(grpc) => grpc.pinned_by_connections(),
            Listener::Http(http) => http.pinned_by_connections(),
        }
    }

    /// Its connections.
    pub(super) fn connections(&self) -> Arc<Standing> {
        match &self.listener {
            Listener::Grpc(grpc) => grpc.connections(),
            Listener::Http(http) => http.connections(),
        }
    }

    /// Serves until `stop`, then lets requests under way end.
    pub(super) async fn serve(self, budget: Budget, counters: &Counters, stop: CancellationToken) {
        let pipelines = self.pipelines;
        match self.listener {
            Listener::Grpc(grpc) => grpc.serve(pipelines, budget, counters, stop).await,
            Listener::Http(http) => http.serve(pipelines, budget, counters, stop).await,
        }
    }
}

/// Binds the listeners of every receiver that a pipeline names, and tells of each in the first lines of
/// the `summary`.
pub(super) async fn bind_receivers(
    config: &Config,
    (auth, servers): (&Auth, &Servers),
    pipelines: &[(&PipelineConfig, Arc<Pipeline>)],
    budget: &Budget,
    (counters, tracer): (&Arc<Counters>, &Tracer),
    listeners: &mut Listeners,
    summary: &mut Vec<(String, String)>,
) -> Result<Vec<Receiver>, StartError> {
    let mut receivers = Vec::new();
    for (id, ReceiverConfig::Otlp(receiver)) in &config.receivers {
        let routes = |protocol: &'static str, most: u32| {
            let mut routes = Pipelines::new(
                EntryLimit {
                    most: most as usize,
                    key: format!("receivers.{id}.protocols.{protocol}.max_items"),
                },
                budget.clone(),
                Arc::clone(counters),
            );
            for (wiring, pipeline) in pipelines {
                if wiring.receivers.contains(id) {
                    routes.add(Arc::clone(pipeline));
                }
            }
            let by = counters.receiver(&id.to_string(), protocol);
            let routes = routes.counted(by).traced(tracer.clone());
            (!routes.is_empty()).then(|| Arc::new(routes))
        };
        let Protocols { grpc, http } = &receiver.protocols;
        if let Some(grpc) = grpc
            && let Some(pipelines) = routes("grpc", grpc.max_items)
        {
            let path = format!("receivers.{id}.protocols.grpc");
            let tls = server_tls(&path, grpc.tls.as_ref(), GRPC_ALPN)?;
            let is_protected = tls.is_some();
            let authenticator = auth.of_senders(grpc.auth.as_ref());
            let gate = Gate::new(&path, authenticator, grpc.include_metadata);
            let (socket, place) = listen(listeners, &path, grpc.socket(), &grpc.endpoint).await?;
            let new = || GrpcReceiver::standing(grpc);
            let standing = listeners.connections.at(&path, new);
            let listener = GrpcReceiver::new(socket, grpc.clone(), tls, gate);
            let listener = listener.with_connections(standing);
            let size = format!("{} MiB", grpc.max_recv_msg_size_mib);
            let what = listening("gRPC", &path, &place, is_protected, &size);
            summary.insert(receivers.len(), (id.to_string(), what));
            receivers.push(Receiver {
                listener: Listener::Grpc(Box::new(listener)),
                pipelines,
            });
        }
        if let Some(http) = http
            && let Some(pipelines) = routes("http", http.max_items)
        {
            let path = format!("receivers.{id}.protocols.http");
            let tls = server_tls(&path, http.tls.as_ref(), HTTP_ALPN)?;
            let is_protected = tls.is_some();
            let authenticator = auth.of_senders(http.auth.as_ref());
            let gate = Gate::new(&path, authenticator, http.include_metadata);
            let (socket, place) = listen(listeners, &path, http.socket(), &http.endpoint).await?;
            let new = || HttpReceiver::standing(http);
            let standing = listeners.connections.at(&path, new);
            let listener = HttpReceiver::new(socket, http.clone(), tls, gate);
            let server = http.artifact_server.as_ref();
            let door = server.and_then(|id| Some((id, servers.door(id)?)));
            let artifacts = door.map(|(_, door)| door.routes(is_protected));
            let listener = listener
                .with_connections(standing)
                .with_artifacts(artifacts);
            let size = http.max_request_body_size.to_string();
            let what = listening("HTTP", &path, &place, is_protected, &size);
            let what = match door {
                Some((id, _)) => format!("{what}; programs put artifacts into {id} there"),
                None => what,
            };
            summary.insert(receivers.len(), (id.to_string(), what));
            receivers.push(Receiver {
                listener: Listener::Http(Box::new(listener)),
                pipelines,
            });
        }
    }
    Ok(receivers)
}

/// Where a listener is found: the port is real even where port 0 was configured.
enum Place {
    Address(SocketAddr),
    Local(Socket),
}

/// A socket for the listener at `path` of the configuration, and where that is.
async fn listen(
    listeners: &mut Listeners,
    path: &str,
    socket: Result<Socket, InvalidSocket>,
    endpoint: &str,
) -> Result<(Listening, Place), StartError> {
    let bind_error = |endpoint: String, reason| StartError::Bind {
        owner: path.to_owned(),
        endpoint,
        reason,
    };
    let socket = socket.map_err(|error| {
        let reason = io::Error::new(io::ErrorKind::InvalidInput, error);
        bind_error(endpoint.to_owned(), reason)
    })?;
    let wanted = Wanted {
        owner: path.to_owned(),
        socket,
        is_dispensable: false,
    };
    let not_bound = |reason| bind_error(wanted.socket.to_string(), reason);
    let listening = listeners.listen(&wanted).await.map_err(not_bound)?;
    let place = match listening.address().map_err(not_bound)? {
        Some(address) => Place::Address(address),
        None => Place::Local(wanted.socket),
    };
    Ok((listening, place))
}

/// Where the receivers listen that a pipeline names.
pub(super) fn wanted(config: &Config) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (id, ReceiverConfig::Otlp(receiver)) in &config.receivers {
        let mut pipelines = config.service.pipelines.values();
        if !pipelines.any(|pipeline| pipeline.receivers.contains(id)) {
            continue;
        }
        let Protocols { grpc, http } = &receiver.protocols;
        let grpc = grpc.as_ref().map(|grpc| ("grpc", grpc.socket()));
        let http = http.as_ref().map(|http| ("http", http.socket()));
        for (protocol, socket) in grpc.into_iter().chain(http) {
            // Others are told where they are to be opened.
            if let Ok(socket) = socket {
                wanted.push(Wanted {
                    owner: format!("receivers.{id}.protocols.{protocol}"),
                    socket,
                    is_dispensable: false,
                });
            }
        }
    }
    wanted
}

/// The paths of the listeners whose connections can stay when `next` takes over from `config`: all that
/// a connection is made of is the same in both. What requests go through may be another. Beside each stands who
/// vouches for its senders from then on, whose file may have changed under the same name.
pub(super) fn staying(config: &Config, next: &Config) -> BTreeMap<String, Authorities> {
    let listening = wanted(next);
    let mut staying = BTreeMap::new();
    for (id, ReceiverConfig::Otlp(receiver)) in &config.receivers {
        let Some(ReceiverConfig::Otlp(other)) = next.receivers.get(id) else {
            continue;
        };
        let (one, other) = (&receiver.protocols, &other.protocols);
        let grpc = |of: &Protocols| of.grpc.as_ref().map(GrpcConfig::of_connections);
        let http = |of: &Protocols| of.http.as_ref().map(HttpConfig::of_connections);
        let grpc_tls = other.grpc.as_ref().and_then(|grpc| grpc.tls.as_ref());
        let http_tls = other.http.as_ref().and_then(|http| http.tls.as_ref());
        for (protocol, same, tls) in [
            ("grpc", grpc(one) == grpc(other), grpc_tls),
            ("http", http(one) == http(other), http_tls),
        ] {
            let path = format!("receivers.{id}.protocols.{protocol}");
            if !same || !listening.iter().any(|wanted| wanted.owner == path) {
                continue;
            }
            // Where the file cannot be read, nobody vouches for those that are there.
            if let Ok(authorities) = tls.map(Authorities::of).transpose() {
                staying.insert(path, authorities.unwrap_or_default());
            }
        }
    }
    staying
}

/// Finds out what would keep the listeners of `receiver` from being protected.
pub(super) fn try_out(id: &ComponentId, receiver: &ReceiverConfig) -> Result<(), StartError> {
    let ReceiverConfig::Otlp(receiver) = receiver;
    let Protocols { grpc, http } = &receiver.protocols;
    if let Some(grpc) = grpc {
        let path = format!("receivers.{id}.protocols.grpc");
        server_tls(&path, grpc.tls.as_ref(), GRPC_ALPN)?;
    }
    if let Some(http) = http {
        let path = format!("receivers.{id}.protocols.http");
        server_tls(&path, http.tls.as_ref(), HTTP_ALPN)?;
    }
    Ok(())
}

/// What is told of the listener at `path` of the configuration.
fn listening(protocol: &str, path: &str, place: &Place, is_protected: bool, size: &str) -> String {
    if let Place::Address(address) = place
        && !is_protected
    {
        warn_of_plain_text(path, *address, Told::Requests);
    }
    let protected = if is_protected { ", TLS" } else { "" };
    format!("listening for OTLP/{protocol} on {place}{protected}, requests up to {size}")
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Local(socket) => socket.fmt(f),
        }
    }
}

/// What protects the connections of `listener`, if its `tls` says so.
fn server_tls(
    listener: &str,
    config: Option<&TlsServerConfig>,
    alpn: &[&str],
) -> Result<Option<ServerTls>, StartError> {
    let tls = config.map(|config| ServerTls::new(listener, config, alpn));
    tls.transpose().map_err(|reason| StartError::Tls {
        listener: listener.to_owned(),
        reason,
    })
}
