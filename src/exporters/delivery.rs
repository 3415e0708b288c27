//! How requests get to a backend: in parts that it takes, again where it could not take them, and what
//! it never takes is kept.

use bytes::Bytes;
use slimspan_proto::{Signal, count};

use super::dead_letters::DeadLetters;
use super::fitting::{Sent, send_fitting};
use super::otlp_grpc::OtlpGrpcExporter;
use super::otlp_grpc::config::OtlpGrpcConfig;
use super::retry::config::RetryConfig;
use super::retry::{Patience, retry};
use crate::answer::Answer;
use crate::refusal::Refusal;

/// An exporter's way to its backend.
#[derive(Debug)]
pub struct Delivery {
    name: String,
    exporter: OtlpGrpcExporter,
    retries: RetryConfig,
    max_request_bytes: usize,
    dead_letters: DeadLetters,
}

/// What becomes of a single item that the backend refuses for its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oversize {
    /// It is kept as a dead letter, and rejected.
    Kept,
    /// The request is refused: another time it may be smaller.
    Refused,
}

impl Delivery {
    /// Requests of the exporter `name` go out by `exporter`.
    pub fn new(name: String, exporter: OtlpGrpcExporter, config: &OtlpGrpcConfig) -> Self {
        let max_request_bytes = config.max_request_bytes.as_u64();
        Self {
            dead_letters: DeadLetters::new(&name, &config.dead_letters),
            name,
            exporter,
            retries: config.retry_on_failure.clone(),
            max_request_bytes: usize::try_from(max_request_bytes).unwrap_or(usize::MAX),
        }
    }

    /// Delivers an `Export{Trace,Logs,Metrics}ServiceRequest`; returns the backend's answer.
    pub async fn deliver(
        &self,
        signal: Signal,
        request: Bytes,
        patience: Patience,
        oversize: Oversize,
    ) -> Result<Answer, Refusal> {
        let deliver = |part| self.send(signal, part, patience);
        let Sent {
            mut answer,
            oversize: singles,
        } = send_fitting(signal, request, self.max_request_bytes, deliver).await?;
        for (single, refusal) in singles {
            if oversize == Oversize::Refused {
                return Err(refusal);
            }
            answer = answer.and(self.give_up(signal, single, &refusal).await);
        }
        Ok(answer)
    }

    /// Sends a part until it is answered.
    async fn send(
        &self,
        signal: Signal,
        part: Bytes,
        patience: Patience,
    ) -> Result<Answer, Refusal> {
        let prepared = self.exporter.prepare(signal, part).await?;
        let attempt = || self.exporter.send(&prepared, patience.left());
        retry(&self.retries, patience, attempt).await
    }

    /// Keeps what no backend takes, and tells the sender.
    async fn give_up(&self, signal: Signal, single: Bytes, refusal: &Refusal) -> Answer {
        let (rejected, len) = (count(signal, &single), single.len());
        let why = format!("{refusal}\n");
        let fate = match self.dead_letters.keep(signal, single, why).await {
            Ok(path) => format!("it is kept in {}", path.display()),
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            "{}: an item of {len} bytes cannot go: {refusal}; {fate}",
            self.name
        );
        // The path is not the sender's business.
        Answer::rejecting(
            rejected,
            &format!("an item of {len} bytes cannot go: {refusal}"),
        )
    }
}

/// Where requests go, for people.
impl std::fmt::Display for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.exporter.fmt(f)
    }
}
