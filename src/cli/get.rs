//! `slimspan get --config FILE ARTIFACT`

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use slimspan_artifact::Digest;

use super::destination::{Destination, Target};
use super::progress::Progress;
use super::stores::StoreArguments;
use super::{USAGE, complain, say};
use crate::catalog::{Catalog, Withholding};
use crate::server::{Address, Media, Mention};
use crate::storage::Store;
use crate::tenant::TenantId;

/// What is read of an artifact at a time.
const PIECE: u64 = 4 << 20;

/// Read an artifact out of the store
///
/// Its bytes are checked: a file appears under its name when all of them are there and right. It is found in
/// the store, or in the spool beside it. One that was deleted is not read, also where its bytes are still there.
#[derive(Debug, Args)]
pub(super) struct Get {
    #[command(flatten)]
    store: StoreArguments,
    /// Whose artifact it is, if the reference does not say so
    #[arg(long, value_name = "NAME")]
    tenant: Option<TenantId>,
    /// The file to write, or - for standard output; without it, a file in this folder that is named by the
    /// digest
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// A JSON object that says what was read and where it was written
    #[arg(long)]
    json: bool,
    /// The sha256 of the artifact, or a reference to it
    #[arg(value_name = "ARTIFACT")]
    artifact: Mention,
}

/// What is told of an artifact that was read.
struct Told {
    address: Address,
    media: Media,
    size: u64,
}

pub(super) fn get(get: &Get) -> anyhow::Result<ExitCode> {
    if get.json && get.is_piped() {
        complain("--json and --output - would both be written to standard output: leave one away");
        return Ok(ExitCode::from(USAGE));
    }
    let config = match get.store.config.load() {
        Ok(config) => config,
        Err(exit_code) => return Ok(exit_code),
    };
    let address = (get.store).address(&config, &get.artifact, get.tenant.as_ref())?;
    let store = get.store.open(&config)?.of_tenant(&address.tenant);
    let runtime = super::runtime()?;
    let (_, of) = get.store.config_in(&config)?;
    runtime.block_on(async {
        if of.catalog.enabled {
            refuse_deleted(&store, &address.digest).await?;
        }
        read(get, &store, address).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Its bytes may have to stay for a while when it was deleted: nobody gets them, here as from an `artifact_server`.
async fn refuse_deleted(store: &Store, digest: &Digest) -> anyhow::Result<()> {
    let asked = async {
        // Not the index of a slimspan that runs: who reads a file need not be able to write there.
        let mut withholding = Withholding::of(Catalog::open_temporary(store)?);
        withholding.among(store, vec![*digest]).await
    };
    match asked.await {
        Ok(withheld) => {
            if let Some((_, tombstone)) = withheld.first() {
                bail!(
                    "{digest} was deleted at {:.0}: {}",
                    tombstone.time,
                    tombstone.reason
                );
            }
        }
        // Who may read files need not be allowed to list what was deleted, and not every store tells that from other
        // failures.
        Err(error) => complain(format_args!(
            "whether {digest} was deleted is not known: {error}"
        )),
    }
    Ok(())
}

async fn read(get: &Get, store: &Store, address: Address) -> anyhow::Result<()> {
    let digest = address.digest;
    let told = |head: &[u8], size| Told {
        address,
        media: Media::of(head),
        size,
    };
    let facts = match store.facts(&digest).await {
        Ok(facts) => facts,
        // It may wait in the spool, for as long as the store is away, too.
        Err(error) => {
            let Ok(bytes) = store.get(&digest).await else {
                return Err(error.into());
            };
            let told = told(&bytes, bytes.len() as u64);
            let mut destination = get.destination(&told, &bytes)?;
            destination.write(&bytes)?;
            return get.finish(destination, &told);
        }
    };
    let size = facts.size;
    let first = match size {
        0 => bytes::Bytes::new(),
        size => store.read(&digest, 0..size.min(PIECE)).await?,
    };
    let (mut hasher, mut at) = (Sha256::new(), first.len() as u64);
    hasher.update(&first);
    // What is on its way down a pipe cannot be taken back: all of it is checked first, and read again.
    if get.is_piped() && at < size {
        let progress = Progress::of(size, "checking");
        progress.add(at);
        check(store, digest, size, hasher.clone(), &progress).await?;
    }
    let told = told(&first, size);
    let mut destination = get.destination(&told, &first)?;
    let mut waiting = Some(first);
    let progress = Progress::of(size, "reading");
    while let Some(piece) = waiting.take() {
        progress.add(piece.len() as u64);
        if at >= size {
            let found = Digest::from(<[u8; 32]>::from(hasher.clone().finalize()));
            if found != digest {
                return Err(store.damaged(digest, found).into());
            }
        }
        destination.write(&piece)?;
        if at < size {
            let next = store.read(&digest, at..(at + PIECE).min(size)).await?;
            if next.is_empty() {
                bail!("{store} has less of {digest} than it said");
            }
            hasher.update(&next);
            at += next.len() as u64;
            waiting = Some(next);
        }
    }
    drop(progress);
    get.finish(destination, &told)
}

async fn check(
    store: &Store,
    digest: Digest,
    size: u64,
    mut hasher: Sha256,
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut at = PIECE.min(size);
    while at < size {
        let piece = store.read(&digest, at..(at + PIECE).min(size)).await?;
        hasher.update(&piece);
        at += piece.len() as u64;
        progress.add(piece.len() as u64);
        if piece.is_empty() {
            break;
        }
    }
    let found = Digest::from(<[u8; 32]>::from(hasher.finalize()));
    if found == digest {
        return Ok(());
    }
    Err(store.damaged(digest, found).into())
}

impl Get {
    fn is_piped(&self) -> bool {
        let output = self.output.as_deref();
        output.is_some_and(|path| path.as_os_str() == "-")
    }

    fn destination(&self, told: &Told, head: &[u8]) -> anyhow::Result<Destination> {
        let target = match &self.output {
            Some(_) if self.is_piped() => {
                if io::stdout().is_terminal() && std::str::from_utf8(head).is_err() {
                    bail!("this is nothing for a terminal: write it to a file with --output");
                }
                Target::Stdout
            }
            Some(path) => Target::File(path.clone()),
            None => {
                let extension = told.media.extension;
                let name = PathBuf::from(format!("{}.{extension}", told.address.digest));
                if name.exists() {
                    bail!(
                        "{} is there already: say what to write with --output",
                        name.display()
                    );
                }
                Target::File(name)
            }
        };
        Destination::open(target)
    }

    fn finish(&self, destination: Destination, told: &Told) -> anyhow::Result<()> {
        let Some(path) = destination.finish().context("cannot write")? else {
            return Ok(());
        };
        if self.json {
            let told = json!({
                "sha256": told.address.digest.to_string(),
                "tenant": told.address.tenant,
                "content_type": told.media.shown,
                "size_bytes": told.size,
                "file": path.display().to_string(),
            });
            say(format_args!("{told:#}\n"));
        } else {
            say(format_args!("{}: {} bytes\n", path.display(), told.size));
        }
        Ok(())
    }
}
