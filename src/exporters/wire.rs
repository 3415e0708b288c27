//! What speaks OTLP to a backend. All that matters beyond one attempt is the same for each:
//! retries, parts, queues and dead letters.

use std::fmt;
#[cfg(test)]
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
#[cfg(test)]
use futures::future::BoxFuture;
use slimspan_proto::Signal;

use super::otlp_grpc::{self, OtlpGrpcExporter};
use super::otlp_http::{self, OtlpHttpExporter};
use crate::answer::Answer;
use crate::auth::Credentials;
use crate::refusal::Refusal;
use crate::telemetry::traces::Onward;

/// What makes single attempts to deliver a request.
#[derive(Debug)]
pub enum Wire {
    /// OTLP/gRPC
    Grpc(OtlpGrpcExporter),
    /// OTLP/HTTP
    Http(OtlpHttpExporter),
    /// One with faults.
    #[cfg(test)]
    Faulty(faulty::Faulty),
    /// None: who takes requests is in the test.
    #[cfg(test)]
    Taken(Arc<dyn Taker>),
}

/// Takes requests in a test, which says what they are answered.
#[cfg(test)]
pub trait Taker: fmt::Debug + Send + Sync {
    /// Takes a request at this moment, and answers it within what is `left` of its sender's time.
    fn take(
        &self,
        request: Bytes,
        left: Option<Duration>,
    ) -> BoxFuture<'static, Result<Answer, Refusal>>;
}

/// A request as it goes over the wire, to be sent once or more.
#[derive(Debug)]
pub(super) enum Prepared<'w> {
    Grpc(&'w OtlpGrpcExporter, otlp_grpc::Prepared),
    Http(&'w OtlpHttpExporter, otlp_http::Prepared),
    #[cfg(test)]
    Faulty(faulty::Prepared),
    #[cfg(test)]
    Taken(&'w dyn Taker, Bytes),
}

impl Wire {
    /// Encodes and compresses a request.
    pub(super) async fn prepare(
        &self,
        signal: Signal,
        request: Bytes,
    ) -> Result<Prepared<'_>, Refusal> {
        Ok(match self {
            Self::Grpc(grpc) => Prepared::Grpc(grpc, grpc.prepare(signal, request).await?),
            Self::Http(http) => Prepared::Http(http, http.prepare(signal, request).await?),
            #[cfg(test)]
            Self::Faulty(faulty) => Prepared::Faulty(faulty.prepare(request).await),
            #[cfg(test)]
            Self::Taken(taker) => Prepared::Taken(taker.as_ref(), request),
        })
    }
}

impl Prepared<'_> {
    /// Sends it once, and waits no longer than `left`; returns the backend's answer.
    pub(super) async fn send(
        &self,
        credentials: Credentials<'_>,
        onward: &Onward,
        left: Option<Duration>,
    ) -> Result<Answer, Refusal> {
        match self {
            Self::Grpc(grpc, prepared) => grpc.send(prepared, credentials, onward, left).await,
            Self::Http(http, prepared) => http.send(prepared, credentials, onward, left).await,
            #[cfg(test)]
            Self::Faulty(prepared) => prepared.send().await,
            #[cfg(test)]
            Self::Taken(taker, request) => taker.take(request.clone(), left).await,
        }
    }
}

impl From<OtlpHttpExporter> for Wire {
    fn from(exporter: OtlpHttpExporter) -> Self {
        Self::Http(exporter)
    }
}

impl From<OtlpGrpcExporter> for Wire {
    fn from(exporter: OtlpGrpcExporter) -> Self {
        Self::Grpc(exporter)
    }
}

/// Protocol and address, for people.
impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grpc(grpc) => write!(f, "OTLP/gRPC to {grpc}"),
            Self::Http(http) => write!(f, "OTLP/HTTP to {http}"),
            #[cfg(test)]
            Self::Faulty(_) | Self::Taken(_) => f.write_str("nowhere"),
        }
    }
}

/// Accepts all requests but those that say what is to become of them.
#[cfg(test)]
pub mod faulty {
    #![expect(clippy::panic, reason = "that is what it is for")]

    use std::sync::Arc;

    use bytes::Bytes;
    use tokio::sync::Semaphore;

    use crate::answer::Answer;
    use crate::compute::{self, Panicked};
    use crate::refusal::Refusal;

    /// What a request holds that makes it panic where it is sent.
    pub const POISON: &str = "poison";
    /// The same on a thread for what takes long.
    pub const SLOW_POISON: &str = "slow poison";

    /// What a request holds that is answered when the test allows it.
    pub const HELD: &str = "held";
    /// What one holds that is refused.
    pub const REFUSED: &str = "refused";
    /// What one holds that is refused, and nobody knows whether it was taken all the same.
    pub const DOUBTED: &str = "doubted";

    /// A wire with faults. Clones are one.
    #[derive(Debug, Clone)]
    pub struct Faulty {
        /// Has a permit for each request that is held.
        pub holds: Arc<Semaphore>,
        /// Lets one of these go for each permit.
        pub lets_go: Arc<Semaphore>,
    }

    impl Default for Faulty {
        fn default() -> Self {
            Self {
                holds: Arc::new(Semaphore::new(0)),
                lets_go: Arc::new(Semaphore::new(0)),
            }
        }
    }

    #[derive(Debug)]
    pub(in crate::exporters) struct Prepared {
        wire: Faulty,
        request: Bytes,
    }

    fn holds(request: &[u8], poison: &str) -> bool {
        let mut windows = request.windows(poison.len());
        windows.any(|window| window == poison.as_bytes())
    }

    impl Faulty {
        pub(super) async fn prepare(&self, request: Bytes) -> Prepared {
            if holds(&request, SLOW_POISON) {
                let work = || panic!("as the test wants it");
                return compute::run(work).await.unwrap_or_else(Panicked::go_on);
            }
            Prepared {
                wire: self.clone(),
                request,
            }
        }
    }

    impl Prepared {
        pub(super) async fn send(&self) -> Result<Answer, Refusal> {
            assert!(!holds(&self.request, POISON), "as the test wants it");
            if holds(&self.request, HELD) {
                self.wire.holds.add_permits(1);
                if let Ok(permit) = self.wire.lets_go.acquire().await {
                    permit.forget();
                }
            }
            for (name, is_in_doubt) in [(REFUSED, false), (DOUBTED, true)] {
                if holds(&self.request, name) {
                    return Err(Refusal::malformed(name).in_doubt(is_in_doubt));
                }
            }
            Ok(Answer::success())
        }
    }
}
