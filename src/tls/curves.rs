//! The groups in which two sides agree on keys, by the names that Go has for them.

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::kx_group;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A group in which two sides agree on keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Curve {
    /// `X25519`
    X25519,
    /// `P256`
    P256,
    /// `P384`
    P384,
    /// `X25519MLKEM768`, which a quantum computer does not break. There is none in TLS 1.2.
    X25519MlKem768,
}

impl Curve {
    fn group(self) -> &'static dyn SupportedKxGroup {
        match self {
            Self::X25519 => kx_group::X25519,
            Self::P256 => kx_group::SECP256R1,
            Self::P384 => kx_group::SECP384R1,
            Self::X25519MlKem768 => kx_group::X25519MLKEM768,
        }
    }
}

/// The groups of these names in their order, each once.
pub(super) fn groups(curves: &[Curve]) -> Vec<&'static dyn SupportedKxGroup> {
    let mut groups: Vec<&dyn SupportedKxGroup> = Vec::new();
    for group in curves.iter().map(|curve| curve.group()) {
        if groups.iter().all(|known| known.name() != group.name()) {
            groups.push(group);
        }
    }
    groups
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use rustls::NamedGroup;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::config::Secret;
    use crate::tls::config::{TlsClientConfig, TlsServerConfig, Version};
    use crate::tls::{ClientTls, ServerTls};

    /// The group in which both sides agree, if they do.
    async fn agreed(
        of_server: &[Curve],
        of_client: &[Curve],
        max_version: Option<Version>,
    ) -> Option<NamedGroup> {
        let own = rcgen::generate_simple_self_signed(["backend".to_owned()]).unwrap();
        let server = TlsServerConfig {
            cert_pem: Some(Secret::new(own.cert.pem())),
            key_pem: Some(Secret::new(own.signing_key.serialize_pem())),
            curve_preferences: of_server.to_vec(),
            max_version,
            ..TlsServerConfig::default()
        };
        let client = TlsClientConfig {
            insecure_skip_verify: true,
            curve_preferences: of_client.to_vec(),
            ..TlsClientConfig::default()
        };
        let server = ServerTls::new("server", &server, &[]).unwrap();
        let client = ClientTls::new("client", &client, &[]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap());
        let (stream, accepted) = tokio::join!(stream, listener.accept());
        let (accepted, connected) = tokio::join!(
            server.accept(accepted.unwrap().0),
            client.connect("backend", stream.unwrap()),
        );
        let group = |seen: Option<&dyn SupportedKxGroup>| seen.unwrap().name();
        let accepted = accepted.ok();
        let accepted =
            accepted.map(|stream| group(stream.get_ref().1.negotiated_key_exchange_group()));
        let connected = connected.ok();
        let connected =
            connected.map(|stream| group(stream.get_ref().1.negotiated_key_exchange_group()));
        assert_eq!(accepted, connected);
        connected
    }

    #[tokio::test]
    async fn both_sides_agree_on_what_both_have() {
        use Curve::{P256, P384, X25519, X25519MlKem768};

        for (server, client, group) in [
            (&[P256][..], &[X25519][..], None),
            (&[P384], &[P256, X25519], None),
            (&[P384], &[P384], Some(NamedGroup::secp384r1)),
            (&[P384], &[], Some(NamedGroup::secp384r1)),
            (&[], &[P384, X25519], Some(NamedGroup::secp384r1)),
            (&[], &[P256, P256, P384], Some(NamedGroup::secp256r1)),
            // The order is that of the client.
            (
                &[X25519, P256],
                &[P256, X25519],
                Some(NamedGroup::secp256r1),
            ),
            (
                &[X25519MlKem768],
                &[X25519, X25519MlKem768],
                Some(NamedGroup::X25519MLKEM768),
            ),
        ] {
            let found = agreed(server, client, None).await;
            assert_eq!(found, group, "{server:?} {client:?}");
        }
        let of_12 = Some(Version::V12);
        let found = agreed(&[P384], &[X25519, P384], of_12).await;
        assert_eq!(found, Some(NamedGroup::secp384r1));
        assert_eq!(agreed(&[P256], &[X25519], of_12).await, None);
    }
}
