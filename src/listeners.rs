//! The sockets that are listened on. They belong to no configuration: one that asks for an address that
//! is open already gets the same socket, so that who connects while another takes over waits, rather
//! than being refused.

use std::collections::BTreeMap;
use std::io;

use tokio::net::TcpListener;

use crate::config::HostPort;
use crate::receivers::Standings;

/// What is listened on, by address. A port that is chosen by the system is that of who asked for it.
#[derive(Debug, Default)]
pub struct Listeners {
    /// The connections that came by those of receivers.
    pub connections: Standings,
    open: BTreeMap<Key, std::net::TcpListener>,
}

/// An address, and on port 0 who wants it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    host: String,
    port: u16,
    owner: Option<String>,
}

/// An address that a component listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The path of the component's configuration.
    pub owner: String,
    /// The address.
    pub endpoint: HostPort,
    /// Whether the component does without where nobody can listen there.
    pub is_dispensable: bool,
}

impl Wanted {
    fn key(&self) -> Key {
        let HostPort { host, port } = &self.endpoint;
        Key {
            host: host.clone(),
            port: *port,
            owner: (*port == 0).then(|| self.owner.clone()),
        }
    }
}

impl Listeners {
    /// Listens on an address, or goes on with it. It is closed with the last of these and with
    /// [`close`](Self::close), not before.
    pub async fn listen(&mut self, wanted: &Wanted) -> io::Result<TcpListener> {
        let key = wanted.key();
        if !self.open.contains_key(&key) {
            let HostPort { host, port } = &wanted.endpoint;
            let bound = TcpListener::bind((host.as_str(), *port)).await?;
            self.open.insert(key.clone(), bound.into_std()?);
        }
        let socket = self.open.get(&key).map(std::net::TcpListener::try_clone);
        let socket = socket.ok_or(io::ErrorKind::NotFound)??;
        TcpListener::from_std(socket)
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
                    if error.kind() == io::ErrorKind::AddrInUse
                        && self.is_in_the_way(one, wanted) =>
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
        stale.any(|key| key.port == one.endpoint.port)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    fn wanted(owner: &str, endpoint: &str) -> Wanted {
        Wanted {
            owner: owner.to_owned(),
            endpoint: endpoint.parse().unwrap(),
            is_dispensable: false,
        }
    }

    #[tokio::test]
    async fn who_connects_between_two_listeners_waits_for_the_second() {
        let mut listeners = Listeners::default();
        let any = wanted("a", "127.0.0.1:0");
        let first = listeners.listen(&any).await.unwrap();
        let address = first.local_addr().unwrap();
        drop(first);
        let stream = TcpStream::connect(address).await.unwrap();
        let second = listeners.listen(&any).await.unwrap();
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
            let listener = listeners
                .listen(&wanted(owner, "127.0.0.1:0"))
                .await
                .unwrap();
            listener.local_addr().unwrap()
        };
        let (a, b) = (address("a").await, address("b").await);
        assert_ne!(a, b);
        assert_eq!(address("a").await, a);
    }

    #[tokio::test]
    async fn a_port_that_only_we_hold_is_waited_for() {
        let mut listeners = Listeners::default();
        let first = listeners.listen(&wanted("a", "127.0.0.1:0")).await.unwrap();
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
}
