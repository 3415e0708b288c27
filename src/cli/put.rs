//! `slimspan put --config FILE FILE...`

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use slimspan_artifact::{Artifact, Digest, Location};

use super::progress::Progress;
use super::say;
use super::stores::StoreArguments;
use crate::catalog::PutFile;
use crate::server::Media;
use crate::storage::Store;
use crate::tenant::TenantId;

/// Put files into the store, and print references to them
///
/// Each is read twice, once for its digest and once to be stored, and is never in memory as a whole.
#[derive(Debug, Args)]
pub(super) struct Put {
    #[command(flatten)]
    store: StoreArguments,
    /// Whose artifacts they are
    #[arg(long, value_name = "NAME", default_value_t)]
    tenant: TenantId,
    /// A line of JSON for each
    #[arg(long)]
    json: bool,
    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn put(put: &Put) -> anyhow::Result<ExitCode> {
    let config = match put.store.config.load() {
        Ok(config) => config,
        Err(exit_code) => return Ok(exit_code),
    };
    let (id, of_store) = put.store.config_in(&config)?;
    let store = Store::open(of_store).with_context(|| format!("extensions.{id}"))?;
    let store = store.of_tenant(&put.tenant);
    let runtime = super::runtime()?;
    for path in &put.files {
        let stored = runtime.block_on(store_file(&store, path));
        let (file, uri) = stored.with_context(|| path.display().to_string())?;
        let told = if put.json {
            let told = json!({
                "file": path.display().to_string(),
                "sha256": file.digest.to_string(),
                "tenant": file.tenant,
                "content_type": file.content_type,
                "size_bytes": file.size,
                "uri": uri,
            });
            told.to_string()
        } else {
            uri
        };
        if of_store.catalog.enabled && !store.is_in_memory() {
            let written = runtime.block_on(file.put_down(&store.bucket()));
            written.with_context(|| {
                let path = path.display();
                format!("{path} is stored, but it is not in the catalog, so nothing lists it: put it again")
            })?;
        }
        // Whoever has its reference takes it for a file that stays.
        say(format_args!("{told}\n"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Stores a file; what it is, and where it is read.
async fn store_file(store: &Store, path: &Path) -> anyhow::Result<(PutFile, String)> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        bail!("it is no file");
    }
    let size = metadata.len();
    let progress = Progress::of(2 * size, "storing");
    let (mut hasher, mut head, mut read) = (Sha256::new(), Vec::new(), 0);
    while let Some(part) = part(&mut file)? {
        if head.is_empty() {
            head = part.get(..4096).unwrap_or(&part).to_vec();
        }
        hasher.update(&part);
        read += part.len() as u64;
        progress.add(part.len() as u64);
    }
    let digest = Digest::from(<[u8; 32]>::from(hasher.finalize()));
    let media = Media::of(&head);
    file.seek(SeekFrom::Start(0))?;
    if read <= Store::PART as u64 {
        let bytes = part(&mut file)?.unwrap_or_default();
        if Digest::of(&bytes) != digest {
            bail!("it changed while it was read");
        }
        let artifact = Artifact {
            digest,
            media_type: media.shown.to_owned(),
            bytes,
        };
        store.put_all(&[artifact]).await?;
    } else {
        let mut incoming = store.incoming(digest, media.shown).await?;
        let mut hasher = Sha256::new();
        while let Some(part) = part(&mut file)? {
            hasher.update(&part);
            progress.add(part.len() as u64);
            incoming.add(part).await?;
        }
        if Digest::from(<[u8; 32]>::from(hasher.finalize())) != digest {
            bail!("it changed while it was read");
        }
        incoming.finish().await?;
    }
    let file = PutFile {
        tenant: store.tenant().clone(),
        digest,
        size: read,
        content_type: media.shown.to_owned(),
        name: path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned()),
        is_spooled: false,
    };
    let name = digest.to_string();
    let uri = match store.location() {
        Location::Public(url) => {
            format!("{url}/artifacts/{name}.{}", media.extension)
        }
        Location::Store(base) => format!("{base}/{}/{name}", name.get(..2).unwrap_or_default()),
    };
    Ok((file, uri))
}

/// As much as a store takes at a time; none at the end.
fn part(file: &mut File) -> anyhow::Result<Option<Bytes>> {
    let mut part = Vec::new();
    file.take(Store::PART as u64).read_to_end(&mut part)?;
    Ok((!part.is_empty()).then(|| part.into()))
}
