use std::process::ExitCode;

use anyhow::bail;
use bytesize::ByteSize;
use clap::Args;
use serde_json::json;
use slimspan_artifact::Digest;

use super::super::say;
use super::block_on;
use super::ls::table;
use super::opened::OfStore;
use crate::catalog::{Filter, MAX_PAGE, State, Tenants};
use crate::tenant::TenantId;
use crate::terminal::{Page, Piece, Style};

/// Show what is known of a file, and every place that refers to it
///
/// The exit code is 1 where nothing refers to it, or it was deleted.
#[derive(Debug, Args)]
pub(crate) struct Stat {
    #[command(flatten)]
    of: OfStore,
    /// Whose file it is
    #[arg(long, value_name = "NAME", default_value_t)]
    tenant: TenantId,
    /// The file
    #[arg(value_name = "SHA256")]
    artifact: Digest,
    /// A JSON object with all of it
    #[arg(long)]
    json: bool,
}

pub(crate) fn stat(stat: &Stat) -> anyhow::Result<ExitCode> {
    block_on(async {
        let opened = match stat.of.open().await? {
            Ok(opened) => opened,
            Err(code) => return Ok(code),
        };
        let (index, digest) = (opened.catalog.index(), stat.artifact);
        let tenants = Tenants::one(stat.tenant.clone());
        let facts = index.artifact(&tenants, &digest).await?;
        let is_known = (facts.as_ref()).is_some_and(|facts| facts.state != State::Referred);
        let deleted = if is_known {
            None
        } else {
            index.tombstone(&stat.tenant, &digest).await?
        };
        let Some(facts) = facts.filter(|_| deleted.is_none()) else {
            match deleted {
                Some(tombstone) => {
                    let of_tenant = opened.store.of_tenant(&stat.tenant);
                    let is_there = of_tenant.has(&digest).await?;
                    bail!(
                        "{digest} was deleted at {:.0}: {}{}",
                        tombstone.time,
                        tombstone.reason,
                        if is_there {
                            "; the store still has it"
                        } else {
                            ""
                        }
                    )
                }
                None => bail!(
                    "nothing of the tenant {} refers to {digest}, or not for seconds yet",
                    stat.tenant
                ),
            }
        };
        let is_there = opened.store.of_tenant(&stat.tenant).has(&digest).await?;
        let filter = Filter {
            tenants,
            digest: Some(digest),
            ..Filter::default()
        };
        let (mut places, mut after) = (Vec::new(), None);
        loop {
            let page = index.page(&filter, MAX_PAGE, after).await?;
            places.extend(page.entries);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if stat.json {
            let facts = json!({
                "sha256": digest.to_string(),
                "tenant": stat.tenant,
                "content_type": facts.content_type,
                "size_bytes": facts.size,
                "filename": facts.file_name,
                "state": facts.state,
                "in_store": is_there,
                "references": facts.references,
                "first": format!("{:.6}", facts.first),
                "last": format!("{:.6}", facts.last),
                "places": places,
            });
            say(format_args!("{facts:#}\n"));
            return Ok(ExitCode::SUCCESS);
        }
        let mut page = Page::new(Style::Plain);
        let mut fact = |name: &str, value: &str| {
            page.line(0, [Piece::text(format!("{name:<12}{value}"))]);
        };
        fact("sha256", &digest.to_string());
        fact("type", &facts.content_type);
        fact("size", &ByteSize::b(facts.size).to_string());
        if let Some(name) = &facts.file_name {
            fact("name", name);
        }
        fact("state", facts.state.name());
        fact("in store", if is_there { "yes" } else { "no" });
        fact("first", &format!("{:.0}", facts.first));
        fact("last", &format!("{:.0}", facts.last));
        fact("references", &facts.references.to_string());
        page.line(0, []);
        say(page.finish());
        say(table(&places, &mut Vec::new()));
        Ok(ExitCode::SUCCESS)
    })
}
