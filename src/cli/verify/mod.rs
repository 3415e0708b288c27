//! `slimspan verify --config FILE`

mod reading;
mod report;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;

use super::progress::Progress;
use super::say;
use super::stores::StoreArguments;
use crate::storage::{ListedArtifact, Store};
use crate::tenant::TenantId;
use reading::read;
use report::Report;

/// Of so many tenants the names are told.
const NAMED: usize = 20;

/// Read artifacts in the store again, and check their bytes against their digests
///
/// Nothing is changed, moved or deleted. What is wrong is told, one line each, and a report ends it. What waits in a
/// spool is not in the store yet, and not looked at.
///
/// The exit code is 0 when all is right, 1 when something is damaged, misplaced, listed and not there, or cannot be
/// read, or when nothing is stored for the tenant, and 2 when the configuration or the usage is wrong.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    choice: Choice,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Which artifacts are read.
#[derive(Debug, Args)]
struct Choice {
    /// Only the artifacts of this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<TenantId>,
    /// Only artifacts whose digests begin with this, such as 0a
    #[arg(long, value_name = "HEX", value_parser = prefix, default_value = "")]
    prefix: String,
    /// Only a part of them, chosen anew each time: 5% or 0.05
    #[arg(long, value_name = "PART", value_parser = sample, default_value = "1")]
    sample: f64,
}

pub(super) fn verify(verify: &Verify) -> anyhow::Result<ExitCode> {
    let config = match verify.store.config.load() {
        Ok(config) => config,
        Err(exit_code) => return Ok(exit_code),
    };
    let store = verify.store.open(&config)?;
    let runtime = super::runtime()?;
    let report = runtime.block_on(check(&verify.choice, &store))?;
    if verify.json {
        let text = serde_json::to_string_pretty(&report).context("cannot write the report")?;
        say(format_args!("{text}\n"));
    } else {
        say(report.text(&store, &verify.choice.prefix));
    }
    Ok(if report.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn check(choice: &Choice, store: &Store) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let tenants = match &choice.tenant {
        Some(tenant) => vec![tenant.clone()],
        None => store.tenants().await?,
    };
    let mut report = Report::default();
    // All that is to be read is known before it is read, so that there is something to tell of how far it is.
    let mut chosen = Vec::with_capacity(tenants.len());
    let searching = Progress::searching("looking for artifacts");
    for tenant in tenants {
        let of_tenant = store.of_tenant(&tenant);
        let artifacts = choice.among(&of_tenant, &mut report, &searching).await?;
        chosen.push((of_tenant, artifacts));
    }
    drop(searching);
    if let (Some(tenant), true) = (&choice.tenant, report.is_empty() && is_none(&chosen)) {
        refuse_unknown(store, tenant).await?;
    }
    read(chosen, &mut report).await?;
    report.milliseconds = begun.elapsed().as_millis() as u64;
    Ok(report)
}

impl Choice {
    /// What is to be read of a tenant's.
    async fn among(
        &self,
        of_tenant: &Store,
        report: &mut Report,
        searching: &Progress,
    ) -> anyhow::Result<Vec<ListedArtifact>> {
        let mut chosen = Vec::new();
        let mut choose = |listed: Vec<ListedArtifact>| {
            for artifact in listed {
                let name = artifact.key.rsplit('/').next().unwrap_or_default();
                if !name.starts_with(&self.prefix) {
                    continue;
                }
                if self.sample < 1.0 && rand::random::<f64>() >= self.sample {
                    report.left_out += 1;
                    continue;
                }
                searching.add(1);
                chosen.push(artifact);
            }
        };
        for shard in 0..=u8::MAX {
            if overlaps(&format!("{shard:02x}"), &self.prefix) {
                choose(of_tenant.list_shard(shard).await?);
            }
        }
        choose(of_tenant.list_strays().await?);
        Ok(chosen)
    }
}

fn is_none(chosen: &[(Store, Vec<ListedArtifact>)]) -> bool {
    chosen.iter().all(|(_, artifacts)| artifacts.is_empty())
}

/// Refuses a tenant that has nothing in a store, and says who has: its name may be mistyped.
async fn refuse_unknown(store: &Store, tenant: &TenantId) -> anyhow::Result<()> {
    // Who may look at one tenant need not be allowed to look for others.
    let Ok(known) = store.tenants().await else {
        bail!("{store}: nothing is stored for the tenant {tenant}");
    };
    if known.contains(tenant) {
        return Ok(());
    }
    let mut names: Vec<&str> = known.iter().map(TenantId::as_str).collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let names = names.join(", ");
    match (names.is_empty(), more) {
        (true, _) => bail!("{store}: nothing is stored for the tenant {tenant}, nor for others"),
        (_, 0) => bail!("{store}: nothing is stored for the tenant {tenant}, but for {names}"),
        (_, more) => {
            bail!(
                "{store}: nothing is stored for the tenant {tenant}, but for {names} and {more} others"
            )
        }
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
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
mod tests {
    use bytes::Bytes;
    use futures::FutureExt as _;
    use slimspan_artifact::{Artifact, Digest};

    use super::*;
    use crate::storage::{StoreConfig, meddled};

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

    /// Puts an artifact there, and reads all that there is.
    async fn checked(store: &Store, bytes: &'static [u8]) -> Report {
        let artifact = Artifact {
            digest: Digest::of(bytes),
            media_type: "text/plain".to_owned(),
            bytes: Bytes::from_static(bytes),
        };
        store.put_all(&[artifact]).await.unwrap();
        let all = Choice {
            tenant: None,
            prefix: String::new(),
            sample: 1.0,
        };
        check(&all, store).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_listed_and_not_there_is_lost() {
        let config = StoreConfig::new("memory://");
        let store = meddled::losing(&config, Digest::of(b"lost").to_string()).unwrap();
        checked(&store, b"kept").await;
        let report = checked(&store, b"lost").await;
        assert!(!report.is_well(), "{report:?}");
        assert_eq!((report.right, report.vanished), (1, 0), "{report:?}");
        let [lost] = &report.unreadable[..] else {
            panic!("{report:?}");
        };
        let digest = Digest::of(b"lost").to_string();
        assert!(lost.key.ends_with(&digest), "{lost:?}");
        assert!(lost.problem.starts_with("lost: "), "{lost:?}");
    }

    #[tokio::test]
    async fn what_is_deleted_meanwhile_is_not_lost() {
        let home = tempfile::tempdir().unwrap();
        let config = StoreConfig::new(home.path().to_str().unwrap());
        let digest = Digest::of(b"abc").to_string();
        let path = home.path().join("default/sha256/ba").join(&digest);
        let deleted = async move { std::fs::remove_file(path).unwrap() };
        let store = meddled::at_listing(&config, "default/sha256/ba", deleted.boxed()).unwrap();
        let report = checked(&store, b"abc").await;
        assert!(report.is_well(), "{report:?}");
        assert_eq!((report.right, report.vanished), (0, 1), "{report:?}");
        let told = report.text(&store, "");
        assert!(told.ends_with("\n1 were deleted meanwhile\n"), "{told}");
    }
}
