//! What a card shows in place of a picture that would take too much of a browser.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, header};

use super::media::Media;
use super::pixels::Pixels;

/// A gallery has many pictures: of each that many pixels are decoded at most, four bytes for each.
const MOST: u64 = 16_000_000;

/// What is given to a card in place of a file, if it is a picture of more pixels, or nobody knows of how many.
pub(super) fn instead_of(media: Media) -> Option<Response> {
    if media.has_at_most(MOST) {
        return None;
    }
    let told = match media.pixels {
        Some(Pixels { width, height }) => format!("{width} × {height} pixels"),
        None => "of unknown extent".to_owned(),
    };
    let picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"240\" height=\"180\" viewBox=\"0 0 240 180\">\
         <rect width=\"240\" height=\"180\" fill=\"#ecedf0\"/>\
         <g font-family=\"system-ui, sans-serif\" font-size=\"15\" fill=\"#5b6472\" text-anchor=\"middle\">\
         <text x=\"120\" y=\"86\">{told}</text><text x=\"120\" y=\"108\">not shown here</text></g></svg>"
    );
    let mut response = Response::new(Body::from(picture));
    let svg = HeaderValue::from_static("image/svg+xml");
    response.headers_mut().insert(header::CONTENT_TYPE, svg);
    Some(response)
}
