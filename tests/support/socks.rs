//! A SOCKS5 proxy (RFC 1928, RFC 1929) that leads to one place, whatever it is asked for.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const VERSION: u8 = 5;
const NO_CREDENTIAL: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// An address or a name, and the port.
    pub(crate) target: String,
    /// User and password, if it said who it is.
    pub(crate) credential: Option<(String, String)>,
}

/// A running proxy. It ends with the test's runtime.
pub(crate) struct SocksProxy {
    pub(crate) address: SocketAddr,
    asked: watch::Receiver<Vec<Asked>>,
}

impl SocksProxy {
    /// Whoever asks for anything gets a connection to `upstream`.
    pub(crate) async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (record, asked) = watch::channel(Vec::new());
        let record = Arc::new(record);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, upstream, Arc::clone(&record)));
            }
        });
        Self { address, asked }
    }

    /// What each connection asked for.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }
}

async fn serve(
    mut client: TcpStream,
    upstream: SocketAddr,
    record: Arc<watch::Sender<Vec<Asked>>>,
) -> io::Result<()> {
    let asked = negotiate(&mut client).await?;
    record.send_modify(|all| all.push(asked));
    let mut upstream = TcpStream::connect(upstream).await?;
    // It is open, from an address that says nothing.
    client
        .write_all(&[VERSION, 0, 0, IPV4, 0, 0, 0, 0, 0, 0])
        .await?;
    copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}

/// What a client says until it waits for its connection.
async fn negotiate(client: &mut TcpStream) -> io::Result<Asked> {
    assert_eq!(client.read_u8().await?, VERSION);
    let methods = counted(client).await?;
    let credential = if methods.contains(&USER_AND_PASSWORD) {
        client.write_all(&[VERSION, USER_AND_PASSWORD]).await?;
        assert_eq!(client.read_u8().await?, 1, "the version of RFC 1929");
        let (user, password) = (counted(client).await?, counted(client).await?);
        client.write_all(&[1, 0]).await?;
        Some((text(user), text(password)))
    } else {
        assert!(methods.contains(&NO_CREDENTIAL), "{methods:?}");
        client.write_all(&[VERSION, NO_CREDENTIAL]).await?;
        None
    };
    let mut request = [0; 4];
    client.read_exact(&mut request).await?;
    let [version, command, _, kind] = request;
    assert_eq!((version, command), (VERSION, CONNECT));
    let host = match kind {
        IPV4 => Ipv4Addr::from(client.read_u32().await?).to_string(),
        IPV6 => format!("[{}]", Ipv6Addr::from(client.read_u128().await?)),
        NAME => text(counted(client).await?),
        other => panic!("an address of type {other}"),
    };
    let target = format!("{host}:{}", client.read_u16().await?);
    Ok(Asked { target, credential })
}

/// Bytes with their number before them.
async fn counted(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
