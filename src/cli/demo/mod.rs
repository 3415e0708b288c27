//! `slimspan demo`: sends a few spans with files in them and shows what became of them.

mod cases;
mod changes;
mod receiver;
mod report;
mod savings;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use slimspan_artifact::{Artifact, Extraction, Policy, extract};
use slimspan_proto::Signal;

use super::{ConfigFile, say};
use crate::auth::config::AuthConfig;
use crate::auth::{Authorizer, BearerToken, Credentials};
use crate::client::Client;
use crate::config::{ArtifactConfig, ComponentId, Config, ExtensionConfig, PipelineConfig};
use crate::exporters::otlp_grpc::Endpoint;
use crate::storage::Store;
use crate::tenant::TenantId;
use crate::terminal::Style;
use cases::cases;
use receiver::Receiver;
use report::{DemoOutcome, StoredArtifact, report};

#[derive(Debug, Args)]
pub(super) struct Demo {
    #[command(flatten)]
    file: ConfigFile,
    /// Where the running slimspan listens, if not where its configuration says
    #[arg(long, value_name = "HOST:PORT")]
    endpoint: Option<Endpoint>,
}

/// What the demo has to know of the running slimspan.
struct Target {
    exporter: Receiver,
    authorizer: Option<Authorizer>,
    policy: Policy,
    store: Store,
}

pub(super) fn demo(demo: &Demo) -> anyhow::Result<ExitCode> {
    let config = match demo.file.load() {
        Ok(config) => config,
        Err(exit_code) => return Ok(exit_code),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(async {
        let target = Target::find(&config, demo.endpoint.as_ref())?;
        let cases = cases();
        let mut outcomes = Vec::new();
        let mut extractions = Vec::new();
        for case in &cases {
            let credentials = Credentials {
                authorizer: target.authorizer.as_ref(),
                client: &Client::unknown(),
            };
            let answer = target.exporter.send(&case.request, credentials).await;
            // What a reference says follows from the bytes alone, so this process comes to the
            // same slim span as the one that sent it on; that it did shows in the store, where
            // nothing but that run can have put these files.
            let extraction = extract(Signal::Traces, &case.request, &target.policy)?;
            let mut artifacts = Vec::new();
            for artifact in &extraction.artifacts {
                artifacts.push(target.look_up(artifact).await);
            }
            extractions.push((extraction, artifacts, answer));
        }
        for (case, (extraction, artifacts, answer)) in cases.iter().zip(&extractions) {
            let Extraction { request, .. } = extraction;
            outcomes.push(DemoOutcome {
                name: case.name,
                original: &case.request,
                slim: request,
                artifacts: artifacts.clone(),
                answer: match answer {
                    Ok(_) => Ok(()),
                    Err(refusal) => Err(refusal.to_string()),
                },
            });
        }
        let style = if std::io::stdout().is_terminal() {
            Style::Ansi
        } else {
            Style::Plain
        };
        say(report(&outcomes, style));
        let all_well = outcomes.iter().all(|outcome| {
            let mut artifacts = outcome.artifacts.iter();
            outcome.answer.is_ok() && artifacts.all(|artifact| artifact.verified.is_ok())
        });
        Ok(if all_well {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    })
}

impl Target {
    fn find(config: &Config, endpoint: Option<&Endpoint>) -> anyhow::Result<Self> {
        let (wiring, id, artifact) = artifact_pipeline(config).context(
            "the configuration has no traces pipeline with an artifact processor to show",
        )?;
        let Some(ExtensionConfig::ArtifactStore(store)) = config.extensions.get(&artifact.store)
        else {
            anyhow::bail!("extensions.{} is not configured", artifact.store);
        };
        if artifact.dry_run {
            anyhow::bail!("processors.{id} has dry_run: true, so nothing would become of files");
        }
        let location = Store::location_of(store, &TenantId::default())?;
        let store = Store::open_beside(store)?;
        let (exporter, auth) = Receiver::find(config, &wiring, endpoint)?;
        Ok(Self {
            exporter,
            authorizer: token(config, auth)?,
            policy: artifact.policy(location),
            store,
        })
    }

    /// Fetches the artifact from where its reference says it is.
    async fn look_up(&self, artifact: &Artifact) -> StoredArtifact {
        StoredArtifact {
            digest: artifact.digest,
            media_type: artifact.media_type.clone(),
            size: artifact.bytes.len() as u64,
            uri: self
                .policy
                .address(artifact.digest, &artifact.media_type)
                .unwrap_or_default(),
            verified: match self.store.get(&artifact.digest).await {
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

fn artifact_pipeline(config: &Config) -> Option<(PipelineConfig, &ComponentId, &ArtifactConfig)> {
    let mut pipelines = config.service.pipelines.iter();
    pipelines.find_map(|(id, wiring)| {
        let (processor, artifact) = config.artifact_processor(wiring)?;
        (id.signal == Signal::Traces).then(|| {
            // With the receivers of the pipelines before it.
            (config.end_to_end(id, wiring), processor, artifact)
        })
    })
}

/// The token that the receiver asks for, if that is what it asks for.
fn token(config: &Config, auth: Option<&AuthConfig>) -> anyhow::Result<Option<Authorizer>> {
    let extension = auth.and_then(|auth| config.extensions.get(&auth.authenticator));
    let Some(ExtensionConfig::BearerToken(bearer)) = extension else {
        return Ok(None);
    };
    let bearer = BearerToken::new("demo", bearer)?;
    Ok(Some(Authorizer::Bearer(Arc::new(bearer))))
}
