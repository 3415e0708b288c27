//! Keys that the Collector has and that are left out here on purpose. Whoever brings one along is told
//! why, rather than that nobody knows it.

/// The keys, wherever they stand, and what to do instead.
const LEFT_OUT: [(&str, &str); 6] = [
    (
        "tpm",
        "keys in a TPM cannot be used; give the key as key_file or key_pem",
    ),
    (
        "include_insecure_cipher_suites",
        "no insecure cipher suite is spoken here; remove it",
    ),
    (
        "curve_preferences",
        "all curves that are sound are offered, the best first; remove it",
    ),
    (
        "from_attribute",
        "what an authenticator says of a sender cannot become a header; use from_context with a \
         header of the sender, or value",
    ),
    (
        "value_file",
        "write value: ${env:NAME}, or use a bearertokenauth with filename",
    ),
    (
        "request_params",
        "what an authenticator reads stands in headers; remove it",
    ),
];

/// Why a key is left out, if it is one of these.
pub(super) fn why(key: &str) -> Option<&'static str> {
    let mut keys = LEFT_OUT.iter();
    keys.find_map(|(left_out, why)| (*left_out == key).then_some(*why))
}
