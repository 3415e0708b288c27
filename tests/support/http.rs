//! An OTLP sender over HTTP, as SDKs without gRPC are.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use serde_json::Value;
use slimspan_proto::Signal;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::soon;

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Protobuf,
    Json,
}

/// One connection to a receiver, with one request at a time. Clones share it.
#[derive(Clone)]
pub(crate) struct HttpSender {
    address: SocketAddr,
    connection: Arc<Mutex<Connection>>,
}

enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// All there is to an answer.
#[derive(Debug, PartialEq)]
pub(crate) struct HttpAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Where a signal's requests are sent to.
pub(crate) fn path(signal: Signal) -> &'static str {
    signal.http_path()
}

/// The same request in JSON.
pub(crate) fn json(signal: Signal, request: &[u8]) -> Bytes {
    slimspan_proto::json::write(signal, request)
        .unwrap()
        .text
        .into()
}

impl Form {
    pub(crate) const ALL: [Self; 2] = [Self::Protobuf, Self::Json];

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// A message in this form.
    pub(crate) fn write(self, signal: Signal, request: &Bytes) -> Bytes {
        match self {
            Self::Protobuf => request.clone(),
            Self::Json => json(signal, request),
        }
    }
}

impl HttpSender {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.unwrap()
    }

    /// Connects to an address where nobody may listen.
    pub(crate) async fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = soon("slimspan accepts", TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (client, connection) = handshake.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self::of(address, Connection::Http1(client)))
    }

    /// The same over HTTP/2 without being asked.
    pub(crate) async fn http2(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (client, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        Self::of(address, Connection::Http2(client))
    }

    fn of(address: SocketAddr, connection: Connection) -> Self {
        let connection = Arc::new(Mutex::new(connection));
        Self {
            address,
            connection,
        }
    }

    /// Sends a request in some form; the answer, or the end of the connection.
    pub(crate) async fn try_request(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<HttpAnswer, hyper::Error> {
        let mut connection = self.connection.lock().await;
        let response: Response<Incoming> = match &mut *connection {
            Connection::Http1(client) => {
                let host = self.address.to_string();
                request.headers_mut().insert("host", host.parse().unwrap());
                client.ready().await?;
                client.send_request(request).await?
            }
            Connection::Http2(client) => {
                let uri = format!("http://{}{}", self.address, request.uri());
                *request.uri_mut() = uri.parse().unwrap();
                client.ready().await?;
                client.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        Ok(HttpAnswer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// Sends a request that is answered.
    pub(crate) async fn request(&self, request: Request<Full<Bytes>>) -> HttpAnswer {
        let answer = soon("slimspan answers", self.try_request(request)).await;
        answer.unwrap()
    }

    /// Sends a body as some form of a request.
    pub(crate) async fn post(
        &self,
        signal: Signal,
        form: Form,
        body: impl Into<Bytes>,
    ) -> HttpAnswer {
        self.request(post(signal, form, body)).await
    }

    /// Sends a request as every SDK does; what it was told means the same as over gRPC.
    pub(crate) async fn send(&self, signal: Signal, request: &Bytes) -> Result<Bytes, Status> {
        let request = post(signal, Form::Protobuf, request.clone());
        let answer = soon("slimspan answers", self.try_request(request)).await;
        let answer = answer.map_err(|error| Status::from_error(error.into()))?;
        if answer.status == StatusCode::OK {
            return Ok(answer.body);
        }
        Err(answer.refusal(Form::Protobuf))
    }
}

/// A request to the usual path.
pub(crate) fn post(signal: Signal, form: Form, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path(signal))
        .header("content-type", form.media_type())
        .body(Full::new(body.into()))
        .unwrap()
}

impl HttpAnswer {
    /// The body of a JSON answer.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// When the sender is asked to come back.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get("retry-after")?.to_str().unwrap();
        Some(Duration::from_secs(seconds.parse().unwrap()))
    }

    /// The status in the body of a refusal, which has to agree with that of HTTP about whether the
    /// request is to be sent again, and says when it is.
    pub(crate) fn refusal(&self, form: Form) -> Status {
        assert_eq!(self.headers["content-type"], form.media_type());
        let (code, message) = match form {
            Form::Protobuf => {
                let status = tonic_types::Status::decode(&*self.body).unwrap();
                (status.code, status.message)
            }
            Form::Json => {
                let status = self.json();
                let code = i32::try_from(status["code"].as_i64().unwrap()).unwrap();
                (code, status["message"].as_str().unwrap().to_owned())
            }
        };
        let code = Code::from_i32(code);
        let is_retryable = matches!(self.status.as_u16(), 429 | 502..=504);
        // What is exhausted comes back to nobody knows when.
        let is_exhausted = code == Code::ResourceExhausted && self.status.as_u16() == 429;
        assert!(
            self.retry_after().is_some() == is_retryable || is_exhausted,
            "{self:?}"
        );
        let retryable_codes = [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unavailable,
            Code::DataLoss,
        ];
        let agrees = match code {
            Code::ResourceExhausted => true,
            code => retryable_codes.contains(&code) == is_retryable,
        };
        assert!(agrees, "{code:?}: {self:?}");
        match self.retry_after() {
            None => Status::new(code, message),
            Some(delay) => {
                let details = ErrorDetails::with_retry_info(Some(delay));
                Status::with_error_details(code, message, details)
            }
        }
    }
}
