mod everywhere;

use std::cell::RefCell;
use std::process::ExitCode;

use anyhow::ensure;
use clap::{ArgGroup, Args};
use serde_json::json;
use slimspan_artifact::Digest;

use super::super::progress::Progress;
use super::super::{complain, say};
use super::block_on;
use super::opened::{OfStore, Opened};
use crate::catalog::{CatalogError, Deleted, Erased, Erasing, Filter, Tenants, TraceId};
use crate::tenant::TenantId;

/// What is said wherever a trace is deleted.
const BY_THEMSELVES: &str = "files that were put by themselves (slimspan put, logfire.Artifact) do not go with a \
                             trace, whatever its spans refer to: rm --artifact deletes them";

/// Delete a file, the files of a trace, or all of a tenant
///
/// The bytes go, and a tombstone says why: whoever asks for them is told. Of a trace, files that something
/// else refers to stay; and those that were stored lately wait until it is known that nothing does, and go then by
/// themselves. Files that were put by themselves do not go with a trace: they are deleted by their digests. Nothing
/// is deleted without --yes; what would be is told.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub(crate) struct Remove {
    #[command(flatten)]
    of: OfStore,
    /// Whose it is
    #[arg(long, value_name = "NAME", default_value_t)]
    tenant: TenantId,
    /// The file of every tenant that has it, or of whom something refers to it
    #[arg(long, conflicts_with_all = ["tenant", "trace", "all"])]
    all_tenants: bool,
    /// This file
    #[arg(long, value_name = "SHA256", group = "what")]
    artifact: Option<Digest>,
    /// The files of this trace
    #[arg(long, value_name = "ID", group = "what")]
    trace: Option<TraceId>,
    /// Everything of the tenant
    #[arg(long, group = "what")]
    all: bool,
    /// Why, for whoever asks for it
    #[arg(long, value_name = "TEXT", default_value = "deleted by hand")]
    reason: String,
    /// Really delete
    #[arg(long)]
    yes: bool,
    /// A JSON object that says what was deleted, or would be
    #[arg(long)]
    json: bool,
}

pub(crate) fn rm(remove: &Remove) -> anyhow::Result<ExitCode> {
    block_on(async {
        let opened = match remove.of.open().await? {
            Ok(opened) => opened,
            Err(code) => return Ok(code),
        };
        // Without it nobody knows what else refers to the files of a trace.
        ensure!(
            opened.is_written || remove.trace.is_none(),
            "extensions.{}.catalog.enabled is false: what refers to a file is not known, so nothing goes with a \
             trace; rm --artifact deletes a file whatever refers to it",
            opened.id
        );
        if let (Some(digest), true) = (remove.artifact, remove.all_tenants) {
            everywhere::rm(remove, &opened, digest).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let tenant = &remove.tenant;
        let (deleted, what) = match (remove.artifact, remove.trace) {
            (Some(digest), _) => (Deleted::Artifact { digest }, format!("the file {digest}")),
            (None, Some(trace)) => (Deleted::Trace { trace }, format!("the trace {trace}")),
            (None, None) => (Deleted::Tenant, "everything".to_owned()),
        };
        if !remove.yes {
            let filter = Filter {
                tenants: Tenants::one(tenant.clone()),
                digest: remove.artifact,
                trace: remove.trace,
                ..Filter::default()
            };
            let hidden = opened.catalog.index().count(&filter).await?;
            if remove.json {
                let told = json!({ "would_delete": what, "tenant": tenant, "references": hidden });
                say(format_args!("{told:#}\n"));
            } else {
                say(format_args!(
                    "would delete {what} of the tenant {tenant}, with {hidden} references: --yes does it\n"
                ));
                tell_what_stays(deleted);
            }
            return Ok(ExitCode::SUCCESS);
        }
        let erased = erase(remove, &opened, deleted).await?;
        if remove.json {
            let waiting: Vec<_> = erased.waiting.iter().map(ToString::to_string).collect();
            let told = json!({
                "artifacts": erased.artifacts,
                "absent": erased.absent,
                "tombstones": erased.tombstones,
                "waiting": waiting,
                "until": erased.until.map(|until| format!("{until:.0}")),
            });
            say(format_args!("{told:#}\n"));
        } else {
            let absent = match erased.absent {
                0 => String::new(),
                absent => format!(", and {absent} that were not there"),
            };
            say(format_args!(
                "deleted {what} of the tenant {tenant}: {} files{absent}\n",
                erased.artifacts
            ));
            if let Some(until) = erased.until {
                say(format_args!(
                    "{} files were stored lately and stay: something else may refer to them that is not in the \
                     catalog yet. A slimspan that runs deletes them after {until:.0}, and so does the same command \
                     then; rm --artifact does at once:\n",
                    erased.waiting.len()
                ));
                for digest in &erased.waiting {
                    say(format_args!("  {digest}\n"));
                }
            }
            tell_what_stays(deleted);
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Nobody sees from a trace which files were put for it.
fn tell_what_stays(deleted: Deleted) {
    if matches!(deleted, Deleted::Trace { .. }) {
        complain(BY_THEMSELVES);
    }
}

/// Deletes it, and shows how far that has come.
async fn erase(remove: &Remove, opened: &Opened, deleted: Deleted) -> Result<Erased, CatalogError> {
    let (catalog, store) = (&opened.catalog, &opened.store);
    let (tenant, reason) = (&remove.tenant, &remove.reason);
    if remove.artifact.is_some() {
        // One file is gone at once.
        return catalog.erase(store, tenant, deleted, reason).await;
    }
    let looking = Progress::searching("looking for what is to be deleted");
    let progress = RefCell::new(Some(looking));
    let told = |erasing| {
        let mut progress = progress.borrow_mut();
        match erasing {
            Erasing::Begins(count) => {
                // The one before goes first.
                *progress = None;
                *progress = Some(Progress::counting(count, "deleting"));
            }
            Erasing::Looked => {
                if let Some(progress) = progress.as_ref() {
                    progress.add(1);
                }
            }
        }
    };
    let erasing = catalog.erase_telling(store, tenant, deleted, reason, &told);
    erasing.await
}
