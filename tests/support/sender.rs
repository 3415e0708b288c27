//! An OTLP sender: tonic's client for ordinary requests, and its transport for odd ones.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use futures::channel::mpsc;
use futures::{StreamExt as _, stream};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use slimspan_proto::Signal;
use tokio::net::TcpStream;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic_types::StatusExt as _;
use tower::{Service as _, ServiceExt as _};

use super::{frames, soon};

/// One connection to a receiver. Clones share it.
#[derive(Clone)]
pub(crate) struct Sender {
    channel: Channel,
}

/// One that listens for longer than the `grpc-timeout` of its calls says. The usual client ends a call by a clock
/// of its own, and what slimspan says shortly before is not always heard then.
pub(crate) struct PatientSender {
    address: SocketAddr,
    client: http2::SendRequest<Body>,
}

/// A call that a test spells out.
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// All there is to an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http: StatusCode,
    pub(crate) headers: HeaderMap,
    /// From the trailers, or from the headers of an answer without a body.
    pub(crate) status: Option<Status>,
}

impl Sender {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.unwrap()
    }

    /// Connects to an address where nobody may listen.
    pub(crate) async fn try_connect(address: SocketAddr) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = soon("slimspan accepts", endpoint.connect()).await?;
        Ok(Self { channel })
    }

    /// Connects over TLS.
    pub(crate) async fn try_connect_tls(
        address: SocketAddr,
        tls: ClientTlsConfig,
    ) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
        let endpoint = endpoint.tls_config(tls)?;
        let channel = soon("slimspan accepts", endpoint.connect()).await?;
        Ok(Self { channel })
    }

    /// Sends a request as every SDK does; returns the response message.
    pub(crate) async fn send(&self, signal: Signal, request: &Bytes) -> Result<Bytes, Status> {
        self.ask(signal.grpc_path(), request.clone()).await
    }

    /// Asks a method that answers with one message.
    pub(crate) async fn ask(&self, path: &'static str, request: Bytes) -> Result<Bytes, Status> {
        let mut client = self.client().await?;
        let path = PathAndQuery::from_static(path);
        let call = client.unary(tonic::Request::new(request), path, BytesCodec);
        soon("slimspan answers", call)
            .await
            .map(tonic::Response::into_inner)
    }

    /// Asks a method that goes on answering.
    pub(crate) async fn watch(
        &self,
        path: &'static str,
        request: Bytes,
    ) -> Result<tonic::Streaming<Bytes>, Status> {
        let mut client = self.client().await?;
        let path = PathAndQuery::from_static(path);
        let call = client.server_streaming(tonic::Request::new(request), path, BytesCodec);
        soon("slimspan answers", call)
            .await
            .map(tonic::Response::into_inner)
    }

    async fn client(&self) -> Result<tonic::client::Grpc<Channel>, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        let ready = client.ready().await;
        ready.map_err(|error| Status::from_error(error.into()))?;
        Ok(client)
    }

    /// Sends a request compressed with `gzip` or `zstd`.
    pub(crate) async fn send_compressed(&self, request: &[u8], compression: &str) -> Answer {
        let message = frames::frame(1, &frames::compress(frames::of_grpc(compression), request));
        let call = Call::whole(message);
        self.call(call.header("grpc-encoding", compression)).await
    }

    /// Makes a call that is answered.
    pub(crate) async fn call(&self, call: Call) -> Answer {
        soon("slimspan answers", self.try_call(call)).await.unwrap()
    }

    /// Makes a call and waits as long as it takes.
    pub(crate) async fn try_call(&self, call: Call) -> Result<Answer, tonic::transport::Error> {
        let mut request = Request::new(call.body);
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = call.path.parse::<Uri>().unwrap();
        *request.headers_mut() = call.headers;
        let mut channel = self.channel.clone();
        let response = channel.ready().await?.call(request).await?;
        Ok(Answer::of(response).await)
    }
}

impl PatientSender {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = soon("slimspan accepts", TcpStream::connect(address)).await;
        let stream = TokioIo::new(stream.unwrap());
        let handshake = http2::handshake(TokioExecutor::new(), stream);
        let (client, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        Self { address, client }
    }

    /// Makes a call that is answered.
    pub(crate) async fn call(&self, call: Call) -> Answer {
        soon("slimspan answers", self.try_call(call)).await.unwrap()
    }

    /// Makes a call over this connection and no other, and waits as long as it takes.
    pub(crate) async fn try_call(&self, call: Call) -> hyper::Result<Answer> {
        let mut request = Request::new(call.body);
        let uri = format!("http://{}{}", self.address, call.path);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.parse().unwrap();
        *request.headers_mut() = call.headers;
        let mut client = self.client.clone();
        client.ready().await?;
        Ok(Answer::of(client.send_request(request).await?).await)
    }
}

impl Call {
    /// A call of the traces service with these bytes, frame and all.
    pub(crate) fn whole(body: Bytes) -> Self {
        Self::traces(Body::new(Full::new(body)))
    }

    /// A call of the traces service.
    pub(crate) fn traces(body: Body) -> Self {
        let headers = [("content-type", "application/grpc"), ("te", "trailers")];
        let call = Self {
            path: Signal::Traces.grpc_path().to_owned(),
            headers: HeaderMap::new(),
            body,
        };
        headers
            .into_iter()
            .fold(call, |call, (name, value)| call.header(name, value))
    }

    /// The same of another signal's service.
    pub(crate) fn of(self, signal: Signal) -> Self {
        let path = signal.grpc_path().to_owned();
        Self { path, ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }
}

impl Answer {
    /// Reads an answer to its end.
    async fn of<B>(response: Response<B>) -> Self
    where
        B: http_body::Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let (head, body) = response.into_parts();
        let mut status = Status::from_header_map(&head.headers);
        match body.collect().await {
            Ok(body) => {
                if let Some(trailers) = body.trailers() {
                    status = Status::from_header_map(trailers);
                }
            }
            // A refusal before the end of the request's body resets what is left of the stream.
            Err(error) if status.is_none() => status = Some(Status::from_error(error.into())),
            Err(_) => {}
        }
        Self {
            http: head.status,
            headers: head.headers,
            status,
        }
    }

    /// The status of a refusal, or a failed test.
    pub(crate) fn status(&self) -> &Status {
        match &self.status {
            Some(status) => status,
            None => panic!("an answer without a status: {self:?}"),
        }
    }
}

/// When the sender is asked to come back, if it is; at once where a RetryInfo has no delay.
pub(crate) fn retry_after(status: &Status) -> Option<Duration> {
    let info = status.get_details_retry_info()?;
    Some(info.retry_delay.unwrap_or_default())
}

/// A body that begins with these bytes and goes on when the test says so. Dropping the other end
/// ends the body.
pub(crate) fn open_body(beginning: impl Into<Bytes>) -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (more, rest) = mpsc::unbounded();
    let frames = stream::iter([beginning.into()]).chain(rest);
    let frames = frames.map(|data: Bytes| Ok::<_, Status>(Frame::data(data)));
    (more, Body::new(StreamBody::new(frames)))
}

/// Messages that stay bytes.
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
