//! What a receiver listens on: an address, or a Unix socket.

use std::fmt;
use std::net::IpAddr;
use std::path::{self, Path, PathBuf};
use std::str::FromStr;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use super::address::{HostPort, InvalidAddress};
use super::redacted::of_any;

/// The longest path that the system takes for a socket.
const LONGEST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// What connections are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP, in whichever version of IP the endpoint is.
    #[default]
    Tcp,
    /// TCP over IPv4 alone.
    Tcp4,
    /// TCP over IPv6 alone.
    Tcp6,
    /// A Unix socket, for processes of this machine. The endpoint is its path.
    Unix,
}

/// The same where nothing but TCP is listened to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportOfPages {
    /// TCP, in whichever version of IP the endpoint is.
    #[default]
    Tcp,
}

/// What is listened on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Socket {
    /// An address, and the versions of IP in which.
    Tcp(HostPort, IpVersion),
    /// A Unix socket.
    Unix(SocketPath),
}

/// Which addresses a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IpVersion {
    /// Those of IPv4 and IPv6. The address `::` stands for both, where the system has it so.
    Any,
    /// Those of IPv4.
    V4,
    /// Those of IPv6. The address `::` stands for no other.
    V6,
}

/// The path of a Unix socket, which the system takes for one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketPath(PathBuf);

/// Why an endpoint is nothing to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidSocket {
    /// No host and port.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// No path of a socket.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// A path where an address is wanted; it holds the text.
    #[error(
        "\"{0}\" is not an address: to listen on a Unix socket write transport: unix, and its path alone, such \
         as /run/otel.sock"
    )]
    PathOverTcp(String),
    /// An address where a path is wanted; it holds the text.
    #[error(
        "\"{0}\" is an address, and with transport: unix this is the path of a socket: use one such as \
         /run/otel.sock, or transport: tcp"
    )]
    AddressOverUnix(String),
    /// A URL where a path is wanted; it holds the text.
    #[error("\"{0}\" is not the path of a socket: write the path alone, such as /run/otel.sock")]
    Url(String),
    /// A name that is no file; it holds the text.
    #[error(
        "\"{0}\" is a name without a file, whose permissions would say who may send: use a path such as \
         /run/otel.sock"
    )]
    Abstract(String),
    /// An address of the other version of IP.
    #[error(
        "{address} is not of the IP version of transport: {transport}: use an address such as {such_as}, or \
         transport: tcp"
    )]
    Version {
        /// The host and port.
        address: HostPort,
        /// What is written as transport.
        transport: &'static str,
        /// What would do.
        such_as: &'static str,
    },
}

/// Why a text is not the path of a socket.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidPath {
    /// It names nothing, or a folder.
    #[error("\"{0}\" is not the path of a socket: use one such as /run/otel.sock")]
    NoFile(String),
    /// It is too long; it holds its bytes.
    #[error(
        "is too long for the path of a socket: it has {0} bytes, and the system takes no more than {most}",
        most = LONGEST
    )]
    TooLong(usize),
}

impl Socket {
    /// What an endpoint means with a transport.
    pub fn of(transport: Transport, endpoint: &str) -> Result<Self, InvalidSocket> {
        let version = match transport {
            Transport::Tcp => IpVersion::Any,
            Transport::Tcp4 => IpVersion::V4,
            Transport::Tcp6 => IpVersion::V6,
            Transport::Unix => return local(endpoint),
        };
        let address = endpoint.parse::<HostPort>().map_err(|error| {
            if endpoint.starts_with("unix:") || endpoint.starts_with(['/', '.', '@']) {
                InvalidSocket::PathOverTcp(of_any(endpoint).into_owned())
            } else {
                InvalidSocket::Address(error)
            }
        })?;
        let other = match (version, address.host.parse::<IpAddr>()) {
            (IpVersion::V4, Ok(IpAddr::V6(_))) => Some(("tcp4", "0.0.0.0:4317")),
            (IpVersion::V6, Ok(IpAddr::V4(_))) => Some(("tcp6", "[::]:4317")),
            _ => None,
        };
        match other {
            Some((transport, such_as)) => Err(InvalidSocket::Version {
                address,
                transport,
                such_as,
            }),
            None => Ok(Self::Tcp(address, version)),
        }
    }

    /// Whether only one of both can be listened on, as far as that can be seen here.
    pub fn collides_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one, of), Self::Tcp(two, also_of)) => {
                let share = of == also_of || [of, also_of].contains(&&IpVersion::Any);
                // With port 0 each gets a port of its own.
                one == two && one.port != 0 && share
            }
            (Self::Unix(one), Self::Unix(two)) => one.absolute() == two.absolute(),
            _ => false,
        }
    }
}

/// A Unix socket.
fn local(endpoint: &str) -> Result<Socket, InvalidSocket> {
    let text = || of_any(endpoint).into_owned();
    if endpoint.parse::<HostPort>().is_ok() {
        return Err(InvalidSocket::AddressOverUnix(text()));
    }
    if endpoint.starts_with("unix:") || endpoint.contains("://") {
        return Err(InvalidSocket::Url(text()));
    }
    // As the Collector writes them.
    if endpoint.starts_with('@') {
        return Err(InvalidSocket::Abstract(endpoint.to_owned()));
    }
    Ok(Socket::Unix(endpoint.parse()?))
}

