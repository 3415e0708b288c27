//! What is told to Prometheus, and sent to backends for OTLP.
//!
//! Names that the OpenTelemetry Collector has are used where they mean the same, so that its dashboards
//! work as far as they ask for these. The text is that of OpenMetrics, written by the client library of the
//! Prometheus project.

mod encode;
mod otlp;
mod read;
mod table;

pub use encode::{CONTENT_TYPE, encode};
pub use otlp::{Period, families};
pub use read::{Reading, Sample, Value};
pub use table::{Kind, METRICS, Metric};
