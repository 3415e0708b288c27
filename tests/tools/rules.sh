#!/bin/sh
# Dependency rules: proto and the processors are bytes in, bytes out, and know no runtime, no
# network, no store and no YAML; every licence and source is one that deny.toml allows.
set -eu
cd "$(dirname "$0")/../.."

deny=0.20.2
tools="$PWD/.tools"

for package in slimspan-proto slimspan-artifact; do
    tree="$(cargo tree --locked --package "$package" --edges normal,build --prefix none)"
    for forbidden in tokio tonic hyper h2 axum reqwest object_store tracing saphyr-parser slimspan; do
        if echo "$tree" | grep -q "^$forbidden v"; then
            echo "$package depends on $forbidden, which it must not know" >&2
            exit 1
        fi
    done
done
if cargo tree --locked --package slimspan-proto --edges normal --prefix none | grep -q '^slimspan-artifact v'; then
    echo "slimspan-proto depends on a processor" >&2
    exit 1
fi

if [ ! -x "$tools/bin/cargo-deny" ] || [ "$("$tools/bin/cargo-deny" --version)" != "cargo-deny $deny" ]; then
    cargo install cargo-deny --version "$deny" --locked --quiet --root "$tools"
fi
"$tools/bin/cargo-deny" --all-features check bans licenses sources
