//! What is deleted: the bytes go, and what says so stays.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use slimspan_artifact::Digest;
use utoipa::ToSchema;

use super::answer::{ApiError, Failure, json};
use super::responses::{Any, NoSense, NotDeleted};
use super::{Asking, Named};
use crate::catalog::{Deleted, Erased, TraceId};
use crate::server::address::Address;
use crate::server::{Scope, Server};
use crate::tenant::TenantId;

/// What is written down where nobody says why.
const UNTOLD: &str = "deleted on request";

/// The longest reason.
const LONGEST: usize = 500;

/// What is gone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Erasure {
    /// Artifacts whose bytes are gone by this
    artifacts: usize,
    /// Artifacts that were not there, because they were gone before or never came
    absent: usize,
    /// What is told of them from now on
    reason: String,
    /// Artifacts of a trace that stay for now: something else may refer to them that is not listed yet
    waiting: usize,
    /// When those go, unless something else does refer to them by then
    until: Option<String>,
    /// Whose it was, if it was deleted with `all_tenants`
    tenants: Option<Vec<String>>,
}

/// Delete an artifact
///
/// Its bytes are gone with the answer, and whoever asks for it is told 410 and the reason. It can come again:
/// what refers to it then is kept.
///
/// With `all_tenants` it goes from every tenant that has it, or of whom something refers to it. Only a credential that
/// is no tenant's may ask for that.
#[utoipa::path(
    delete, path = "/v1/artifacts/{sha256}", tag = "delete", operation_id = "deleteArtifact",
    params(
        ("sha256" = String, Path, description = "Its digest"),
        ("reason" = Option<String>, Query, description = "Why, for who asks for it later"),
        ("tenant" = Option<String>, Query, description = "Whose it is, if the credential is not a tenant's"),
        ("all_tenants" = Option<bool>, Query, description = "Whether it goes whosever it is, if the credential is not a tenant's"),
    ),
    responses(
        (status = 200, description = "It is gone", body = Erasure),
        Any,
        NoSense,
        NotDeleted,
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn artifact(
    State(server): State<Arc<Server>>,
    Named(sha256): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let asking = Asking::begin_deletion(&server, request).await?;
    let of_all = asking.read::<bool>("all_tenants")?.unwrap_or(false);
    // Before anything is looked for: a tenant learns nothing of others by that.
    if of_all && asking.reader.scope != Scope::All {
        return Err(ApiError::nothing());
    }
    let Address { tenant, digest } = asking.address(&sha256)?;
    if of_all {
        if asking.parameter("tenant").is_some() {
            let told = "tenant: all_tenants says whose it is".to_owned();
            return Err(ApiError::bad(told));
        }
        return server.erase_everywhere(&asking, digest).await;
    }
    server
        .erase(&asking, tenant, Deleted::Artifact { digest })
        .await
}

/// Delete the references of a trace, and the artifacts that nothing else refers to
///
/// Its references are gone with the answer. Artifacts that were stored lately wait until it is known that nothing
/// else refers to them, and go then by themselves; whoever asks for them meanwhile is told 410 and the reason.
#[utoipa::path(
    delete, path = "/v1/traces/{trace_id}", tag = "delete", operation_id = "deleteTrace",
    params(
        ("trace_id" = String, Path, description = "The trace, in hexadecimal digits"),
        ("reason" = Option<String>, Query, description = "Why, for who asks for them later"),
        ("tenant" = Option<String>, Query, description = "Whose it is, if the credential is not a tenant's"),
    ),
    responses(
        (status = 200, description = "They are gone", body = Erasure),
        (status = 409, description = "The references are gone, and the artifacts stay: part of the catalog cannot be read", body = Failure),
        Any,
        NoSense,
        NotDeleted,
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn trace(
    State(server): State<Arc<Server>>,
    Named(trace): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let asking = Asking::begin_deletion(&server, request).await?;
    let tenant = asking.tenant()?;
    let tenant = tenant.unwrap_or_else(|| asking.reader.scope.usual());
    let trace: TraceId = trace
        .parse()
        .map_err(|error| ApiError::bad(format!("trace_id: {error}")))?;
    server
        .erase(&asking, tenant, Deleted::Trace { trace })
        .await
}

/// Delete everything of a tenant
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}", tag = "delete", operation_id = "deleteTenant",
    params(
        ("tenant" = String, Path, description = "Whose artifacts"),
        ("reason" = Option<String>, Query, description = "Why, for who asks for them later"),
    ),
    responses(
        (status = 200, description = "They are gone", body = Erasure),
        Any,
        NoSense,
        NotDeleted,
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn tenant(
    State(server): State<Arc<Server>>,
    Named(tenant): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let asking = Asking::begin_deletion(&server, request).await?;
    let tenant: Option<TenantId> = tenant.parse().ok();
    let tenant = tenant.filter(|tenant| asking.reader.scope.includes(tenant));
    let tenant = tenant.ok_or_else(ApiError::nothing)?;
    server.erase(&asking, tenant, Deleted::Tenant).await
}

/// Why something is deleted, as who asks says it.
fn reason(asking: &Asking) -> Result<String, ApiError> {
    let reason = asking.parameter("reason");
    let reason = reason.unwrap_or_else(|| UNTOLD.to_owned());
    if reason.len() > LONGEST || reason.chars().any(char::is_control) {
        let told = format!("a reason has at most {LONGEST} bytes, and is one line");
        return Err(ApiError::bad(told));
    }
    Ok(reason)
}

impl Server {
    /// Deletes an artifact of everybody who has it.
    async fn erase_everywhere(
        self: &Arc<Self>,
        asking: &Asking,
        digest: Digest,
    ) -> Result<Response, ApiError> {
        self.catalog()?;
        let reason = reason(asking)?;
        // Of whom something refers to it is not known before.
        if !self.is_catalog_read() {
            return Err(ApiError::later(
                "all of the catalog is read at the moment, as after each start",
            ));
        }
        let deleted = Deleted::Artifact { digest };
        let (server, why) = (Arc::clone(self), reason.clone());
        let (reader, peer) = (asking.reader.clone(), asking.peer);
        // To find out whose it is may take long: it is deleted, and told, whether or not somebody waits for it.
        let erasing = tokio::spawn(async move {
            let catalog = server.catalog()?;
            let tenants = catalog.holders(&server.store, &digest).await?;
            for tenant in &tenants {
                let told = (server.audit).tell_deletion(&reader, peer, tenant, deleted, &why);
                server.was_told(told.await)?;
            }
            let erased = catalog.erase_of(&server.store, &tenants, digest, &why);
            let erased = erased.await;
            let names = tenants.iter().map(ToString::to_string).collect();
            // Also of those who were before what failed.
            for tenant in tenants {
                server.pieces.forget(&Address { tenant, digest });
            }
            Ok::<_, ApiError>((erased?, names))
        });
        let (erased, names) = erasing
            .await
            .map_err(|_| ApiError::later("slimspan ends"))??;
        Ok(erasure(&erased, reason, Some(names)))
    }

    async fn erase(
        self: &Arc<Self>,
        asking: &Asking,
        tenant: TenantId,
        deleted: Deleted,
    ) -> Result<Response, ApiError> {
        self.catalog()?;
        let reason = reason(asking)?;
        let (server, why) = (Arc::clone(self), reason.clone());
        let (reader, peer) = (asking.reader.clone(), asking.peer);
        // What has begun is ended, whether or not somebody waits for it: what is told of is done.
        let erasing = tokio::spawn(async move {
            let told = (server.audit).tell_deletion(&reader, peer, &tenant, deleted, &why);
            server.was_told(told.await)?;
            let catalog = server.catalog()?;
            let erased = catalog.erase(&server.store, &tenant, deleted, &why);
            let erased = erased.await?;
            if let Deleted::Artifact { digest } = deleted {
                server.pieces.forget(&Address { tenant, digest });
            }
            Ok::<_, ApiError>(erased)
        });
        let erased = erasing
            .await
            .map_err(|_| ApiError::later("slimspan ends"))??;
        Ok(erasure(&erased, reason, None))
    }
}

fn erasure(erased: &Erased, reason: String, tenants: Option<Vec<String>>) -> Response {
    let erasure = Erasure {
        artifacts: erased.artifacts,
        absent: erased.absent,
        reason,
        waiting: erased.waiting.len(),
        until: erased.until.map(|until| format!("{until:.0}")),
        tenants,
    };
    json(StatusCode::OK, &erasure)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use bytes::Bytes;
    use futures::FutureExt as _;
    use http::HeaderMap;
    use slimspan_artifact::Artifact;
    use tokio::net::TcpListener;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::admission::{Budget, Limits};
    use crate::auth::Gate;
    use crate::catalog::Catalog;
    use crate::server::config::ArtifactServerConfig;
    use crate::server::{ArtifactServer, Deletion, Parts, Reader};
    use crate::storage::{Store, StoreConfig};
    use crate::telemetry::Counters;

    /// Somebody who goes away while it is written down leaves no line of a deletion that never was.
    #[tokio::test]
    async fn what_is_told_of_a_deletion_is_done_whoever_waits() {
        let home = tempfile::tempdir().unwrap();
        let audit_log = home.path().join("audit.jsonl");
        let store = Store::open(&StoreConfig::new("memory://")).unwrap();
        let bytes = Bytes::from_static(b"to be deleted");
        let digest = Digest::of(&bytes);
        let artifact = Artifact {
            digest,
            media_type: "text/plain".to_owned(),
            bytes,
        };
        store.put_all(&[artifact]).await.unwrap();
        let config = ArtifactServerConfig {
            audit_log: Some(audit_log.clone()),
            ..ArtifactServerConfig::default()
        };
        let parts = Parts {
            id: "artifact_server".to_owned(),
            store: store.clone(),
            catalog: Some(Catalog::open_temporary(&store).unwrap()),
            recorder: None,
            gate: Gate::new("artifact_server", None, false),
            deletion: Deletion::Readers,
            counts: Counters::default().server("artifact_server"),
            budget: Budget::new(Limits {
                limit_mib: 64,
                spike_mib: 8,
            }),
            users_are_tenants: false,
            names: Vec::new(),
            artifacts: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            pages: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        };
        let server = ArtifactServer::new(&config, None, parts).unwrap().server;
        let asking = Asking {
            reader: Reader {
                name: "anybody".to_owned(),
                scope: Scope::All,
            },
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            elsewhere: None,
            headers: HeaderMap::new(),
            query: String::new(),
            place: None,
        };
        let deleted = Deleted::Artifact { digest };
        let erasing = server.erase(&asking, TenantId::default(), deleted);
        // It has begun, and nobody waits for it any more.
        assert!(erasing.now_or_never().is_none());
        let gone = async {
            while store.facts(&digest).await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), gone).await.unwrap();
        let told = std::fs::read_to_string(audit_log).unwrap();
        assert!(told.contains(&digest.to_string()), "{told}");
    }
}
