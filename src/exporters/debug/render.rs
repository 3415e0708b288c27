use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use prost::{DecodeError, Message};
use slimspan_proto::Signal;

use super::{Verbosity, brief, counts, detailed};
use crate::terminal::{Page, Piece, Style};

/// Shows an OTLP export request of `signal` to a person.
///
/// Every line ends with a line feed. A request that does not decode gives one line that says so.
pub fn render(signal: Signal, request: &[u8], verbosity: Verbosity, style: Style) -> String {
    let mut page = Page::new(style);
    let told = |error: DecodeError| error.to_string();
    let shown = match signal {
        Signal::Traces => ExportTraceServiceRequest::decode(request)
            .map_err(told)
            .map(|traces| {
                page.line(0, counts::traces(&traces, request.len()));
                match verbosity {
                    Verbosity::Basic => {}
                    Verbosity::Normal => brief::traces(&mut page, &traces),
                    Verbosity::Detailed => detailed::traces(&mut page, &traces),
                }
            }),
        Signal::Logs => ExportLogsServiceRequest::decode(request)
            .map_err(told)
            .map(|logs| {
                page.line(0, counts::logs(&logs, request.len()));
                match verbosity {
                    Verbosity::Basic => {}
                    Verbosity::Normal => brief::logs(&mut page, &logs),
                    Verbosity::Detailed => detailed::logs(&mut page, &logs),
                }
            }),
        Signal::Metrics => ExportMetricsServiceRequest::decode(request)
            .map_err(told)
            .map(|metrics| {
                page.line(0, counts::metrics(&metrics, request.len()));
                match verbosity {
                    Verbosity::Basic => {}
                    Verbosity::Normal => brief::metrics(&mut page, &metrics),
                    Verbosity::Detailed => detailed::metrics(&mut page, &metrics),
                }
            }),
        Signal::Profiles => counts::profiles(request)
            .map_err(|error| error.to_string())
            .map(|line| page.line(0, line)),
    };
    if let Err(error) = shown {
        let size = bytesize::ByteSize::b(request.len() as u64);
        page.line(
            0,
            [
                Piece::title(signal.name()),
                Piece::text(format!(": {size} that cannot be shown: ")),
                Piece::bad(error),
            ],
        );
    }
    page.finish()
}
