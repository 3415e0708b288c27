//! The sockets that are listened on. They belong to no configuration: one that asks for an address that
//! is open already gets the same socket, so that who connects while another takes over waits, rather
//! than being refused.

mod local;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, lookup_host};

use self::local::Local;
use crate::config::{HostPort, IpVersion, Socket};
use crate::receivers::Standings;
use crate::sockets::Listening;

/// How many connections may wait to be accepted, as elsewhere.
const WAITING: i32 = 1024;

/// What is listened on, by address. A port that is chosen by the system is that of who asked for it.
#[derive(Debug, Default)]
pub struct Listeners {
    /// The connections that came by those of receivers.
    pub connections: Standings,
    open: BTreeMap<Key, Open>,
}

/// A socket, and on port 0 who wants it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    socket: Socket,
    owner: Option<String>,
}

/// One that is listened on.
#[derive(Debug)]
enum Open {
    Tcp(std::net::TcpListener),
    Unix(Local),
}

/// A socket that a component listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The path of the component's configuration.
    pub owner: String,
    /// The address, or the path.
    pub socket: Socket,
    /// Whether the component does without where nobody can listen there.
    pub is_dispensable: bool,
}

impl Wanted {
    fn key(&self) -> Key {
        let is_chosen = matches!(&self.socket, Socket::Tcp(address, _) if address.port == 0);
        Key {
            socket: match &self.socket {
                // However it is written.
                Socket::Unix(path) => Socket::Unix(path.absolute()),
                address @ Socket::Tcp(..) => address.clone(),
            },
            owner: is_chosen.then(|| self.owner.clone()),
        }
    }
}

impl Listeners {
    /// Listens on an address, or goes on with it. It is closed with the last of these and with
    /// [`close`](Self::close), not before. So it is with a Unix socket, unless somebody has removed its file.
    pub async fn listen(&mut self, wanted: &Wanted) -> io::Result<Listening> {
        let key = wanted.key();
        self.open
            .retain(|other, open| *other != key || open.is_reached());
        if !self.open.contains_key(&key) {
            let open = Open::on(&wanted.socket).await?;
            self.open.insert(key.clone(), open);
        }
        self.open.get(&key).ok_or(ErrorKind::NotFound)?.listening()
    }

    /// Opens all of `wanted` that are not open. Leaves out those whose port only a socket of ours holds
    /// that is not wanted any more, and returns whether there are such: they can be opened when
    /// that is closed.
    pub async fn open(&mut self, wanted: &[Wanted]) -> Result<bool, (Wanted, io::Error)> {
        let mut must_wait = false;
        for one in wanted {
            match self.listen(one).await {
                Ok(_) => {}
                Err(_) if one.is_dispensable => {}
                Err(error)
                    if error.kind() == ErrorKind::AddrInUse && self.is_in_the_way(one, wanted) =>
                {
                    must_wait = true;
                }
                Err(error) => return Err((one.clone(), error)),
            }
        }
        Ok(must_wait)
    }

    /// Closes all but these.
    pub fn retain(&mut self, wanted: &[Wanted]) {
        let keys: Vec<Key> = wanted.iter().map(Wanted::key).collect();
        self.open.retain(|key, _| keys.contains(key));
    }

    /// Whether one of ours that nobody wants any more has the port.
    fn is_in_the_way(&self, one: &Wanted, wanted: &[Wanted]) -> bool {
        let keys: Vec<Key> = wanted.iter().map(Wanted::key).collect();
        let mut stale = self.open.keys().filter(|key| !keys.contains(key));
        stale.any(|key| match (&key.socket, &one.socket) {
            (Socket::Tcp(stale, _), Socket::Tcp(address, _)) => stale.port == address.port,
            _ => false,
        })
    }
}

impl Open {
    async fn on(socket: &Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(address, version) => Ok(Self::Tcp(bind(address, *version).await?)),
            Socket::Unix(path) => Ok(Self::Unix(Local::bind(path.as_path()).await?)),
        }
    }

    /// Whether who looks for it finds it.
    fn is_reached(&self) -> bool {
        match self {
            Self::Tcp(_) => true,
            Self::Unix(local) => local.is_reached(),
        }
    }

    /// The same socket once more.
    fn listening(&self) -> io::Result<Listening> {
        match self {
            Self::Tcp(listener) => TcpListener::from_std(listener.try_clone()?).map(Listening::Tcp),
            Self::Unix(local) => local.listener().map(Listening::Unix),
        }
    }
}

