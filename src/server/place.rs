//! The place of a request at the listener for pages and the API, from when it is known who asks, and all is there that
//! they say, until the answer is taken.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::response::Response;
use http::Extensions;

use super::kept::keep_until_taken;
use super::slots::{Full, Slot, Slots};

/// Routes with places of their own, in which what is sent may take its time.
const OTHERS: [&str; 2] = ["/v1/artifacts/{sha256}/blob", "/v1/restore/{signal}"];

/// Where a request has its place.
#[derive(Debug, Clone, Default)]
pub(super) struct Place(Arc<Mutex<Option<Slot>>>);

impl Place {
    /// That of a request with these; none where it has other places.
    pub(super) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().cloned()
    }

    /// Has one of `slots` in it for `payer`, unless others have them all.
    pub(super) async fn take(&self, slots: &Slots, payer: &str) -> Result<(), Full> {
        self.put(Some(slots.take(payer).await?));
        Ok(())
    }

    fn put(&self, slot: Option<Slot>) -> Option<Slot> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut place, slot)
    }
}

/// Answers a request on this route; the place that it takes meanwhile stays its own until the answer is taken.
pub(super) async fn answer<F: Future<Output = Response>>(
    route: &str,
    mut request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    let place = Place::default();
    if !OTHERS.contains(&route) {
        request.extensions_mut().insert(place.clone());
    }
    let response = answer(request).await;
    match place.put(None) {
        Some(slot) => response.map(|body| keep_until_taken(body, slot)),
        None => response,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use axum::body::Body;
    use http_body::Body as _;
    use http_body_util::BodyExt as _;
    use tokio::time::Instant;

    use super::*;

    const SIZE: usize = 1 << 20;

    /// All that is asked for is a place.
    async fn asked(route: &str, slots: &Slots) -> Response {
        let answering = async |request: Request| {
            if let Some(place) = Place::of(request.extensions()) {
                place.take(slots, "a").await.unwrap();
            }
            Response::new(Body::from(vec![7; SIZE]))
        };
        answer(route, Request::new(Body::empty()), answering).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_taken_until_the_answer_is() {
        let slots = Slots::new(1);
        let mut body = asked("/v1/artifacts", &slots).await.into_body();
        let mut taken = 0;
        // As it is sent: what has given all of it is let go of, whatever was taken of that.
        while !body.is_end_stream() {
            let other = slots.take_until(Instant::now(), "a").await;
            assert!(other.is_err(), "{taken}");
            let piece = body.frame().await.unwrap().unwrap();
            let len = piece.data_ref().unwrap().len();
            assert!(len < SIZE, "all of it is given at once");
            taken += len;
        }
        assert_eq!(taken, SIZE);
        drop(body);
        slots.take("a").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_other_places_takes_none_here() {
        let slots = Slots::new(1);
        for route in OTHERS {
            let _body = asked(route, &slots).await.into_body();
            slots.take("a").await.unwrap();
        }
    }
}
