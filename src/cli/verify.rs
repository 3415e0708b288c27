//! `slimspan verify --config FILE`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use bytesize::ByteSize;
use clap::Args;
use futures::{StreamExt as _, stream};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use slimspan_artifact::Digest;

use super::progress::Progress;
use super::stores::StoreArguments;
use super::{complain, say};
use crate::compute;
use crate::storage::{ListedArtifact, Store, StoreError};
use crate::tenant::TenantId;

/// What is read of an artifact at a time.
const PIECE: u64 = 4 << 20;

/// Artifacts that are read at a time.
const CONCURRENT: usize = 4;

/// Read artifacts in the store again, and check their bytes against their digests
///
/// Nothing is changed, moved or deleted. What is wrong is told, one line each, and a report ends it.
///
/// The exit code is 0 when all is right, 1 when something is damaged, misplaced or cannot be read, and 2 when
/// the configuration or the usage is wrong.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    store: StoreArguments,
    /// Only the artifacts of this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<TenantId>,
    /// Only artifacts whose digests begin with this, such as 0a
    #[arg(long, value_name = "HEX", value_parser = prefix, default_value = "")]
    prefix: String,
    /// Only a part of them, chosen anew each time: 5% or 0.05
    #[arg(long, value_name = "PART", value_parser = sample, default_value = "1")]
    sample: f64,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Artifacts that were read, and are right.
    right: u64,
    /// Their bytes.
    bytes: u64,
    /// Artifacts whose bytes are others.
    damaged: Vec<Finding>,
    /// Objects that are no artifact, or not where they belong.
    misplaced: Vec<Finding>,
    /// Artifacts that could not be read.
    unreadable: Vec<Finding>,
    /// Artifacts that were not chosen.
    left_out: u64,
    milliseconds: u64,
}

#[derive(Debug, Serialize)]
struct Finding {
    tenant: TenantId,
    key: String,
    problem: String,
}

pub(super) fn verify(verify: &Verify) -> anyhow::Result<ExitCode> {
    let config = match verify.store.config.load() {
        Ok(config) => config,
        Err(exit_code) => return Ok(exit_code),
    };
    let store = verify.store.open(&config)?;
    let runtime = super::runtime()?;
    let report = runtime.block_on(check(verify, &store))?;
    let is_well = report.is_well();
    if verify.json {
        let text = serde_json::to_string_pretty(&report).context("cannot write the report")?;
        say(format_args!("{text}\n"));
    } else {
        say(report.text(&store));
    }
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn check(verify: &Verify, store: &Store) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let tenants = match &verify.tenant {
        Some(tenant) => vec![tenant.clone()],
        None => store.tenants().await?,
    };
    let mut report = Report::default();
    // All that is to be read is known before it is read, so that there is something to tell of how far it is.
    let mut chosen: BTreeMap<TenantId, Vec<ListedArtifact>> = BTreeMap::new();
    let searching = Progress::searching("looking for artifacts");
    for tenant in tenants {
        let of_tenant = store.of_tenant(&tenant);
        for shard in 0..=u8::MAX {
            if !overlaps(&format!("{shard:02x}"), &verify.prefix) {
                continue;
            }
            for artifact in of_tenant.list_shard(shard).await? {
                let name = artifact.key.rsplit('/').next().unwrap_or_default();
                if !name.starts_with(&verify.prefix) {
                    continue;
                }
                if verify.sample < 1.0 && rand::random::<f64>() >= verify.sample {
                    report.left_out += 1;
                    continue;
                }
                searching.add(1);
                chosen.entry(tenant.clone()).or_default().push(artifact);
            }
        }
    }
    drop(searching);
    let total = chosen.values().flatten().map(|artifact| artifact.size);
    let progress = Arc::new(Progress::of(total.sum(), "reading"));
    for (tenant, artifacts) in chosen {
        let of_tenant = store.of_tenant(&tenant);
        let checks = artifacts.into_iter().map(|artifact| {
            let (store, progress) = (of_tenant.clone(), Arc::clone(&progress));
            async move {
                let outcome = match artifact.digest {
                    None => None,
                    Some(digest) => Some(hash(&store, digest, artifact.size, &progress).await),
                };
                (artifact, outcome)
            }
        });
        let mut checks = stream::iter(checks).buffer_unordered(CONCURRENT);
        while let Some((artifact, outcome)) = checks.next().await {
            let finding = |problem: String| {
                progress.complain(format_args!("{}: {problem}", artifact.key));
                Finding {
                    tenant: tenant.clone(),
                    key: artifact.key.clone(),
                    problem,
                }
            };
            match (artifact.digest, outcome) {
                (Some(digest), Some(Ok(found))) if found == digest => {
                    report.right += 1;
                    report.bytes += artifact.size;
                }
                (_, Some(Ok(found))) => {
                    let problem = format!("damaged: the sha256 of its bytes is {found}");
                    report.damaged.push(finding(problem));
                }
                // It was deleted meanwhile.
                (_, Some(Err(StoreError::NotFound { .. }))) => {}
                (_, Some(Err(error))) => {
                    report.unreadable.push(finding(error.to_string()));
                }
                (_, None) => {
                    let problem = "no artifact belongs there".to_owned();
                    report.misplaced.push(finding(problem));
                }
            }
        }
    }
    report.milliseconds = begun.elapsed().as_millis() as u64;
    Ok(report)
}

