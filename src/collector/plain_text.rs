//! Listeners that other machines reach, in plain text.

use std::net::SocketAddr;

/// What is told over a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// What senders send.
    Requests,
    /// What passes.
    Pages,
    /// What is counted, by a listener that has no TLS.
    Metrics,
}

/// Tells of a listener without TLS who may read along.
pub(super) fn warn_of_plain_text(listener: &str, address: SocketAddr, told: Told) {
    if let Some(warning) = warning(listener, address, told) {
        tracing::warn!("{warning}");
    }
}

fn warning(listener: &str, address: SocketAddr, told: Told) -> Option<String> {
    if address.ip().to_canonical().is_loopback() {
        return None;
    }
    let why = match told {
        Told::Requests => format!(
            "without tls anybody on the way reads and changes what is sent: add {listener}.tls, or listen on \
             127.0.0.1"
        ),
        Told::Pages => format!(
            "without tls anybody on the way reads what passes, and with it whoever comes does: add \
             {listener}.tls with client_ca_file, or listen on 127.0.0.1"
        ),
        Told::Metrics => "anybody who comes, or is on the way, reads what is counted: let only those reach it who \
                          should, or listen on 127.0.0.1"
            .to_owned(),
    };
    Some(format!(
        "{listener}: {address} can be reached from other machines, and {why}"
    ))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn who_can_be_reached_from_elsewhere_is_told_what_to_do() {
        for (told, remedy) in [
            (Told::Requests, "add a.b.tls, or"),
            (Told::Pages, "add a.b.tls with client_ca_file, or"),
            (Told::Metrics, "let only those reach it who should, or"),
        ] {
            for (address, is_told) in [
                ("0.0.0.0:1", true),
                ("10.0.0.7:1", true),
                ("[::]:1", true),
                ("127.0.0.1:1", false),
                ("[::1]:1", false),
                ("[::ffff:127.0.0.1]:1", false),
            ] {
                let warning = warning("a.b", address.parse().unwrap(), told);
                assert_eq!(warning.is_some(), is_told, "{address}");
                if let Some(warning) = warning {
                    let begin = format!("a.b: {address} can be reached from other machines, and ");
                    assert!(warning.starts_with(&begin), "{warning}");
                    assert!(warning.contains(remedy), "{warning}");
                }
            }
        }
    }
}
