use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::{attributes, dropped, field, flags, heading, resource, scope, value};
use crate::exporters::debug::value::time;
use crate::terminal::{Page, hex};

pub(in crate::exporters::debug) fn logs(page: &mut Page, request: &ExportLogsServiceRequest) {
    for (index, logs) in request.resource_logs.iter().enumerate() {
        resource(page, index, &logs.schema_url, logs.resource.as_ref());
        for (index, logs) in logs.scope_logs.iter().enumerate() {
            scope(page, index, &logs.schema_url, logs.scope.as_ref());
            for (index, one) in logs.log_records.iter().enumerate() {
                heading(page, 2, &format!("log record #{index}"));
                record(page, one);
            }
        }
    }
}

fn record(page: &mut Page, record: &LogRecord) {
    field(page, 3, "time", &time(record.time_unix_nano));
    field(page, 3, "observed", &time(record.observed_time_unix_nano));
    let severity = format!("{} ({})", record.severity_text, record.severity_number);
    field(page, 3, "severity", severity.trim_start());
    field(page, 3, "event name", &record.event_name);
    field(page, 3, "trace id", &hex(&record.trace_id));
    field(page, 3, "span id", &hex(&record.span_id));
    field(page, 3, "flags", &flags(record.flags));
    value(page, 3, "body", record.body.as_ref());
    attributes(page, 3, "attributes", &record.attributes);
    dropped(page, 3, "attributes", record.dropped_attributes_count);
}
