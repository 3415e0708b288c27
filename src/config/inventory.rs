//! What there is to configure, as `slimspan components` lists it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::components::{
    Component, ConnectorConfig, ExporterConfig, ExtensionConfig, ProcessorConfig, ReceiverConfig,
    Stability,
};
use super::source::SCHEMES;

/// Every type of component, and every scheme that a configuration can come from.
#[derive(Debug, Serialize)]
pub struct Inventory {
    buildinfo: BuildInfo,
    receivers: Vec<Listed>,
    processors: Vec<Listed>,
    exporters: Vec<Listed>,
    connectors: Vec<Listed>,
    extensions: Vec<Listed>,
    providers: Vec<Provider>,
}

#[derive(Debug, Serialize)]
struct BuildInfo {
    command: &'static str,
    description: &'static str,
    version: &'static str,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<&'static str>,
    /// By signal, or of the extension.
    stability: BTreeMap<String, Stability>,
}

#[derive(Debug, Serialize)]
struct Provider {
    scheme: &'static str,
}

impl Inventory {
    /// What this program has.
    pub fn of_this_program() -> Self {
        Self {
            buildinfo: BuildInfo {
                command: env!("CARGO_PKG_NAME"),
                description: env!("CARGO_PKG_DESCRIPTION"),
                version: env!("CARGO_PKG_VERSION"),
            },
            receivers: listed::<ReceiverConfig>(),
            processors: listed::<ProcessorConfig>(),
            exporters: listed::<ExporterConfig>(),
            connectors: listed::<ConnectorConfig>(),
            extensions: listed::<ExtensionConfig>(),
            providers: SCHEMES.map(|scheme| Provider { scheme }).into(),
        }
    }
}

fn listed<C: Component>() -> Vec<Listed> {
    let types = C::TYPES.iter().map(|of| Listed {
        name: of.name,
        alias: of.alias,
        stability: if of.signals.is_empty() {
            [(C::KIND.to_owned(), of.stability)].into()
        } else {
            let signals = of.signals.iter();
            signals
                .map(|signal| {
                    let signal = if C::SECTION == ConnectorConfig::SECTION {
                        format!("{signal}-to-{signal}")
                    } else {
                        signal.to_string()
                    };
                    (signal, of.stability)
                })
                .collect()
        },
    });
    types.collect()
}