impl From<HostPort> for Socket {
    fn from(address: HostPort) -> Self {
        Self::Tcp(address, IpVersion::Any)
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address, _) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

impl SocketPath {
    /// As the system takes it.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The whole path, by which it is told apart from others. It may be too long for the system.
    #[must_use]
    pub fn absolute(&self) -> Self {
        Self(path::absolute(&self.0).unwrap_or_else(|_| self.0.clone()))
    }
}

impl FromStr for SocketPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        if text.is_empty() || text.ends_with('/') || text.contains('\0') {
            return Err(InvalidPath::NoFile(of_any(text).into_owned()));
        }
        if text.len() > LONGEST {
            return Err(InvalidPath::TooLong(text.len()));
        }
        Ok(Self(text.into()))
    }
}

/// As clients of gRPC write it.
impl fmt::Display for SocketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.0.is_absolute() {
            "unix://"
        } else {
            "unix:"
        };
        write!(f, "{scheme}{}", self.0.display())
    }
}

/// Has the schema of a listener say what its endpoint is: an address, unless its transport says another thing.
pub(crate) fn endpoint_by_transport(schema: &mut Schema) {
    let tcp = json!({
        "properties": {
            "transport": { "description": "TCP, as it is without a word.", "enum": ["tcp", "tcp4", "tcp6"] },
        },
    });
    let address = json!({
        "properties": {
            "endpoint": {
                "description": "The address to listen on.",
                "type": ["string", "null"],
                "pattern": "^(\\[[0-9a-fA-F:.]+\\]|[0-9a-zA-Z._-]*):[0-9]{1,5}$|\\$\\{.+\\}",
            },
        },
    });
    schema.insert("if".to_owned(), tcp);
    schema.insert("then".to_owned(), address);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_an_endpoint_means_and_how_it_is_shown() {
        for (transport, endpoint, shown) in [
            (Transport::Tcp, "[::]:4317", "[::]:4317"),
            (Transport::Tcp4, "localhost:0", "localhost:0"),
            (Transport::Tcp4, "0.0.0.0:1", "0.0.0.0:1"),
            (Transport::Tcp6, "[::1]:1", "[::1]:1"),
            (Transport::Unix, "/run/otel.sock", "unix:///run/otel.sock"),
            (Transport::Unix, "./otel.sock", "unix:./otel.sock"),
            (Transport::Unix, "otel@1.sock", "unix:otel@1.sock"),
        ] {
            let socket = Socket::of(transport, endpoint).unwrap();
            assert_eq!(socket.to_string(), shown);
        }
    }

    #[test]
    fn what_is_nothing_to_listen_on() {
        for (transport, endpoint, expected) in [
            (Transport::Tcp, "4317", "use host:port"),
            (Transport::Tcp, "/run/otel.sock", "write transport: unix"),
            (
                Transport::Tcp4,
                "unix:///run/otel.sock",
                "write transport: unix",
            ),
            (Transport::Tcp4, "[::]:1", "such as 0.0.0.0:4317"),
            (Transport::Tcp6, "0.0.0.0:1", "such as [::]:4317"),
            (Transport::Unix, "127.0.0.1:4317", "is an address"),
            (Transport::Unix, "unix:///run/x", "write the path alone"),
            (Transport::Unix, "@otel", "without a file"),
            (Transport::Unix, "", "is not the path of a socket"),
            (Transport::Unix, "/run/", "is not the path of a socket"),
        ] {
            let error = Socket::of(transport, endpoint).unwrap_err().to_string();
            assert!(error.contains(expected), "{endpoint}: {error}");
        }
    }

    /// What is taken here is taken by the system.
    #[test]
    fn a_path_has_a_longest_length() {
        let path = |len: usize| format!("/{}", "x".repeat(len - 1));
        for (len, is_taken) in [(LONGEST, true), (LONGEST + 1, false)] {
            let by_system = std::os::unix::net::SocketAddr::from_pathname(path(len));
            assert_eq!(by_system.is_ok(), is_taken, "{len}");
            let parsed = path(len).parse::<SocketPath>();
            let expected = (!is_taken).then_some(InvalidPath::TooLong(len));
            assert_eq!(parsed.err(), expected);
        }
    }

    #[test]
    fn what_cannot_be_listened_on_together() {
        let address = |transport| Socket::of(transport, "localhost:1").unwrap();
        let [any, four, six] = [Transport::Tcp, Transport::Tcp4, Transport::Tcp6].map(address);
        assert!(any.collides_with(&any) && any.collides_with(&six) && four.collides_with(&any));
        assert!(!four.collides_with(&six));
        let [one, two] = ["/x", "/y"].map(|path| Socket::of(Transport::Unix, path).unwrap());
        assert!(one.collides_with(&one) && !one.collides_with(&two) && !one.collides_with(&any));
        let [same, again] = ["x", "./x"].map(|path| Socket::of(Transport::Unix, path).unwrap());
        assert!(same.collides_with(&again));
        let chosen = Socket::of(Transport::Tcp, "localhost:0").unwrap();
        assert!(!chosen.collides_with(&chosen));
    }
}
