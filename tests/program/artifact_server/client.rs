//! Who reads artifacts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::http::HttpAnswer;
use crate::support::soon;

/// Longer than a slimspan waits for anybody, on a machine that is slow.
const STOPPED: Duration = Duration::from_mins(2);

/// A client that says the same with each request, over a connection each.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    headers: Vec<(String, String)>,
}

impl Client {
    pub(super) fn of(address: SocketAddr) -> Self {
        Self {
            address,
            headers: Vec::new(),
        }
    }

    /// The same with one more header.
    pub(super) fn with(&self, name: &str, value: impl Into<String>) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.into()));
        client
    }

    /// The same with a token.
    pub(super) fn bearer(&self, token: &str) -> Self {
        self.with("authorization", format!("Bearer {token}"))
    }

    pub(super) async fn get(&self, path: &str) -> HttpAnswer {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> HttpAnswer {
        let response = self.begin(method, path, body).await;
        let (head, body) = response.into_parts();
        let body = soon("the answer ends", body.collect()).await;
        HttpAnswer {
            status: head.status,
            headers: head.headers,
            body: body.unwrap().to_bytes(),
        }
    }

    /// The head of an answer, and its body as it comes.
    pub(super) async fn begin(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        self.try_begin(method, path, body).await.unwrap()
    }

    /// All of an answer, unless it is cut.
    pub(super) async fn try_get(&self, path: &str) -> Option<HttpAnswer> {
        let response = self.try_begin(Method::GET, path, "").await.ok()?;
        let (head, body) = response.into_parts();
        let body = soon("the answer ends", body.collect()).await.ok()?;
        Some(HttpAnswer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    /// The answer to a request of which this comes, and then nothing more: it comes when that is not waited for any
    /// longer.
    pub(super) async fn begin_and_stop(
        &self,
        method: Method,
        path: &str,
        begins: impl Into<Bytes>,
    ) -> HttpAnswer {
        let begins = stream::iter([Ok::<_, Infallible>(Frame::data(begins.into()))]);
        let body = StreamBody::new(begins.chain(stream::pending()));
        let answered = async {
            let response = self.send(method, path, body).await.unwrap();
            let (head, body) = response.into_parts();
            HttpAnswer {
                status: head.status,
                headers: head.headers,
                body: body.collect().await.unwrap().to_bytes(),
            }
        };
        let answered = timeout(STOPPED, answered).await;
        answered.unwrap_or_else(|_| panic!("{path}: no answer within {STOPPED:?}"))
    }

    async fn try_begin(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> hyper::Result<Response<Incoming>> {
        let asking = self.send(method, path, Full::new(body.into()));
        soon("an answer begins", asking).await
    }

    async fn send<B>(
        &self,
        method: Method,
        path: &str,
        body: B,
    ) -> hyper::Result<Response<Incoming>>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", self.address.to_string());
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(body).unwrap();
        sender.send_request(request).await
    }

    /// A request of which the head is sent, and the body when it is wanted.
    pub(super) async fn announce(&self, method: Method, path: &str, len: usize) -> Announced {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {len}\r\n\
             expect: 100-continue\r\nconnection: close\r\n",
            self.address
        );
        for (name, value) in &self.headers {
            let line = format!("{name}: {value}\r\n");
            head.push_str(&line);
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Announced {
            stream: BufReader::new(stream),
        }
    }
}

/// See [`Client::announce`].
pub(super) struct Announced {
    stream: BufReader<TcpStream>,
}

impl Announced {
    /// Waits until the body is waited for; false where there is an answer instead.
    pub(super) async fn is_wanted(&mut self) -> bool {
        let mut told = String::new();
        let stream = &mut self.stream;
        let reading = async {
            stream.read_line(&mut told).await.unwrap();
            let is_wanted = told.starts_with("HTTP/1.1 100 ");
            if is_wanted {
                stream.read_line(&mut told).await.unwrap();
            }
            is_wanted
        };
        // A place may have to be waited for.
        let told = timeout(STOPPED, reading).await;
        told.unwrap_or_else(|_| panic!("nothing is told of what was announced within {STOPPED:?}"))
    }

    /// Sends some of it.
    pub(super) async fn send_some(&mut self, some: &[u8]) {
        self.stream.write_all(some).await.unwrap();
    }

    /// Sends `body`, and reads the answer to its end, as far as it was not read yet.
    pub(super) async fn send(mut self, body: &[u8]) -> String {
        self.stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        let reading = self.stream.read_to_end(&mut answer);
        soon("the answer ends", reading).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}
