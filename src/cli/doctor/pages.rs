//! Whether people and programs come to the pages and the API.

use reqwest::Response;

use super::{Findings, Verdict, ask, is_plain, is_sandboxed};
use crate::config::ComponentId;
use crate::server::config::ArtifactServerConfig;

/// The most that is read of what describes the API.
const LONGEST: usize = 1 << 20;

/// How it calls itself there.
const TITLE: &str = "slimspan artifact server";

/// Follows the URL that pages are said to have.
pub(super) async fn look(id: &ComponentId, server: &ArtifactServerConfig, findings: &mut Findings) {
    let place = format!("extensions.{id}.pages");
    // Where it is not told, nobody is sent there.
    let Some(url) = server.pages_url() else {
        return;
    };
    let (verdict, found) = match ask(&format!("{url}/openapi.json")).await {
        Ok(answer) => judge(answer).await,
        Err(error) => {
            let why = error.without_url();
            let told = format!(
                "where nobody answers ({why}): start slimspan, or set public_url to where people reach the pages"
            );
            (Verdict::Wrong, told)
        }
    };
    findings.tell(
        verdict,
        format_args!("{place}: people are sent to {url}, {found}"),
    );
    if is_plain(&url) {
        findings.tell(
            Verdict::Advice,
            format_args!(
                "{place}: {url} is plain text: who is on the way reads along, credentials too"
            ),
        );
    }
}

async fn judge(answer: Response) -> (Verdict, String) {
    let status = answer.status().as_u16();
    let is_where_files_are = is_sandboxed(&answer);
    if status == 200 && is_api(answer).await {
        let told = "where the artifact_server answers";
        return (Verdict::Well, told.to_owned());
    }
    let told = if status == 421 {
        "where the artifact_server does not know that name: add it to allowed_hosts, or make it the public_url of \
         the pages"
            .to_owned()
    } else if is_where_files_are {
        "where files are, and no pages: these have another listener, and need a URL of their own"
            .to_owned()
    } else {
        format!("where no artifact_server answers: HTTP {status} for /openapi.json")
    };
    (Verdict::Wrong, told)
}

/// Whether what answers describes this API.
async fn is_api(mut answer: Response) -> bool {
    let mut text = Vec::new();
    while let Ok(Some(more)) = answer.chunk().await {
        text.extend_from_slice(&more);
        if text.len() > LONGEST {
            return false;
        }
    }
    let document = serde_json::from_slice::<serde_json::Value>(&text);
    document.is_ok_and(|document| document["info"]["title"] == TITLE)
}
