//! What every answer with an artifact has, and every one without: a browser is told that nothing in it
//! may do anything.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::config::ArtifactServerConfig;

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const COOP: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// How long a browser may keep an artifact without asking again: what is deleted is to be gone soon.
const CACHE: &str = "private, max-age=300";

/// The headers of a listener for artifacts.
#[derive(Debug)]
pub(super) struct Protection {
    always: Vec<(HeaderName, HeaderValue)>,
    allowed_origins: Vec<String>,
}

impl Protection {
    pub(super) fn new(config: &ArtifactServerConfig) -> Self {
        let ancestors = if config.frame_ancestors.is_empty() {
            "'none'".to_owned()
        } else {
            config.frame_ancestors.join(" ")
        };
        let policy = format!(
            "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'; \
             sandbox; frame-ancestors {ancestors}"
        );
        let fixed = HeaderValue::from_static;
        let corp = config.cross_origin_resource_policy.as_str();
        let mut always = vec![
            // Origins of a configuration were checked to be such.
            (
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_str(&policy)
                    .unwrap_or_else(|_| fixed("default-src 'none'; sandbox")),
            ),
            (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
            (CORP, fixed(corp)),
            (COOP, fixed("same-origin")),
            (header::REFERRER_POLICY, fixed("no-referrer")),
            (
                header::VARY,
                fixed("Accept, Authorization, Origin, Sec-Fetch-Dest"),
            ),
        ];
        if config.frame_ancestors.is_empty() {
            always.push((header::X_FRAME_OPTIONS, fixed("DENY")));
        }
        Self {
            always,
            allowed_origins: config.allowed_origins.clone(),
        }
    }

    /// Those of what is answered before anybody knows what was asked for.
    pub(super) fn of_what_is_not_understood(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.apply(StatusCode::BAD_REQUEST, &mut headers, None);
        headers
    }

    /// Adds them to an answer to a request from `origin`.
    pub(super) fn apply(
        &self,
        status: StatusCode,
        headers: &mut HeaderMap,
        origin: Option<&HeaderValue>,
    ) {
        for (name, value) in &self.always {
            headers.insert(name, value.clone());
        }
        let may_be_kept = status.is_success() || status == StatusCode::NOT_MODIFIED;
        let cache = if may_be_kept { CACHE } else { "no-store" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        let Some(origin) = origin else { return };
        let is_allowed = |allowed: &String| allowed.as_bytes() == origin.as_bytes();
        if self.allowed_origins.iter().any(is_allowed) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            let exposed = HeaderValue::from_static("Content-Range, Content-Disposition, ETag");
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}
