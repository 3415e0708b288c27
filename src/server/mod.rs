//! `artifact_server`: artifacts for people, browsers and programs.
//!
//! Artifacts themselves are on one listener, and all else is on another: what somebody has put into an
//! artifact is never a part of a page that may do something.

mod absence;
mod access;
mod address;
mod api;
mod artifacts;
mod audit;
mod catalogued;
pub mod config;
mod connections;
mod counted;
mod door;
mod headers;
mod instead;
mod kept;
mod letting_in;
mod links;
mod listener;
mod media;
mod mention;
mod naming;
mod no_http;
mod pages;
mod pieces;
mod pixels;
mod place;
mod purpose;
mod range;
mod rate;
mod site;
mod slots;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use slimspan_artifact::Location;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::absence::Absences;
use self::access::Access;
pub use self::access::{Deletion, Reader, Scope};
pub use self::address::Address;
use self::api::Rooms;
use self::audit::Audit;
use self::config::ArtifactServerConfig;
pub use self::door::Door;
use self::headers::Protection;
use self::links::{Disposition, Links};
use self::listener::{ALPN, Listener};
pub(crate) use self::media::Media;
pub(crate) use self::mention::Mention;
use self::no_http::Lines;
use self::pieces::Pieces;
use self::rate::Rate;
use self::slots::Slots;
use crate::admission::Budget;
use crate::auth::Gate;
use crate::catalog::{Catalog, Recorder};
use crate::config::HostPort;
use crate::extensions::hosts::Hosts;
use crate::storage::Store;
use crate::telemetry::ServerCounts;
use crate::tenant::TenantId;
use crate::tls::{ServerTls, TlsError};

/// Artifacts that are sent here at a time, of each of which some megabytes are in memory. One who sends has
/// half of them at most.
const UPLOADS: usize = 8;

/// How long one waits for such a place: programs that put many at once may not come again, and wait 30 seconds at most
/// (`logfire.Artifact`).
const UPLOADS_WAIT: Duration = Duration::from_secs(20);

/// Requests for pages and to the API that are answered at a time: few ask the catalog at once, and each waits for those
/// before it. One who asks has half of them at most.
const QUESTIONS: usize = 32;

/// Requests that become whole again at a time, each of which may be large, once it is known which of their files are
/// there. Others wait as long as one may take, and of one who asks only one waits beside those of others.
const RESTORES: usize = 1;

/// Requests to restore whose files are looked for at a time: a request may refer to thousands, and each is asked for. One
/// who asks has half of them at most.
const LOOKUPS: usize = 8;

/// Previews for which much is read at a time: each takes up to 16 MiB that requests need.
const PREVIEWS: usize = 8;

/// What both listeners know.
#[derive(Debug)]
pub(crate) struct Server {
    /// The id of the extension.
    id: String,
    store: Store,
    /// What refers to them, if that is written down.
    catalog: Option<Catalog>,
    /// Who writes down what is put here.
    recorder: Option<Recorder>,
    /// Whether all of the catalog was read once.
    catalog_is_whole: AtomicBool,
    access: Access,
    counts: Arc<ServerCounts>,
    links: Links,
    audit: Audit,
    rate: Rate,
    slots: Slots,
    /// Requests for pages and to the API that are answered at a time.
    questions: Slots,
    /// Artifacts that are sent here at a time.
    uploads: Slots,
    /// Requests to restore whose files are looked for at a time.
    lookups: Slots,
    /// Requests that become whole again at a time.
    restores: Slots,
    /// The memory of those, of those that come, and of those that are taken.
    rooms: Rooms,
    /// Previews for which much is read at a time.
    previews: Slots,
    max_upload_size: u64,
    /// How long it takes to hear that there is nothing.
    absences: Absences,
    pieces: Pieces,
    protection: Protection,
    hosts: Hosts,
    urls: Urls,
}

/// Where people reach it.
#[derive(Debug)]
struct Urls {
    /// Artifacts themselves.
    artifacts: String,
    /// The path in that.
    artifacts_path: String,
    /// Pages and the API.
    pages: String,
    /// Whether the configuration says where that is.
    pages_are_public: bool,
    /// All below which links to artifacts and their pages are, as far as is known.
    all: Vec<String>,
    /// What is spoken here.
    scheme: &'static str,
}

impl Urls {
    fn of(config: &ArtifactServerConfig, store: &Store, artifacts: String, pages: String) -> Self {
        let mut all: Vec<String> = config.urls().collect();
        all.extend([artifacts.clone(), pages.clone()]);
        // Files may be served otherwise, too.
        if let Location::Public(url) = store.of_tenant(&TenantId::default()).location() {
            all.push(url);
        }
        Self {
            artifacts,
            artifacts_path: config.url().as_deref().map(path_of).unwrap_or_default(),
            pages,
            pages_are_public: config.pages.public_url.is_some(),
            all,
            scheme: if config.tls.is_some() {
                "https"
            } else {
                "http"
            },
        }
    }
}

/// What a server is made of, beside its configuration.
#[derive(Debug)]
pub struct Parts {
    /// The id of the extension.
    pub id: String,
    /// Whose artifacts it serves.
    pub store: Store,
    /// What refers to them, if that is written down.
    pub catalog: Option<Catalog>,
    /// Who writes that down.
    pub recorder: Option<Recorder>,
    /// Who is let in.
    pub gate: Gate,
    /// Who may delete.
    pub deletion: Deletion,
    /// What is counted.
    pub counts: Arc<ServerCounts>,
    /// The memory for requests, of which those that become whole again have a share.
    pub budget: Budget,
    /// Whether a user is the tenant of that name.
    pub users_are_tenants: bool,
    /// Names by which it may be asked for beside those of its configuration.
    pub names: Vec<String>,
    /// Where artifacts are read.
    pub artifacts: TcpListener,
    /// Where pages and the API are.
    pub pages: TcpListener,
}

