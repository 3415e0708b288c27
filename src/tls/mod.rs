//! TLS, of receivers and exporters alike: what the Collector's `tls` blocks say, made into what
//! protects a connection. Files that change are read again, and connections that are open stay as
//! they are.

mod authorities;
mod client;
pub mod config;
mod connector;
mod curves;
mod error;
mod identity;
mod pem;
mod server;
mod suites;

pub use authorities::Authorities;
pub use client::ClientTls;
pub use connector::{Connector, ServerStream};
pub use error::TlsError;
pub use rustls::ClientConfig;
pub use server::{Accepted, ServerTls, Terms};
