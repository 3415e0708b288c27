//! What a killed process leaves in a folder is removed when the next one starts.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::support::backend::Backend;
use crate::support::config;
use crate::support::slimspan::Slimspan;

#[tokio::test]
async fn unfinished_files_of_a_killed_process_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let shard = folder.path().join("artifacts/default/sha256/ba");
    fs::create_dir_all(&shard).unwrap();
    let (old, young, whole) = (
        shard.join(format!("{digest}#1")),
        shard.join(format!("{digest}#2")),
        shard.join(digest),
    );
    let hours_ago = SystemTime::now() - Duration::from_hours(2);
    for (path, is_old) in [(&old, true), (&young, false), (&whole, true)] {
        let file = File::create(path).unwrap();
        if is_old {
            file.set_modified(hours_ago).unwrap();
        }
    }
    let backend = Backend::start().await;
    let mut slimspan = Slimspan::start_in(folder, &config::standard(backend.address)).await;
    slimspan.logs("removed 1 unfinished files").await;
    assert!(!old.exists());
    assert!(young.exists() && whole.exists());
}
