//! Who is at the other end of a connection.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::Extensions;
use tokio::net::UnixStream;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Of one over TCP.
    Address(SocketAddr),
    /// Of one over a Unix socket.
    Process(Process),
}

/// A process of this machine, as far as the system tells which: one in another container may have no number here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    user: Option<u32>,
    number: Option<i32>,
}

/// Whose connections are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Those of an address, as [`host`] has it.
    Host(IpAddr),
    /// Those of a process; of those without a number, those of a user.
    Process(Process),
}

/// The address that a request came from, which it says in its extensions.
#[derive(Debug, Clone, Copy)]
pub struct Remote(pub IpAddr);

impl Remote {
    /// Where the request with these came from.
    pub fn of(extensions: &Extensions) -> IpAddr {
        let remote = extensions.get::<Self>();
        remote.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Self(address)| *address)
    }
}

impl Process {
    /// The one that has made a connection.
    pub fn behind(stream: &UnixStream) -> Self {
        let credentials = stream.peer_cred().ok();
        Self {
            user: credentials.map(|of| of.uid()),
            number: credentials.and_then(|of| of.pid()).filter(|id| *id > 0),
        }
    }
}

impl From<IpAddr> for Origin {
    fn from(peer: IpAddr) -> Self {
        Self::Host(host(peer))
    }
}

impl From<Peer> for Origin {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Address(address) => address.ip().into(),
            Peer::Process(process) => Self::Process(process),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Process(process) => process.fmt(f),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.number, self.user) {
            (Some(number), Some(user)) => write!(f, "process {number} of user {user}"),
            (None, Some(user)) => write!(f, "a process of user {user}"),
            (_, None) => f.write_str("a process of this machine"),
        }
    }
}

/// What counts as one address: with IPv6 a host is given a network of 64 bits and has as many
/// addresses as it likes.
pub fn host(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_64_bits_is_one_host() {
        for (peer, expected) in [
            ("10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:db8:0:1::1", "2001:db8:0:1::"),
            ("2001:db8:0:1:ffff::2", "2001:db8:0:1::"),
            ("2001:db8:0:2::1", "2001:db8:0:2::"),
        ] {
            let [peer, expected] = [peer, expected].map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(host(peer), expected, "{peer}");
        }
    }

    #[tokio::test]
    async fn a_process_has_its_number_and_its_user() {
        let (one, _other) = UnixStream::pair().unwrap();
        let process = Process::behind(&one);
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(process.number, Some(own));
        let user = process.user.unwrap();
        assert_eq!(
            Peer::Process(process).to_string(),
            format!("process {own} of user {user}")
        );
        // Others are others.
        let other = Process {
            number: Some(own + 1),
            ..process
        };
        assert_ne!(
            Origin::from(Peer::Process(process)),
            Origin::from(Peer::Process(other))
        );
    }
}
