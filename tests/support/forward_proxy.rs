//! A proxy as companies have them: it passes requests on to where they say, and opens tunnels.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A running proxy. It ends with the test's runtime.
pub(crate) struct ForwardProxy {
    pub(crate) address: SocketAddr,
    heads: watch::Receiver<Vec<String>>,
}

impl ForwardProxy {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (record, heads) = watch::channel(Vec::new());
        let record = Arc::new(record);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&record)));
            }
        });
        Self { address, heads }
    }

    /// The heads of the first request of each connection.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.borrow().clone()
    }
}

async fn serve(mut client: TcpStream, record: Arc<watch::Sender<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    record.send_modify(|heads| heads.push(head.clone()));
    let (line, rest) = head.split_once("\r\n").unwrap();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let tunnel = method == "CONNECT";
    let absolute = target.strip_prefix("http://").unwrap_or(target);
    let (host, path) = absolute.split_once('/').unwrap_or((absolute, ""));
    let mut upstream = TcpStream::connect(host).await.unwrap();
    if tunnel {
        let opened = b"HTTP/1.1 200 OK\r\n\r\n";
        client.write_all(opened).await.unwrap();
    } else {
        let head = format!("{method} /{path} HTTP/1.1\r\n{rest}");
        upstream.write_all(head.as_bytes()).await.unwrap();
    }
    let _ = copy_bidirectional(&mut client, &mut upstream).await;
}
