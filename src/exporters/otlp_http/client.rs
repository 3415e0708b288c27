//! The connections to a backend.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::cookie::Jar;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Proxy, redirect};
use url::{Host, Url};

use super::HttpUrl;
use super::config::OtlpHttpConfig;
use crate::broken::root;
use crate::tls::{ClientConfig, ClientTls, TlsError};

const KEEPALIVE: Duration = Duration::from_secs(30);

/// Why an exporter cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// What protects connections cannot be used. The text begins with the key to change.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// That name is none.
    #[error("tls.server_name_override: \"{0}\" is not the name of a host")]
    ServerName(String),
    /// The proxy cannot be used.
    #[error("proxy_url: {0}")]
    Proxy(String),
    /// Nor can the rest.
    #[error("endpoint: {0}")]
    Client(String),
}

/// Where requests of one signal go, and by which connections.
#[derive(Debug)]
pub(super) struct Destination {
    /// What people know it as.
    pub(super) shown: HttpUrl,
    pub(super) url: Url,
    config: OtlpHttpConfig,
    tls: Option<Arc<ClientTls>>,
    /// What the backend has said that later requests are to say, if it may: one client leaves it to the next.
    cookies: Option<Arc<Jar>>,
    /// The client, and what it protects its connections with.
    current: Mutex<(Client, Option<Arc<ClientConfig>>)>,
}

impl Destination {
    /// Sets up connections to `shown`, without making any.
    pub(super) fn new(
        config: &OtlpHttpConfig,
        shown: HttpUrl,
        tls: Option<Arc<ClientTls>>,
    ) -> Result<Self, SetupError> {
        let mut url = shown.as_url().clone();
        let tls = tls.filter(|_| url.scheme() == "https");
        if tls.is_some()
            && let Some(name) = &config.tls.server_name_override
        {
            let invalid = |_| SetupError::ServerName(name.clone());
            url.set_host(Some(name)).map_err(invalid)?;
            // Nobody is asked where an address is, so requests would go there.
            if !matches!(url.host(), Some(Host::Domain(_))) {
                return Err(SetupError::ServerName(name.clone()));
            }
        }
        let protection = tls.as_ref().map(|tls| tls.config());
        let cookies: Option<Arc<Jar>> = config.cookies.enabled.then(Arc::default);
        let client = client(config, &shown, cookies.as_ref(), protection.as_ref())?;
        Ok(Self {
            shown,
            url,
            config: config.clone(),
            tls,
            cookies,
            current: Mutex::new((client, protection)),
        })
    }

    /// The client, which is another one where the files that protect connections have changed.
    pub(super) fn client(&self) -> Client {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (client_now, protection) = &mut *current;
        if let (Some(tls), Some(used)) = (&self.tls, &protection) {
            let now = tls.config();
            if !Arc::ptr_eq(&now, used) {
                let cookies = self.cookies.as_ref();
                match client(&self.config, &self.shown, cookies, Some(&now)) {
                    Ok(new) => *client_now = new,
                    // What is used already is better than nothing.
                    Err(error) => tracing::error!("{}: {error}", self.shown),
                }
                *protection = Some(now);
            }
        }
        client_now.clone()
    }
}

fn client(
    config: &OtlpHttpConfig,
    to: &HttpUrl,
    cookies: Option<&Arc<Jar>>,
    protection: Option<&Arc<ClientConfig>>,
) -> Result<Client, SetupError> {
    let forever = config.idle_conn_timeout.is_zero();
    let mut builder = Client::builder()
        // A backend that moved is for people to follow: credentials go nowhere else.
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(config.timeout)
        .pool_idle_timeout((!forever).then_some(config.idle_conn_timeout))
        .pool_max_idle_per_host(config.kept())
        .tcp_keepalive(KEEPALIVE);
    if let Some(cookies) = cookies {
        builder = builder.cookie_provider(Arc::clone(cookies));
    }
    if !config.offers_http2() {
        builder = builder.http1_only();
    } else if !config.http2_read_idle_timeout.is_zero() {
        builder = builder
            .http2_keep_alive_interval(config.http2_read_idle_timeout)
            .http2_keep_alive_timeout(config.http2_ping_timeout)
            .http2_keep_alive_while_idle(true);
    }
    if let Some(proxy) = &config.proxy_url {
        let proxy = Proxy::all(proxy.as_url().clone());
        builder = builder.proxy(proxy.map_err(|error| SetupError::Proxy(root(&error)))?);
    } else if is_here(to.as_url()) {
        // Proxies of the environment are for what is elsewhere.
        builder = builder.no_proxy();
    }
    if let Some(protection) = protection {
        builder = builder.tls_backend_preconfigured(ClientConfig::clone(protection));
        if config.tls.server_name_override.is_some()
            && let Some(host) = to.as_url().host()
        {
            let host = host.to_owned();
            builder = builder.no_proxy().dns_resolver(InPlaceOf(host));
        }
    }
    let client = builder.build();
    client.map_err(|error| SetupError::Client(root(&error)))
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Finds this host for any name: the name is only what its certificate is to say.
#[derive(Debug)]
struct InPlaceOf(Host<String>);

impl Resolve for InPlaceOf {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let addresses: Vec<_> = match host {
                Host::Ipv4(address) => vec![(IpAddr::from(address), 0).into()],
                Host::Ipv6(address) => vec![(IpAddr::from(address), 0).into()],
                Host::Domain(name) => tokio::net::lookup_host((name, 0)).await?.collect(),
            };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
