//! What pages have in common: their style, their script and their icon, all of them in the program.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");

/// Copies what is in a field. Without it there is the field.
pub(super) const SCRIPT: &str = include_str!("copy.js");

/// The script by its hash: a page may have no other one.
pub(super) fn script_hash() -> &'static str {
    static HASH: LazyLock<String> = LazyLock::new(|| {
        let hash = Sha256::digest(SCRIPT.as_bytes());
        format!("sha256-{}", STANDARD.encode(hash))
    });
    &HASH
}

/// Another name for each style, so that a browser keeps it and has a new one after an upgrade.
pub(super) fn style_name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let hash = blake3::hash(STYLE.as_bytes()).to_hex();
        format!("style.css?{}", hash.get(..12).unwrap_or_default())
    });
    &NAME
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(super) async fn icon() -> Response {
    asset("image/svg+xml", ICON)
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "public, max-age=86400"),
    ];
    (headers, text).into_response()
}
