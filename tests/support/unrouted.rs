//! A test once more, where there is no way to anybody: in a network of its own that has only its loopback.

use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::soon;

/// A network without a route, as `tests/tools/peers.sh` makes it, and a program in it.
const UNROUTED: [&str; 11] = [
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--map-root-user",
    "--",
    "sh",
    "-c",
    "ip link set lo up && exec \"$@\"",
    "unrouted",
];

/// A test that runs there. It is ended when dropped.
pub(crate) struct Again(Child);

impl Again {
    /// Starts the test of this name, with a variable that says where it is to write what came of it. Where no such
    /// network can be made that is told, and fails in CI.
    pub(crate) fn start(test: &str, variable: &str, file: &Path) -> Option<Self> {
        let mut tried = std::process::Command::new("unshare");
        let tried = tried.args(UNROUTED).arg("true").output();
        let why = match tried {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            let told = format!("no network without a route can be made here ({why})");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{told}");
            eprintln!("SKIPPED: {told}");
            return None;
        }
        let mut command = Command::new("unshare");
        command
            .args(UNROUTED)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(variable, file)
            // What it measures is told once.
            .env_remove("SLIMSPAN_MEASURED")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Some(Self(command.spawn().unwrap()))
    }

    /// Waits until it has ended well; what it wrote.
    pub(crate) async fn end(self, file: &Path) -> Vec<u8> {
        let ended = soon("the test without a route ends", self.0.wait_with_output());
        let ended = ended.await.unwrap();
        let told = [ended.stdout, ended.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(ended.status.success(), "without a route: {told}");
        let wrote = std::fs::read(file);
        wrote.unwrap_or_else(|error| panic!("without a route nothing is told ({error}): {told}"))
    }
}
