//! The address of a backend.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{HostPort, InvalidAddress, InvalidPath, SocketPath};

/// The longest name that the system takes for a socket without a file.
const LONGEST_NAME: usize = 107;

/// Where a backend listens: `host:port`, `http://host:port` or `https://host[:port]`. As clients in Go write it,
/// `dns:///host:port` is the same as `host:port`, and `unix:///path`, `unix:path` and `unix-abstract:name` are Unix
/// sockets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^(https://(\\[[0-9a-fA-F:.]+\\]|[0-9a-zA-Z._-]+)(:[0-9]+)?/?|(http://|dns:///)?(\\[[0-9a-fA-F:.]+\\]|[0-9a-zA-Z._-]+):[0-9]+/?|unix:(///|/?[^/]).*|unix-abstract:.+)$"))]
pub struct Endpoint {
    /// What is connected to.
    pub place: Place,
    /// What the scheme says about TLS; none without a scheme, and of a Unix socket.
    pub tls: Option<bool>,
}

/// What is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A host and a port.
    Tcp(HostPort),
    /// A Unix socket.
    Unix(SocketPath),
    /// A Unix socket without a file, by its name.
    Abstract(String),
}

/// Why a text is not the address of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidEndpoint {
    /// The part after the scheme is not a host and a port.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// A scheme other than http and https; it holds the scheme.
    #[error("unknown scheme \"{0}\": use host:port, http://host:port or https://host:port")]
    Scheme(String),
    /// The part after `unix:` is not the path of a socket.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// The part after `unix://` is no whole path; it holds the text.
    #[error(
        "\"{0}\" has a host before the path of its socket: use unix:///path with three slashes, or unix:path where \
         it is not a whole path"
    )]
    NoWholePath(String),
    /// The part after `unix-abstract:` is not the name of a socket.
    #[error(
        "is no name of a socket: use unix-abstract:name with at most 107 bytes on Linux, and elsewhere unix:///path"
    )]
    Name,
    /// A server for names of its own.
    #[error(
        "names are looked up as this machine does it, and not at a server of its own: use dns:///host:port, \
         or host:port"
    )]
    NameServer,
    /// A user or password, which is not quoted here because it is a secret.
    #[error("a user or password does not belong here: send credentials as headers")]
    Credentials,
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        if let Some(place) = local(text)? {
            return Ok(Self { place, tls: None });
        }
        if text.contains('@') {
            return Err(InvalidEndpoint::Credentials);
        }
        let (tls, address) = match text.split_once("://") {
            None => (None, text),
            Some(("dns", address)) => {
                let address = address.strip_prefix('/');
                (None, address.ok_or(InvalidEndpoint::NameServer)?)
            }
            Some(("http", address)) => (Some(false), address),
            Some(("https", address)) => (Some(true), address),
            Some((scheme, _)) => return Err(InvalidEndpoint::Scheme(scheme.to_owned())),
        };
        let address = address.strip_suffix('/').unwrap_or(address);
        let address = match address.parse() {
            Err(_) if tls == Some(true) => format!("{address}:443").parse(),
            parsed => parsed,
        };
        let address = address.map_err(|_: InvalidAddress| InvalidAddress::new(text))?;
        Ok(Self {
            place: Place::Tcp(address),
            tls,
        })
    }
}

/// The Unix socket that a text names, if it names one.
fn local(text: &str) -> Result<Option<Place>, InvalidEndpoint> {
    // As in Go a whole path may stand behind two slashes more.
    let path = |rest: &str| match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => Ok(path.to_owned()),
        Some(_) => Err(InvalidEndpoint::NoWholePath(text.to_owned())),
        None => Ok(rest.to_owned()),
    };
    if let Some(rest) = text.strip_prefix("unix:") {
        return Ok(Some(Place::Unix(path(rest)?.parse()?)));
    }
    let Some(rest) = text.strip_prefix("unix-abstract:") else {
        return Ok(None);
    };
    let name = path(rest)?;
    let is_name = (1..=LONGEST_NAME).contains(&name.len()) && !name.contains('\0');
    if !is_name || !cfg!(target_os = "linux") {
        return Err(InvalidEndpoint::Name);
    }
    Ok(Some(Place::Abstract(name)))
}

impl Place {
    /// What a backend is called that is not given another name.
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(_) | Self::Abstract(_) => "localhost".to_owned(),
        }
    }

    /// How the system is told which Unix socket it is, if it is one.
    pub fn local(&self) -> Option<PathBuf> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path.as_path().to_owned()),
            Self::Abstract(name) => Some(format!("\0{name}").into()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
            Self::Abstract(name) => write!(f, "unix-abstract:{name}"),
        }
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = InvalidEndpoint;

    fn try_from(text: String) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.tls) {
            (Place::Tcp(address), Some(false)) => write!(f, "http://{address}"),
            (Place::Tcp(address), Some(true)) => write!(f, "https://{address}"),
            (place, _) => place.fmt(f),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn endpoints_and_how_they_are_shown() {
        let table = [
            ("localhost:4317", "localhost:4317"),
            ("http://127.0.0.1:4317", "http://127.0.0.1:4317"),
            ("http://[::1]:4317/", "http://[::1]:4317"),
            (
                "https://api.example.org:8443",
                "https://api.example.org:8443",
            ),
            ("https://api.example.org", "https://api.example.org:443"),
            ("https://[::1]", "https://[::1]:443"),
            ("dns:///api.example.org:4317", "api.example.org:4317"),
            ("unix:///run/otel.sock", "unix:///run/otel.sock"),
            ("unix:/run/otel@1.sock", "unix:///run/otel@1.sock"),
            ("unix:run/otel.sock", "unix:run/otel.sock"),
            #[cfg(target_os = "linux")]
            ("unix-abstract:otel", "unix-abstract:otel"),
        ];
        for (text, shown) in table {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_endpoint() {
        let shape = "is not an address: use host:port, such as 127.0.0.1:4317";
        let table = [
            "",
            "localhost",
            "http://localhost",
            "https://",
            "https://host:99999",
            "https://host:1:2",
            "http://host:4317/v1/traces",
            "dns:///",
            "dns:///host",
            "dns:////host:1",
        ];
        for text in table {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert_eq!(error, format!("\"{text}\" {shape}"));
        }
        for (text, expected) in [
            (
                "passthrough:///host:1",
                InvalidEndpoint::Scheme("passthrough".to_owned()),
            ),
            ("dns://10.0.0.1/host:1", InvalidEndpoint::NameServer),
            (
                "unix://run/backend.sock",
                InvalidEndpoint::NoWholePath("unix://run/backend.sock".to_owned()),
            ),
            (
                "unix:",
                InvalidEndpoint::Path(InvalidPath::NoFile(String::new())),
            ),
            (
                "unix:///run/",
                InvalidEndpoint::Path(InvalidPath::NoFile("/run/".to_owned())),
            ),
            ("unix-abstract:", InvalidEndpoint::Name),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap_err(), expected, "{text}");
        }
        let error = "https://user:hunter2@host:1"
            .parse::<Endpoint>()
            .unwrap_err();
        assert_eq!(error, InvalidEndpoint::Credentials);
        assert!(!error.to_string().contains("hunter2"));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_name_without_a_file_is_connected_to() {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::net::{SocketAddr, UnixListener};

        let name = format!("slimspan-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        let endpoint: Endpoint = format!("unix-abstract:{name}").parse().unwrap();
        let path = endpoint.place.local().unwrap();
        tokio::net::UnixStream::connect(path).await.unwrap();
    }
}
