//! What reads the catalog of a store: `slimspan ls`, `stat`, `rm`, `gc` and `catalog compact`.

mod compact;
mod gc;
mod ls;
mod opened;
mod rm;
mod stat;

use std::process::ExitCode;

use anyhow::Context as _;

pub(super) use compact::{CatalogCommand, catalog};
pub(super) use gc::{Collect, gc};
pub(super) use ls::{List, ls};
pub(super) use rm::{Remove, rm};
pub(super) use stat::{Stat, stat};

/// Runs what asks a store.
fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    runtime.block_on(work)
}
