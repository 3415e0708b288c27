use std::fmt;

/// The telemetry signals that have an OTLP service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// `ExportTraceServiceRequest`.
    Traces,
    /// `ExportLogsServiceRequest`.
    Logs,
    /// `ExportMetricsServiceRequest`.
    Metrics,
    /// `ExportProfilesServiceRequest`, of which the schema is still being developed: only what leads
    /// to its items is known here.
    Profiles,
}

impl Signal {
    /// Every signal, in the order people list them.
    pub const ALL: [Self; 4] = [Self::Traces, Self::Metrics, Self::Logs, Self::Profiles];

    /// Those whose items are known field by field. Others pass through as they are: nothing in them is
    /// looked at, and as JSON they are neither read nor written.
    pub const READ: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// The name used in pipeline ids, such as `traces`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Profiles => "profiles",
        }
    }

    /// The gRPC method of the signal's `Export` call, with its leading slash.
    pub fn grpc_path(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Profiles => {
                "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
            }
        }
    }

    /// The path that requests are sent to over HTTP, if nothing else is said.
    pub fn http_path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
            Self::Metrics => "/v1/metrics",
            Self::Profiles => "/v1development/profiles",
        }
    }

    /// Whether some of the items of a request are a request as well. Profiles have one dictionary, which
    /// they point into by index: apart from the others, each would need all of it.
    pub fn is_divisible(self) -> bool {
        match self {
            Self::Traces | Self::Logs | Self::Metrics => true,
            Self::Profiles => false,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
