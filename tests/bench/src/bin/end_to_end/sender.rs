//! A sender that keeps a number of requests under way on one connection.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, TE};
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use memchr::memmem;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::grpc;
use crate::setup::Load;

/// When a sender has sent enough.
#[derive(Clone, Copy)]
enum Until {
    Time(Instant),
    /// The request of that serial was the last.
    Serial(u64),
}

impl Until {
    /// Whether the request of `serial` was the last.
    fn is_reached(self, serial: u64) -> bool {
        match self {
            Self::Time(deadline) => Instant::now() >= deadline,
            Self::Serial(last) => serial >= last,
        }
    }
}

/// One connection to a collector.
pub(crate) struct Sender {
    connection: SendRequest<Full<Bytes>>,
    uri: String,
    /// Requests made, which makes the next one unlike all before.
    serial: Rc<Cell<u64>>,
}

impl Sender {
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(grpc::STREAM_WINDOW)
            .initial_connection_window_size(grpc::CONNECTION_WINDOW)
            .handshake(TokioIo::new(stream))
            .await?;
        // Requests tell how the connection ends.
        tokio::spawn(driver);
        Ok(Self {
            connection,
            uri: format!("http://{address}{}", grpc::PATH),
            serial: Rc::new(Cell::new(0)),
        })
    }

    /// Sends `message` for as long as `length`, as many times at once as `load` says, and waits for
    /// the answers. Where images are to be `fresh`, each time they are others. Returns how long
    /// each answer took.
    pub(crate) async fn send(
        &self,
        message: &[u8],
        load: Load,
        fresh: bool,
        length: Duration,
    ) -> anyhow::Result<Vec<Duration>> {
        let until = Until::Time(Instant::now() + length);
        self.send_until(message, load, fresh, until).await
    }

    /// How many requests were made.
    pub(crate) fn serial(&self) -> u64 {
        self.serial.get()
    }

    /// Sends once more what [`Sender::send`] sent of fresh images behind the request of that serial.
    pub(crate) async fn send_again(
        &self,
        message: &[u8],
        load: Load,
        behind: u64,
    ) -> anyhow::Result<Vec<Duration>> {
        let until = Until::Serial(self.serial.replace(behind));
        self.send_until(message, load, true, until).await
    }

    async fn send_until(
        &self,
        message: &[u8],
        load: Load,
        fresh: bool,
        until: Until,
    ) -> anyhow::Result<Vec<Duration>> {
        let tasks = LocalSet::new();
        let slots: Vec<_> = (0..load.in_flight())
            .map(|_| {
                let template = Template::new(message, fresh);
                let (connection, uri) = (self.connection.clone(), self.uri.clone());
                let serial = Rc::clone(&self.serial);
                tasks.spawn_local(repeat(connection, uri, template, serial, until))
            })
            .collect();
        tasks.await;
        let mut latencies = Vec::new();
        for slot in slots {
            latencies.extend(slot.await??);
        }
        Ok(latencies)
    }
}

async fn repeat(
    mut connection: SendRequest<Full<Bytes>>,
    uri: String,
    mut template: Template,
    serial: Rc<Cell<u64>>,
    until: Until,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while !until.is_reached(serial.get()) {
        serial.set(serial.get() + 1);
        let request = Request::builder()
            .method(Method::POST)
            .uri(&uri)
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(Full::new(template.fill(serial.get())))?;
        let start = Instant::now();
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let early = response.headers().get("grpc-message").cloned();
        let body = response.into_body().collect().await?;
        latencies.push(start.elapsed());
        let trailers = body
            .trailers()
            .with_context(|| format!("the collector refused: {early:?}"))?;
        let accepted = trailers
            .get("grpc-status")
            .is_some_and(|status| status == "0");
        ensure!(accepted, "the collector refused: {trailers:?}");
    }
    Ok(latencies)
}

/// A request with its prefix, and where it differs from time to time.
struct Template {
    framed: Bytes,
    images: Vec<usize>,
}

/// Characters of each image that differ from request to request, far behind its magic number.
const DIGITS: usize = 12;
const SKIPPED: usize = 1024;

impl Template {
    fn new(message: &[u8], fresh: bool) -> Self {
        let framed = grpc::framed(message);
        let opening = b";base64,";
        let images = memmem::find_iter(&framed, opening)
            .filter(|_| fresh)
            .map(|at| at + opening.len() + SKIPPED)
            .collect();
        Self {
            framed: framed.into(),
            images,
        }
    }

    /// The request with `serial` in its images, in place unless something still holds the request
    /// before.
    fn fill(&mut self, serial: u64) -> Bytes {
        if !self.images.is_empty() {
            let mut framed = std::mem::take(&mut self.framed)
                .try_into_mut()
                .unwrap_or_else(BytesMut::from);
            let digits = format!("{serial:0DIGITS$}");
            for image in &self.images {
                if let Some(place) = framed.get_mut(*image..image + DIGITS) {
                    place.copy_from_slice(digits.as_bytes());
                }
            }
            self.framed = framed.freeze();
        }
        self.framed.clone()
    }
}
