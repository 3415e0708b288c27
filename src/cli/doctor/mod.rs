//! `slimspan doctor --config FILE`

mod pages;
mod probe;
mod read_back;
mod rules;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use slimspan_artifact::{Digest, Location};

use self::probe::Probe;
use super::{ConfigFile, say};
use crate::config::{ComponentId, Config};
use crate::storage::Store;
use crate::storage::config::StoreConfig;
use crate::tenant::TenantId;

/// How long an artifact server has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Look whether stores, clocks and addresses are as they should be, and say what to change
///
/// Writes objects of a few bytes below default/sha256/ and catalog/ of each store, and deletes them again.
///
/// The exit code is 0 when all is well, also with advice; 1 when something is wrong; and 2 when the configuration
/// or the usage is wrong.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    config: ConfigFile,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Well,
    /// It works, and could be better.
    Advice,
    Wrong,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Well => "ok",
            Self::Advice => "advice",
            Self::Wrong => "WRONG",
        })
    }
}

/// Findings, told as they come.
#[derive(Debug, Default)]
struct Findings {
    is_anything_wrong: bool,
}

impl Findings {
    fn tell(&mut self, verdict: Verdict, what: impl fmt::Display) {
        self.is_anything_wrong |= verdict == Verdict::Wrong;
        say(format_args!("{:<8}{what}\n", verdict.to_string()));
    }
}

pub(super) fn doctor(doctor: &Doctor) -> anyhow::Result<ExitCode> {
    let config = match doctor.config.load() {
        Ok(config) => config,
        Err(exit_code) => return Ok(exit_code),
    };
    let runtime = super::runtime()?;
    let mut findings = Findings::default();
    runtime.block_on(async {
        for (id, store) in config.artifact_stores() {
            bucket(id, store, &mut findings).await;
            folders(id, store, &mut findings);
            address(&config, id, store, &mut findings).await;
        }
        for (id, server) in config.artifact_servers() {
            pages::look(id, server, &mut findings).await;
        }
    });
    if config.artifact_stores().next().is_none() {
        findings.tell(Verdict::Advice, "the configuration has no artifact_store");
    }
    Ok(if findings.is_anything_wrong {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Does with the store all that slimspan ever does, where it does it: who may do that may do nothing elsewhere.
async fn bucket(id: &ComponentId, config: &StoreConfig, findings: &mut Findings) {
    let place = format!("extensions.{id}");
    let store = match Store::open(config) {
        Ok(store) => store,
        Err(error) => {
            findings.tell(Verdict::Wrong, format_args!("{place}.{error}"));
            return;
        }
    };
    // That of a tenant, of whom there need not be anything else.
    let mut folders = vec![format!("{}/sha256", TenantId::default())];
    if config.catalog.enabled {
        folders.push("catalog".to_owned());
    }
    let mut takes_any = false;
    for folder in folders {
        let of = Probe {
            place: format!("{place}: {folder}/"),
            bucket: store.bucket(),
            folder: format!("{folder}/doctor"),
            has_large: folder != "catalog",
        };
        takes_any |= of.try_all(&store, findings).await;
    }
    if takes_any {
        rules::look(&place, config, findings).await;
    }
}

/// Whether what waits for the store has where to wait.
fn folders(id: &ComponentId, config: &StoreConfig, findings: &mut Findings) {
    for (key, folder) in [
        ("spool.directory", &config.spool.directory),
        ("catalog.directory", &config.catalog.directory),
    ] {
        let existing = folder.ancestors().find(|folder| folder.is_dir());
        // A path without a folder in it stands in this one.
        let existing = existing.unwrap_or_else(|| Path::new("."));
        let (verdict, what) = match tempfile::tempfile_in(existing) {
            Ok(_) => (Verdict::Well, "can be written to".to_owned()),
            Err(error) => (Verdict::Wrong, format!("cannot be written to: {error}")),
        };
        let folder = folder.display();
        findings.tell(
            verdict,
            format_args!("extensions.{id}.{key}: {folder} {what}"),
        );
    }
}

/// Whether references lead to something that answers.
async fn address(config: &Config, id: &ComponentId, store: &StoreConfig, findings: &mut Findings) {
    let place = format!("extensions.{id}");
    let Ok(Location::Public(url)) = Store::location_of(store, &TenantId::default()) else {
        findings.tell(
            Verdict::Advice,
            format_args!(
                "{place}: references lead into the store, where browsers and backends show nothing: add an \
                 artifact_server, or a public_url"
            ),
        );
        return;
    };
    let is_ours = config
        .artifact_servers()
        .any(|(_, server)| server.store == *id);
    // Whatever may be seen, this is not there.
    let nothing = Digest::of(&rand::random::<[u8; 32]>());
    let answer = match ask(&format!("{url}/artifacts/{nothing}")).await {
        Ok(answer) => answer,
        Err(error) => {
            let hint = if is_ours {
                "start slimspan, or set public_url to where people reach the artifact_server"
            } else {
                "set public_url to where people reach the files"
            };
            let why = error.without_url();
            findings.tell(
                Verdict::Wrong,
                format_args!(
                    "{place}: references lead to {url}, where nobody answers ({why}): {hint}"
                ),
            );
            return;
        }
    };
    let status = answer.status().as_u16();
    let is_sandboxed = is_sandboxed(&answer);
    let is_sniffed = answer.headers().get("x-content-type-options").is_none();
    match status {
        404 | 401 if is_sandboxed && !is_sniffed => findings.tell(
            Verdict::Well,
            format_args!("{place}: references lead to {url}, where an artifact_server answers"),
        ),
        421 => findings.tell(
            Verdict::Wrong,
            format_args!(
                "{place}: the artifact_server at {url} does not know that name: add it to allowed_hosts, or \
                 make it the public_url of the server"
            ),
        ),
        404 | 401 => findings.tell(
            Verdict::Wrong,
            format_args!(
                "{place}: what answers at {url} has no Content-Security-Policy with sandbox and no nosniff: \
                 a file could run in that origin. Let headers of the artifact_server through"
            ),
        ),
        status => findings.tell(
            Verdict::Wrong,
            format_args!(
                "{place}: what answers at {url} is no artifact_server: HTTP {status} for a file that is \
                 nowhere"
            ),
        ),
    }
    // Who shows no credential is given it, if anybody is.
    if status == 404 && is_sandboxed && !is_sniffed {
        read_back::look(&place, &url, store, findings).await;
    }
    if is_plain(&url) {
        findings.tell(
            Verdict::Advice,
            format_args!(
                "{place}: {url} is plain text: pages over https show nothing from there, and who is on the \
                 way reads along"
            ),
        );
    }
}

/// What is answered at a URL; it is not followed elsewhere.
async fn ask(url: &str) -> reqwest::Result<reqwest::Response> {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    client.get(url).send().await
}

/// Whether a browser is told that nothing of it may do anything.
fn is_sandboxed(answer: &reqwest::Response) -> bool {
    let policy = answer.headers().get("content-security-policy");
    policy
        .and_then(|policy| policy.to_str().ok())
        .is_some_and(|policy| policy.contains("sandbox"))
}

/// Whether others can read along.
fn is_plain(url: &str) -> bool {
    url.starts_with("http://") && !url.contains("127.0.0.1") && !url.contains("localhost")
}
