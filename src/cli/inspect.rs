//! `slimspan inspect FILE...`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use slimspan_artifact::{Location, Policy, extract};
use slimspan_proto::Signal;

use super::artifact_processor::{artifact_processor, store_config};
use super::otlp_files::{Format, Input, ReadOptions, Requests, parse_signal};
use super::progress::Progress;
use super::{ConfigFile, say};
use crate::config::{ArtifactConfig, ComponentId, Config};
use crate::report::Report;
use crate::storage::Store;
use crate::tenant::TenantId;

/// Without a configuration, references are as long as those of a bucket's.
const TYPICAL_URI: &str = "s3://my-bucket/artifacts/default/sha256";

/// What the store is called that nothing is put into.
const STORE: &str = "artifact_store";

/// Show what slimspan would move out of captured requests; changes and stores nothing
///
/// Reads OTLP export requests: JSON, one or one a line; protobuf, one in a file or many as the
/// Collector's file exporter writes them; each also as gzip or zstd.
///
/// Sizes are those of requests in protobuf, also where they are read from JSON.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The configuration whose artifact processor decides what is moved; without one, the defaults do
    #[arg(long, value_name = "FILE")]
    config: Vec<String>,
    /// Settings that are merged last
    #[arg(long, value_name = "KEY=VALUE", requires = "config")]
    set: Vec<String>,
    /// The artifact processor of the configuration, if it has several
    #[arg(long, value_name = "ID", requires = "config")]
    processor: Option<ComponentId>,
    /// The decoded size from which a file is moved, in place of the configured one
    #[arg(long, value_name = "SIZE", value_parser = threshold)]
    threshold: Option<ByteSize>,
    /// What is printed
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// How the requests stand in the files, if not as their first bytes tell
    #[arg(long, value_enum, value_name = "FORMAT")]
    input_format: Option<Format>,
    /// The signal of requests in protobuf, where neither their fields nor the name of their file
    /// tell: traces, logs or metrics
    #[arg(long, value_parser = parse_signal)]
    signal: Option<Signal>,
    /// The files to read; without any, or for -, standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum ReportFormat {
    /// A table for people
    #[default]
    Table,
    /// A JSON object with raw numbers
    Json,
}

pub(super) fn inspect(inspect: &Inspect) -> anyhow::Result<ExitCode> {
    let file = ConfigFile {
        config: inspect.config.clone(),
        set: inspect.set.clone(),
        feature_gates: Vec::new(),
    };
    let config = match (!file.config.is_empty()).then(|| file.load()).transpose() {
        Ok(config) => config,
        Err(exit_code) => return Ok(exit_code),
    };
    let policy = inspect.policy(config.as_ref())?;
    let options = ReadOptions {
        format: inspect.input_format,
        signal: inspect.signal,
    };
    let inputs = Input::of_arguments(&inspect.files)?;
    let progress = Progress::over(&inputs);
    let mut report = Report::default();
    for input in &inputs {
        let reader = progress.reading(input.open()?);
        let requests = Requests::read(reader, input.path(), options);
        let requests = requests.with_context(|| input.to_string())?;
        if requests.is_empty() {
            progress.complain(format_args!("{input} is empty, and is skipped"));
            continue;
        }
        for (index, request) in requests.enumerate() {
            let place = || format!("{input}, request {}", index + 1);
            let request = request.with_context(place)?;
            let extraction =
                extract(request.signal, &request.protobuf, &policy).with_context(place)?;
            report.add(&extraction, request.protobuf.len());
        }
    }
    drop(progress);
    match inspect.format {
        ReportFormat::Table => say(report.to_table()),
        ReportFormat::Json => say(format_args!("{}\n", serde_json::to_string_pretty(&report)?)),
    }
    Ok(ExitCode::SUCCESS)
}

impl Inspect {
    fn policy(&self, config: Option<&Config>) -> anyhow::Result<Policy> {
        let mut policy = match config {
            None => {
                ArtifactConfig::new(STORE.parse()?).policy(Location::Store(TYPICAL_URI.to_owned()))
            }
            Some(config) => {
                let artifact = artifact_processor(config, self.processor.as_ref())?;
                artifact.policy(Store::location_of(
                    store_config(config, artifact)?,
                    &TenantId::default(),
                )?)
            }
        };
        if let Some(threshold) = self.threshold {
            policy.threshold = usize::try_from(threshold.as_u64())?;
        }
        Ok(policy)
    }
}

fn threshold(size: &str) -> Result<ByteSize, String> {
    match size.parse() {
        Ok(size) if size != ByteSize::b(0) => Ok(size),
        _ => Err("use a number of bytes with a unit such as 8KiB, at least 1".to_owned()),
    }
}
