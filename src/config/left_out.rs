//! Keys that the Collector has and that are left out here on purpose. Whoever brings one along is told
//! why, rather than that nobody knows it.

/// Each key, another that stands where it would, and what to do instead.
const LEFT_OUT: [(&str, &str, &str); 6] = [
    (
        "tpm",
        "key_pem",
        "keys in a TPM cannot be used; give the key as key_file or key_pem",
    ),
    (
        "include_insecure_cipher_suites",
        "key_pem",
        "no insecure cipher suite is spoken here; remove it",
    ),
    (
        "curve_preferences",
        "key_pem",
        "all curves that are sound are offered, the best first; remove it",
    ),
    (
        "from_attribute",
        "default_value",
        "what an authenticator says of a sender cannot become a header; use from_context with a \
         header of the sender, or value",
    ),
    (
        "value_file",
        "default_value",
        "write value: ${env:NAME}, or use a bearertokenauth with filename",
    ),
    (
        "request_params",
        "authenticator",
        "what an authenticator reads stands in headers; remove it",
    ),
];

/// Why a key is left out that stands among the `known` ones, if it is.
pub(super) fn why(key: &str, known: &[&str]) -> Option<&'static str> {
    let mut keys = LEFT_OUT.iter();
    keys.find_map(|(left_out, beside, why)| {
        (*left_out == key && known.contains(beside)).then_some(*why)
    })
}