/// Listens on the first address of a host that can be listened on.
async fn bind(address: &HostPort, version: IpVersion) -> io::Result<std::net::TcpListener> {
    let HostPort { host, port } = address;
    let only: fn(&SocketAddr) -> bool = match version {
        IpVersion::Any => {
            return TcpListener::bind((host.as_str(), *port)).await?.into_std();
        }
        IpVersion::V4 => SocketAddr::is_ipv4,
        IpVersion::V6 => SocketAddr::is_ipv6,
    };
    let mut outcome = Err(io::Error::new(
        ErrorKind::AddrNotAvailable,
        format!("{host} has no address of this version of IP"),
    ));
    for address in lookup_host((host.as_str(), *port)).await?.filter(only) {
        outcome = bind_alone(address);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Listens on an address of one version of IP, and of no other, as `::` would be.
fn bind_alone(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING)?;
    Ok(socket.into())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use tokio::net::{TcpStream, UnixStream};
    use tokio::time::timeout;

    use super::*;
    use crate::config::Transport;
    use crate::peer::{Peer, Process};

    fn wanted(owner: &str, endpoint: &str) -> Wanted {
        Wanted {
            owner: owner.to_owned(),
            socket: endpoint.parse::<HostPort>().unwrap().into(),
            is_dispensable: false,
        }
    }

    impl Listeners {
        async fn tcp(&mut self, wanted: &Wanted) -> TcpListener {
            self.listen(wanted).await.unwrap().tcp().unwrap()
        }
    }

    #[tokio::test]
    async fn who_connects_between_two_listeners_waits_for_the_second() {
        let mut listeners = Listeners::default();
        let any = wanted("a", "127.0.0.1:0");
        let first = listeners.tcp(&any).await;
        let address = first.local_addr().unwrap();
        drop(first);
        let stream = TcpStream::connect(address).await.unwrap();
        let second = listeners.tcp(&any).await;
        assert_eq!(second.local_addr().unwrap(), address);
        let (_, peer) = second.accept().await.unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
        listeners.retain(&[]);
        drop(second);
        TcpStream::connect(address).await.unwrap_err();
    }

    #[tokio::test]
    async fn each_owner_has_its_own_chosen_port() {
        let mut listeners = Listeners::default();
        let mut address = async |owner: &str| {
            let listener = listeners.tcp(&wanted(owner, "127.0.0.1:0")).await;
            listener.local_addr().unwrap()
        };
        let (a, b) = (address("a").await, address("b").await);
        assert_ne!(a, b);
        assert_eq!(address("a").await, a);
    }

    #[tokio::test]
    async fn a_port_that_only_we_hold_is_waited_for() {
        let mut listeners = Listeners::default();
        let first = listeners.tcp(&wanted("a", "127.0.0.1:0")).await;
        let port = first.local_addr().unwrap().port();
        listeners.retain(&[]);
        drop(first);
        let narrow = wanted("a", &format!("127.0.0.1:{port}"));
        let wide = wanted("a", &format!("0.0.0.0:{port}"));
        drop(listeners.listen(&narrow).await.unwrap());
        assert!(listeners.open(std::slice::from_ref(&wide)).await.unwrap());
        listeners.retain(std::slice::from_ref(&wide));
        assert!(!listeners.open(std::slice::from_ref(&wide)).await.unwrap());

        // What somebody else holds is not waited for.
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = wanted("b", &other.local_addr().unwrap().to_string());
        let (named, _) = listeners.open(&[wide, taken.clone()]).await.unwrap_err();
        assert_eq!(named, taken);
        let dispensable = Wanted {
            is_dispensable: true,
            ..taken
        };
        assert!(!listeners.open(&[dispensable]).await.unwrap());
    }

    fn wanted_by(transport: Transport, endpoint: &str) -> Wanted {
        Wanted {
            owner: "a".to_owned(),
            socket: Socket::of(transport, endpoint).unwrap(),
            is_dispensable: false,
        }
    }

    #[tokio::test]
    async fn one_version_of_ip_is_no_other() {
        let mut listeners = Listeners::default();
        let four = wanted_by(Transport::Tcp4, "localhost:0");
        let address = listeners.tcp(&four).await.local_addr().unwrap();
        assert!(address.is_ipv4());
        if std::net::TcpListener::bind("[::1]:0").is_err() {
            return;
        }
        let six = listeners.tcp(&wanted_by(Transport::Tcp6, "[::]:0")).await;
        assert!(socket2::SockRef::from(&six).only_v6().unwrap());
        let other = Wanted {
            socket: Socket::Tcp("127.0.0.1:0".parse().unwrap(), IpVersion::V6),
            ..four
        };
        let error = listeners.listen(&other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    async fn a_unix_socket_stays_as_long_as_it_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let wanted = wanted_by(Transport::Unix, path.to_str().unwrap());
        let mut listeners = Listeners::default();
        let first = listeners.listen(&wanted).await.unwrap();
        drop(first);
        let stream = UnixStream::connect(&path).await.unwrap();
        assert!(!listeners.open(std::slice::from_ref(&wanted)).await.unwrap());
        // Who connected between the two is accepted by the second.
        let second = listeners.listen(&wanted).await.unwrap();
        let accepted = timeout(Duration::from_secs(10), second.accept()).await;
        let (_, peer) = accepted.unwrap().unwrap();
        assert_eq!(peer, Peer::Process(Process::behind(&stream)));

        // Who removes the file has it made again by a reload.
        std::fs::remove_file(&path).unwrap();
        let _third = listeners.listen(&wanted).await.unwrap();
        UnixStream::connect(&path).await.unwrap();
        listeners.retain(&[]);
        assert!(!path.exists());
    }
}
