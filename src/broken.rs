//! What broke on the way to another, without a word of the other side.

use std::error::Error;
use std::io;

/// What went wrong at the bottom: the messages above are "error sending request" and the like.
pub fn root(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    said(cause)
}

/// What an error says by itself. Why the other side ends a connection of HTTP/2 it says in words of its own,
/// which may quote what it was sent: of them only the code is told.
pub fn said(error: &(dyn Error + 'static)) -> String {
    let Some(end) = goaway(error) else {
        return error.to_string();
    };
    let by = if end.is_remote() {
        "received"
    } else {
        "detected"
    };
    match end.reason() {
        Some(reason) => format!("connection error {by}: {reason}"),
        None => format!("connection error {by}"),
    }
}

fn goaway<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e h2::Error> {
    let within = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    let error = within.map_or(error, |within| within as &(dyn Error + 'static));
    let error = error.downcast_ref::<h2::Error>();
    error.filter(|error| error.is_go_away())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// The connection error of a client whose other side says so.
    async fn ended_with(words: &[u8]) -> h2::Error {
        let (here, mut there) = tokio::io::duplex(1 << 10);
        let len = u8::try_from(words.len() + 8).unwrap();
        // No settings, and a GOAWAY: no stream, the code, the words.
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let goaway = [0, 0, len, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
        let frames = [&settings[..], &goaway, words].concat();
        there.write_all(&frames).await.unwrap();
        let (_sender, connection) = h2::client::handshake(here).await.unwrap();
        connection.await.unwrap_err()
    }

    #[tokio::test]
    async fn what_the_other_side_says_of_its_end_is_not_told() {
        #[derive(Debug, thiserror::Error)]
        #[error("error sending request")]
        struct Taciturn(#[source] h2::Error);

        let plain = ended_with(b"").await.to_string();
        assert!(plain.contains("excessive load"), "{plain}");
        let error = ended_with(b"c4n4ry").await;
        assert!(error.to_string().contains("c4n4ry"), "{error}");
        assert_eq!(said(&error), plain);
        assert_eq!(root(&Taciturn(error)), plain);
        let within = io::Error::other(ended_with(b"c4n4ry").await);
        assert_eq!(root(&within), plain);
        let other = io::Error::other("nobody listens");
        assert_eq!(root(&other), "nobody listens");
    }
}
