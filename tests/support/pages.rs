//! Asks slimspan about itself, as a browser or Prometheus does.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::soon;

/// An answer.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) headers: String,
    pub(crate) body: String,
}

/// Asks for a page by the address of its listener.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Page {
    get_as(address, &address.to_string(), path).await
}

/// Asks for a page by the name `host`.
pub(crate) async fn get_as(address: SocketAddr, host: &str, path: &str) -> Page {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = socket.read_to_string(&mut answer);
    soon("a page", read).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    Page {
        status: status.parse().unwrap(),
        headers: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

/// Metrics, as they were scraped.
#[derive(Debug)]
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// Reads them, whoever they are of.
    pub(crate) async fn of(address: SocketAddr) -> Self {
        let page = get(address, "/metrics").await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.headers.contains("application/openmetrics-text"));
        assert!(page.body.ends_with("# EOF\n"), "{page:?}");
        Self(page.body)
    }

    /// The sum of all series of this name that have these labels, written as `key="value"`.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let values = self.values(name, labels);
        values.map(|value| value.parse::<f64>().unwrap()).sum()
    }

    /// The same, for what is counted.
    pub(crate) fn count(&self, name: &str, labels: &[&str]) -> u64 {
        let values = self.values(name, labels);
        values.map(|value| value.parse::<u64>().unwrap()).sum()
    }

    /// How many spans an exporter has sent, and how many it has not in the end.
    pub(crate) fn spans_by(&self, exporter: &str) -> (u64, u64) {
        let by = format!("exporter=\"{exporter}\"");
        let spans = |end: &str| {
            let name = format!("otelcol_exporter_{end}_spans_total");
            self.count(&name, &[&by])
        };
        (spans("sent"), spans("send_failed"))
    }

    fn values(&self, name: &str, labels: &[&str]) -> impl Iterator<Item = &str> {
        self.0.lines().filter_map(move |line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (of, with) = series.split_once('{').unwrap_or((series, ""));
            let fits = of == name && labels.iter().all(|label| with.contains(label));
            fits.then_some(value)
        })
    }
}
