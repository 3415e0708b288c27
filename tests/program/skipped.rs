//! What a machine does not have is said, and fails where everything has to be tried.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use tokio::process::Command;

use crate::support::soon;

/// The exit code of the check of the pages in a browser, with nothing but these programs.
async fn viewer(programs: &Path, browser: Option<&str>, is_ci: bool) -> (Option<i32>, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/viewer.sh");
    let mut command = Command::new("/bin/bash");
    let command = command
        .arg(script)
        .env_clear()
        .env("PATH", programs)
        .envs(browser.map(|path| ("CHROMIUM", path)))
        .envs(is_ci.then_some(("CI", "true")))
        .kill_on_drop(true)
        .output();
    let ended = soon("the script ends", command).await.unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    (ended.status.code(), told)
}

#[tokio::test]
async fn a_browser_that_is_missing_fails_in_ci() {
    let folder = tempfile::tempdir().unwrap();
    let dirname = ["/usr/bin/dirname", "/bin/dirname"];
    let dirname = dirname.into_iter().find(|path| Path::new(path).exists());
    symlink(dirname.unwrap(), folder.path().join("dirname")).unwrap();
    // A machine on which nobody may make a namespace.
    let unshare = folder.path().join("unshare");
    fs::write(&unshare, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&unshare, fs::Permissions::from_mode(0o755)).unwrap();
    for (browser, missing) in [
        (None, "there is no browser"),
        (Some("/nowhere/chromium"), "is no program"),
        (Some("/bin/sh"), "no network namespace"),
    ] {
        for (is_ci, code) in [(true, 1), (false, 0)] {
            let (ended, told) = viewer(folder.path(), browser, is_ci).await;
            assert_eq!(ended, Some(code), "{told}");
            assert!(told.contains("SKIPPED") && told.contains(missing), "{told}");
        }
    }
}
