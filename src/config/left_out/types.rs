//! Types of components that the Collector has, in its core or its contrib distribution, and that are left out
//! here: those that people bring along.

/// Some types of one kind of component, and what to do instead of each.
struct Types {
    kind: &'static str,
    names: &'static [&'static str],
    why: &'static str,
}

const TYPES: &[Types] = &[
    Types {
        kind: "receiver",
        names: &[
            "awsxray",
            "datadog",
            "docker_stats",
            "filelog",
            "fluentforward",
            "hostmetrics",
            "httpcheck",
            "jaeger",
            "journald",
            "k8s_cluster",
            "k8s_events",
            "k8sobjects",
            "kafka",
            "kubeletstats",
            "loki",
            "nop",
            "opencensus",
            "otelarrow",
            "otlpjsonfile",
            "prometheus",
            "prometheusremotewrite",
            "redis",
            "splunk_hec",
            "statsd",
            "syslog",
            "tcplog",
            "webhookevent",
            "zipkin",
        ],
        why: "OTLP is all that comes in here; place slimspan behind a Collector that has this receiver, and \
              remove it",
    },
    Types {
        kind: "processor",
        names: &[
            "attributes",
            "cumulativetodelta",
            "deltatorate",
            "filter",
            "geoip",
            "groupbyattrs",
            "groupbytrace",
            "interval",
            "k8sattributes",
            "logdedup",
            "metricstransform",
            "probabilistic_sampler",
            "redaction",
            "resource",
            "resourcedetection",
            "routing",
            "servicegraph",
            "span",
            "spanmetrics",
            "tail_sampling",
            "transform",
        ],
        why: "files are all that is changed here; place slimspan before or behind a Collector that does it (see \
              docs/placing.md), and remove it",
    },
    Types {
        kind: "processor",
        names: &["queuebatch"],
        why: "use the processor batch, which lets each sender wait for what becomes of its batch, and the \
              sending_queue of an exporter",
    },
    Types {
        kind: "exporter",
        names: &["logging"],
        why: "use debug, which has taken its place",
    },
    Types {
        kind: "exporter",
        names: &[
            "awscloudwatchlogs",
            "awsemf",
            "awss3",
            "awsxray",
            "azuremonitor",
            "clickhouse",
            "coralogix",
            "datadog",
            "elasticsearch",
            "googlecloud",
            "influxdb",
            "jaeger",
            "kafka",
            "loadbalancing",
            "loki",
            "nop",
            "opensearch",
            "otelarrow",
            "prometheus",
            "prometheusremotewrite",
            "pulsar",
            "sentry",
            "signalfx",
            "splunk_hec",
            "sumologic",
            "syslog",
            "zipkin",
        ],
        why: "OTLP is all that goes out here; place slimspan before a Collector that has this exporter, and send \
              there with otlp_grpc",
    },
    Types {
        kind: "connector",
        names: &[
            "count",
            "datadog",
            "exceptions",
            "failover",
            "grafanacloud",
            "metricsaslogs",
            "otlpjson",
            "roundrobin",
            "routing",
            "servicegraph",
            "signaltometrics",
            "slowsql",
            "spanmetrics",
            "sum",
        ],
        why: "requests go from one pipeline to another as they are here; place slimspan before or behind a \
              Collector that has the connector (see docs/placing.md), and remove it",
    },
    Types {
        kind: "extension",
        names: &["memory_ballast"],
        why: "there is no garbage to collect, so nothing is gained by memory that nobody uses; remove it",
    },
    Types {
        kind: "extension",
        names: &["oauth2client"],
        why: "use bearertokenauth with filename: a token that another program writes there is used from then on",
    },
    Types {
        kind: "extension",
        names: &["oidc"],
        why: "use bearertokenauth or basicauth, or a proxy before slimspan that knows who sends",
    },
    Types {
        kind: "extension",
        names: &["asapclient", "sigv4auth"],
        why: "requests are not signed here; send to a Collector that signs them",
    },
    Types {
        kind: "extension",
        names: &[
            "ack",
            "cgroupruntime",
            "docker_observer",
            "host_observer",
            "jaegerremotesampling",
            "k8s_observer",
            "opamp",
        ],
        why: "nothing here has a use for it; remove it, and keep it in a Collector that has",
    },
];

/// Why there is no such type of a kind of component, if it is left out.
pub(in crate::config) fn why_type(component_type: &str, kind: &str) -> Option<&'static str> {
    let mut types = TYPES.iter();
    let of = types.find(|of| of.kind == kind && of.names.contains(&component_type))?;
    Some(of.why)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::components::{
        Component, ConnectorConfig, ExporterConfig, ExtensionConfig, ProcessorConfig,
        ReceiverConfig,
    };
    use super::*;

    fn known<C: Component>() -> impl Iterator<Item = (&'static str, &'static str)> {
        let names = C::TYPES.iter().flat_map(|of| [Some(of.name), of.alias]);
        names.flatten().map(|name| (C::KIND, name))
    }

    /// Each is told why once, and none of them is there.
    #[test]
    fn what_is_left_out_is_not_there() {
        let known: BTreeSet<_> = known::<ReceiverConfig>()
            .chain(known::<ProcessorConfig>())
            .chain(known::<ExporterConfig>())
            .chain(known::<ConnectorConfig>())
            .chain(known::<ExtensionConfig>())
            .collect();
        let mut told = BTreeSet::new();
        for types in TYPES {
            for name in types.names {
                let of_kind = (types.kind, *name);
                assert!(!known.contains(&of_kind), "{of_kind:?}");
                assert!(told.insert(of_kind), "{of_kind:?} is told twice");
                assert_eq!(why_type(name, types.kind), Some(types.why));
            }
            let kinds = known.iter().map(|(kind, _)| *kind);
            assert!(kinds.collect::<BTreeSet<_>>().contains(types.kind));
        }
        assert_eq!(why_type("oidc", "receiver"), None);
    }
}
