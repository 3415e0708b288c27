use std::net::IpAddr;

/// The names by which pages may be asked for.
///
/// A page of a stranger may let its own name lead to this machine, and then read what it finds here
/// with the browser of somebody who is allowed to (DNS rebinding). The name that the browser was given
/// stands in the request, and an address is no name.
#[derive(Debug, Clone)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(own: &str, allowed: &[String]) -> Self {
        let names = ["localhost", own].into_iter();
        let names = names.chain(allowed.iter().map(String::as_str));
        Self(names.map(str::to_ascii_lowercase).collect())
    }

    /// Whether a request with this `Host` is answered.
    pub(super) fn allow(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        name.parse::<IpAddr>().is_ok() || self.0.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let hosts = Hosts::new("edge-1", &["pages.example.com".to_owned()]);
        for (host, allowed) in [
            ("localhost:55679", true),
            ("LOCALHOST", true),
            ("127.0.0.1:55679", true),
            ("[::1]:55679", true),
            ("10.0.0.7", true),
            ("edge-1:1", true),
            ("pages.example.com", true),
            ("pages.example.com.", true),
            ("evil.example.com:55679", false),
            ("localhost.evil.example.com", false),
            ("127.0.0.1.evil.example.com", false),
            ("", false),
            (":55679", false),
        ] {
            assert_eq!(hosts.allow(host), allowed, "{host}");
        }
    }
}