/// A server whose ports are bound and which does not answer yet.
#[derive(Debug)]
pub struct ArtifactServer {
    server: Arc<Server>,
    artifacts: Listener,
    pages: Listener,
}

/// What protects the connections of a server; found out before anything listens.
pub fn protection_of(
    id: &str,
    config: &ArtifactServerConfig,
) -> Result<Option<ServerTls>, TlsError> {
    let tls = config.tls.as_ref();
    let tls = tls.map(|tls| ServerTls::new(format!("extensions.{id}"), tls, ALPN));
    tls.transpose()
}

impl ArtifactServer {
    /// Puts a server together.
    pub fn new(
        config: &ArtifactServerConfig,
        tls: Option<ServerTls>,
        parts: Parts,
    ) -> io::Result<Self> {
        let tls = tls.map(Arc::new);
        let artifacts = Listener::on(parts.artifacts, tls.clone())?;
        let pages = Listener::on(parts.pages, tls)?;
        let url_here = |listener: &Listener| {
            let address = listener.address();
            let here = HostPort {
                host: address.ip().to_string(),
                port: address.port(),
            };
            config.url_of(&here).unwrap_or_default()
        };
        let urls = Urls::of(
            config,
            &parts.store,
            config.url().unwrap_or_else(|| url_here(&artifacts)),
            config.pages_url().unwrap_or_else(|| url_here(&pages)),
        );
        let server = Server {
            id: parts.id,
            store: parts.store.looking_on(),
            catalog: parts.catalog,
            recorder: parts.recorder,
            catalog_is_whole: AtomicBool::new(false),
            access: Access::new(parts.gate, parts.deletion, parts.users_are_tenants),
            pieces: Pieces::new(Arc::clone(&parts.counts), parts.budget.clone()),
            counts: parts.counts,
            links: Links::new(&config.links),
            audit: Audit::new(config.audit_log.clone()),
            rate: Rate::new(config.max_requests_per_second),
            slots: Slots::new(config.max_concurrent_requests as usize),
            questions: Slots::new(QUESTIONS),
            uploads: Slots::waited_for(UPLOADS, UPLOADS_WAIT),
            lookups: Slots::new(LOOKUPS),
            restores: Slots::new(RESTORES),
            rooms: Rooms::of(parts.budget),
            previews: Slots::new(PREVIEWS),
            max_upload_size: config.max_upload_size.as_u64(),
            absences: Absences::default(),
            protection: Protection::new(config),
            hosts: Hosts::new("localhost", &[config.hosts(), parts.names].concat()),
            urls,
        };
        Ok(Self {
            server: Arc::new(server),
            artifacts,
            pages,
        })
    }

    /// Where artifacts are read, and where pages are.
    pub fn addresses(&self) -> [SocketAddr; 2] {
        [self.artifacts.address(), self.pages.address()]
    }

    /// Where people are told to go for pages.
    pub fn pages_url(&self) -> &str {
        &self.server.urls.pages
    }

    /// What lets in at another listener who puts artifacts.
    pub fn door(&self) -> Door {
        Door::of(Arc::clone(&self.server))
    }

    /// Answers until `stop` is cancelled. What it answers then is sent to its end, unless `tasks` are dropped
    /// before.
    pub fn serve(self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let artifacts = artifacts::routes(Arc::clone(&self.server));
        let unasked = Lines::of(&self.server.protection.of_what_is_not_understood());
        tasks.spawn(self.artifacts.serve(artifacts, unasked, stop.clone()));
        let server = Arc::clone(&self.server);
        let following = stop.clone();
        tasks.spawn(async move {
            let Some(catalog) = &server.catalog else {
                return;
            };
            let whole = || server.catalog_is_whole.store(true, Ordering::Relaxed);
            catalog.follow(following, whole).await;
        });
        let pages = site::routes(self.server);
        let unasked = Lines::of(&site::of_what_is_not_understood());
        tasks.spawn(self.pages.serve(pages, unasked, stop.clone()));
    }
}

impl Server {
    /// Where an artifact is read: with a signature where a credential would be needed, which browsers do not
    /// send for what is in a page.
    pub(crate) fn artifact_url(&self, address: &Address, disposition: Disposition) -> String {
        if !self.access.is_open() {
            return self.signed_url(address, disposition).0;
        }
        let query = match disposition {
            Disposition::Inline => "",
            Disposition::Attachment => "?download",
        };
        format!("{}{query}", self.plain_url(address))
    }

    /// Where an artifact is read by who may, without an extension.
    fn plain_url(&self, address: &Address) -> String {
        format!("{}{address}", self.urls.artifacts)
    }

    /// A link that opens an artifact for whoever has it, and when it ends.
    fn signed_url(&self, address: &Address, disposition: Disposition) -> (String, Timestamp) {
        let (query, ends) = self.links.sign(address, disposition);
        (format!("{}{address}?{query}", self.urls.artifacts), ends)
    }

    /// The page of an artifact.
    fn page_url(&self, address: &Address) -> String {
        format!("{}{address}", self.urls.pages)
    }
}

/// The path of a URL, without a slash at its end.
fn path_of(url: &str) -> String {
    let url = url::Url::parse(url).ok();
    let path = url.as_ref().map(|url| url.path().trim_end_matches('/'));
    path.unwrap_or_default().to_owned()
}