async fn hash(
    store: &Store,
    digest: Digest,
    size: u64,
    progress: &Progress,
) -> Result<Digest, StoreError> {
    let (mut hasher, mut at) = (Sha256::new(), 0);
    while at < size {
        let piece = store.read(&digest, at..(at + PIECE).min(size)).await?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        progress.add(piece.len() as u64);
        let done = compute::run(move || {
            hasher.update(&piece);
            hasher
        });
        hasher = done.await.unwrap_or_default();
    }
    Ok(Digest::from(<[u8; 32]>::from(hasher.finalize())))
}

impl Report {
    fn is_well(&self) -> bool {
        self.damaged.is_empty() && self.misplaced.is_empty() && self.unreadable.is_empty()
    }

    fn text(&self, store: &Store) -> String {
        let rate = self.bytes.saturating_mul(1000) / self.milliseconds.max(1);
        let mut lines = vec![format!(
            "{store}: {} artifacts of {} are right; read in {:.1} s, {}/s",
            self.right,
            ByteSize::b(self.bytes),
            self.milliseconds as f64 / 1000.0,
            ByteSize::b(rate)
        )];
        for (what, findings) in [
            ("damaged", &self.damaged),
            ("misplaced", &self.misplaced),
            ("not readable", &self.unreadable),
        ] {
            if !findings.is_empty() {
                lines.push(format!("{} {what}", findings.len()));
            }
        }
        if self.left_out > 0 {
            lines.push(format!("{} were not chosen", self.left_out));
        }
        if !self.is_well() {
            complain(
                "nothing was changed: what is damaged is to be restored from a copy, or deleted",
            );
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// Whether a digest that begins with the one can begin with the other.
fn overlaps(shard: &str, prefix: &str) -> bool {
    shard.starts_with(prefix) || prefix.starts_with(shard)
}

fn prefix(text: &str) -> Result<String, String> {
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if text.len() <= 64 && text.chars().all(is_hex) {
        Ok(text.to_owned())
    } else {
        Err("it is up to 64 of the characters 0-9 and a-f".to_owned())
    }
}

fn sample(text: &str) -> Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|number| number / 100.0),
        None => text.parse(),
    };
    number
        .ok()
        .filter(|number| *number > 0.0 && *number <= 1.0)
        .ok_or_else(|| "it is more than 0 and at most 1, or 100%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_prefixes() {
        assert_eq!(sample("5%"), Ok(0.05));
        assert_eq!(sample("0.5"), Ok(0.5));
        assert_eq!(sample("100%"), Ok(1.0));
        for text in ["0", "-1", "1.5", "200%", "much", "NaN"] {
            assert!(sample(text).is_err(), "{text}");
        }
        assert!(overlaps("0a", "") && overlaps("0a", "0") && overlaps("0a", "0abc"));
        assert!(!overlaps("0a", "0b") && !overlaps("0a", "a"));
        assert!(prefix("0aF").is_err());
    }
}
