//! What a killed process leaves in a folder is removed when the next one starts.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::support::backend::Backend;
use crate::support::config;
use crate::support::measured::measured;
use crate::support::slimspan::Slimspan;

/// More than a process leaves that is killed once.
const OLD: usize = 500;

#[tokio::test]
async fn unfinished_files_of_a_killed_process_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let shard = folder.path().join("artifacts/default/sha256/ba");
    fs::create_dir_all(&shard).unwrap();
    let old: Vec<_> = (1..=OLD)
        .map(|number| shard.join(format!("{digest}#{number}")))
        .collect();
    let young = shard.join(format!("{digest}#{}", OLD + 1));
    let whole = shard.join(digest);
    let hours_ago = SystemTime::now() - Duration::from_hours(2);
    let all = old.iter().map(|path| (path, true));
    for (path, is_old) in all.chain([(&young, false), (&whole, true)]) {
        let file = File::create(path).unwrap();
        if is_old {
            file.set_modified(hours_ago).unwrap();
        }
    }
    let backend = Backend::start().await;
    let mut slimspan = Slimspan::start_in(folder, &config::standard(backend.address)).await;
    let removed = format!("removed {OLD} unfinished files");
    slimspan.logs(&removed).await;
    assert!(old.iter().all(|path| !path.exists()));
    assert!(young.exists() && whole.exists());
    measured(
        "P24",
        "program::leftovers",
        "0 older than an hour after a start",
        format_args!("0 of {OLD} left; what is younger or whole stays"),
    );
    slimspan.stop_well().await;
}
