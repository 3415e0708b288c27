//! What was listed is read, and its bytes are compared with its digest.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use slimspan_artifact::Digest;

use super::super::progress::Progress;
use super::report::{Finding, Report};
use crate::compute;
use crate::storage::{ListError, ListedArtifact, Store, StoreError};

/// What is read of an artifact at a time.
const PIECE: u64 = 4 << 20;

/// Artifacts that are read at a time.
const CONCURRENT: usize = 4;

/// Reads these artifacts of each of these tenants. What is not there though it was listed may have been deleted
/// meanwhile: it is listed once more, and what is there still and cannot be had is lost.
pub(super) async fn read(
    chosen: Vec<(Store, Vec<ListedArtifact>)>,
    report: &mut Report,
) -> Result<(), ListError> {
    let all = chosen.iter().flat_map(|(_, artifacts)| artifacts);
    let progress = Progress::of(all.map(|artifact| artifact.size).sum(), "reading");
    let progress = Arc::new(progress);
    for (of_tenant, artifacts) in chosen {
        let missing = look(&of_tenant, artifacts, report, &progress).await;
        let left = listed_still(&of_tenant, &missing).await?;
        report.vanished += missing.len().saturating_sub(left.len()) as u64;
        // It may have come again.
        for lost in look(&of_tenant, left, report, &progress).await {
            let problem = "lost: it is listed, and the store says that it has no such object";
            let finding = found(&of_tenant, &lost, problem.to_owned(), &progress);
            report.unreadable.push(finding);
        }
    }
    Ok(())
}

/// Reads artifacts of a tenant; those that are not there.
async fn look(
    of_tenant: &Store,
    artifacts: Vec<ListedArtifact>,
    report: &mut Report,
    progress: &Arc<Progress>,
) -> Vec<ListedArtifact> {
    let checks = artifacts.into_iter().map(|artifact| {
        let (store, progress) = (of_tenant.clone(), Arc::clone(progress));
        async move {
            let outcome = match artifact.digest {
                None => None,
                Some(digest) => Some(hash(&store, digest, artifact.size, &progress).await),
            };
            (artifact, outcome)
        }
    });
    let mut checks = stream::iter(checks).buffer_unordered(CONCURRENT);
    let mut missing = Vec::new();
    while let Some((artifact, outcome)) = checks.next().await {
        let finding = |problem: String| found(of_tenant, &artifact, problem, progress);
        match (artifact.digest, outcome) {
            (Some(digest), Some(Ok(found))) if found == digest => {
                report.right += 1;
                report.bytes += artifact.size;
            }
            (_, Some(Ok(found))) => {
                let problem = format!("damaged: the sha256 of its bytes is {found}");
                report.damaged.push(finding(problem));
            }
            (_, Some(Err(StoreError::NotFound { .. }))) => missing.push(artifact),
            (_, Some(Err(error))) => {
                report.unreadable.push(finding(error.to_string()));
            }
            (_, None) => {
                let problem = "no artifact belongs there".to_owned();
                report.misplaced.push(finding(problem));
            }
        }
    }
    missing
}

/// Those of these artifacts that the store lists.
async fn listed_still(
    of_tenant: &Store,
    artifacts: &[ListedArtifact],
) -> Result<Vec<ListedArtifact>, ListError> {
    let digests = artifacts.iter().filter_map(|artifact| artifact.digest);
    let digests: HashSet<Digest> = digests.collect();
    let shards = digests
        .iter()
        .filter_map(|digest| digest.as_bytes().first());
    let shards: BTreeSet<u8> = shards.copied().collect();
    let mut left = Vec::new();
    for shard in shards {
        let listed = of_tenant.list_shard(shard).await?.into_iter();
        let is_one = |of: &ListedArtifact| of.digest.is_some_and(|of| digests.contains(&of));
        left.extend(listed.filter(is_one));
    }
    Ok(left)
}

/// Tells what is wrong with an object.
fn found(
    of_tenant: &Store,
    artifact: &ListedArtifact,
    problem: String,
    progress: &Progress,
) -> Finding {
    progress.complain(format_args!("{}: {problem}", artifact.key));
    Finding {
        tenant: of_tenant.tenant().clone(),
        key: artifact.key.clone(),
        problem,
    }
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
