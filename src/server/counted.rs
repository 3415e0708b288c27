//! What is counted of requests and their answers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::{Method, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use crate::telemetry::ServerCounts;

/// A request that is not answered yet.
pub(super) struct Asked {
    counts: Arc<ServerCounts>,
    method: &'static str,
    route: String,
    begun: Instant,
}

impl Asked {
    /// `route` is a pattern, such as `/v1/artifacts/{sha256}`: never what somebody asked for.
    pub(super) fn of(counts: &Arc<ServerCounts>, method: &Method, route: &str) -> Self {
        Self {
            counts: Arc::clone(counts),
            method: name(method),
            route: route.to_owned(),
            begun: Instant::now(),
        }
    }

    /// Counts its answer, and what goes out of that.
    pub(super) fn answered(self, response: Response) -> Response {
        let status = response.status().as_u16();
        let took = self.begun.elapsed();
        self.counts.answered(self.method, &self.route, status, took);
        let is_head = self.method == "HEAD";
        let announced = response.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|len| len.to_str().ok()?.parse().ok());
        response.map(|body| {
            let is_over = is_head || body.is_end_stream();
            Body::new(Counted {
                body,
                counts: self.counts,
                left: announced,
                is_over,
            })
        })
    }
}

/// Anybody can invent methods.
fn name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

struct Counted {
    body: Body,
    counts: Arc<ServerCounts>,
    /// What is still to come of what was announced.
    left: Option<usize>,
    is_over: bool,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let len = data.len();
            self.counts.sent(len);
            self.left = self.left.map(|left| left.saturating_sub(len));
        }
        // Where all is there that was announced, nobody asks whether there is more.
        self.is_over = frame.is_none() || self.body.is_end_stream() || self.left == Some(0);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.is_over {
            self.counts.cut();
        }
    }
}
