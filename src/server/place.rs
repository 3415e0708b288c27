//! The place of a request at the listener for pages and the API, from when it is known who asks until the answer
//! is taken.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::response::Response;
use http::Extensions;

use super::Server;
use super::kept::keep_until_taken;
use super::slots::{Full, Slot};

/// Routes with places of their own, in which what is sent may take its time.
const OTHERS: [&str; 2] = ["/v1/artifacts/{sha256}/blob", "/v1/restore/{signal}"];

/// Where a request has its place.
#[derive(Debug, Clone, Default)]
struct Place(Arc<Mutex<Option<Slot>>>);

impl Place {
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

impl Server {
    /// Takes a place for a request of `payer`, unless others are for those of its kind.
    pub(super) async fn take_place(
        &self,
        extensions: &Extensions,
        payer: &str,
    ) -> Result<(), Full> {
        if let Some(place) = extensions.get::<Place>() {
            place.put(Some(self.questions.take(payer).await?));
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt as _;

    use super::super::slots::Slots;
    use super::*;

    /// All that is asked for is a place.
    async fn asked(route: &str, slots: &Slots) -> Response {
        let answering = async |request: Request| {
            if let Some(place) = request.extensions().get::<Place>() {
                place.put(Some(slots.take("a").await.unwrap()));
            }
            Response::new(Body::from(vec![7; 1 << 20]))
        };
        answer(route, Request::new(Body::empty()), answering).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_taken_until_the_answer_is() {
        let slots = Slots::new(1);
        let mut body = asked("/v1/artifacts", &slots).await.into_body();
        let _some = body.frame().await.unwrap().unwrap();
        assert!(slots.take("a").await.is_err());
        let all = body.collect().await.unwrap();
        assert!(all.to_bytes().len() < 1 << 20);
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
