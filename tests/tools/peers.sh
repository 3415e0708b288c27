#!/usr/bin/env bash
# Backends and browsers as people have them, in a network of their own: peers.sh [SCREENSHOT].
# What is missing is said, and fails in CI.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
    echo "SKIPPED: $1" >&2
    if [ "${CI:-}" = true ]; then
        exit 1
    fi
    exit 0
}

tests/tools/install.sh peers
python="$PWD/.tools/phoenix/bin/python"
[ -x "$python" ] || skip "Phoenix is missing: run tests/tools/install.sh peers"
CHROMIUM="${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}"
[ -n "$CHROMIUM" ] || skip "there is no browser: apt-get install chromium, or set CHROMIUM to one"
command -v "$CHROMIUM" >/dev/null || skip "CHROMIUM=$CHROMIUM is no program"
export CHROMIUM

# Phoenix listens on all interfaces, and everything that it and the browser start ends with them.
alone=(unshare --net --pid --fork --kill-child --mount-proc --map-root-user)
"${alone[@]}" true 2>/dev/null || skip "no network namespace can be made here (unshare --map-root-user)"

cargo build --locked --quiet --bin slimspan
slimspan="${CARGO_TARGET_DIR:-target}/debug/slimspan"
# shellcheck disable=SC2016
"${alone[@]}" sh -c 'ip link set lo up && exec "$@"' alone \
    env PYTHONDONTWRITEBYTECODE=1 "$python" tests/peers/phoenix.py "$slimspan" "$@"
