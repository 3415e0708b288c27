//! `slimspan rm --artifact SHA256 --all-tenants`

use serde_json::json;
use slimspan_artifact::Digest;

use super::Remove;
use crate::catalog::{Filter, Tenants};
use crate::cli::catalog::opened::Opened;
use crate::cli::say;
use crate::tenant::TenantId;

/// Deletes a file of every tenant that has it, or says whose that would be.
pub(super) async fn rm(remove: &Remove, opened: &Opened, digest: Digest) -> anyhow::Result<()> {
    let (catalog, store) = (&opened.catalog, &opened.store);
    let tenants = catalog.holders(store, &digest).await?;
    let names: Vec<&str> = tenants.iter().map(TenantId::as_str).collect();
    let told = names.join(", ");
    if !remove.yes {
        let filter = Filter {
            tenants: Tenants::These(tenants.clone()),
            digest: Some(digest),
            ..Filter::default()
        };
        let hidden = catalog.index().count(&filter).await?;
        if remove.json {
            let what = format!("the file {digest}");
            let told = json!({ "would_delete": what, "tenants": names, "references": hidden });
            say(format_args!("{told:#}\n"));
        } else if names.is_empty() {
            say(format_args!("no tenant has the file {digest}\n"));
        } else {
            say(format_args!(
                "would delete the file {digest} of the tenants {told}, with {hidden} references: --yes does it\n"
            ));
        }
        return Ok(());
    }
    let erased = catalog.erase_of(store, &tenants, digest, &remove.reason);
    let erased = erased.await?;
    if remove.json {
        let told = json!({
            "tenants": names,
            "artifacts": erased.artifacts,
            "absent": erased.absent,
            "tombstones": erased.tombstones,
            "waiting": [],
            "until": null,
        });
        say(format_args!("{told:#}\n"));
    } else if names.is_empty() {
        say(format_args!("no tenant has the file {digest}\n"));
    } else {
        let absent = match erased.absent {
            0 => String::new(),
            absent => format!(", and {absent} that were not there"),
        };
        say(format_args!(
            "deleted the file {digest} of the tenants {told}: {} files{absent}\n",
            erased.artifacts
        ));
    }
    Ok(())
}
