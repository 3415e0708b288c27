//! What there is to configure, as `slimspan components` lists it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::components::{
    Component, ExporterConfig, ExtensionConfig, ProcessorConfig, ReceiverConfig, Stability,
};
use super::source::SCHEMES;

/// Every type of component, and every scheme that a configuration can come from.
#[derive(Debug, Serialize)]
pub struct Inventory {
    buildinfo: BuildInfo,
    receivers: Vec<Listed>,
    processors: Vec<Listed>,
    exporters: Vec<Listed>,
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
    stability: BTreeMap<&'static str, Stability>,
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
            [(C::KIND, of.stability)].into()
        } else {
            let signals = of.signals.iter();
            signals
                .map(|signal| (signal.name(), of.stability))
                .collect()
        },
    });
    types.collect()
}
