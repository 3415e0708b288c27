#!/usr/bin/env bash
# Backends and browsers as people have them, in a network of their own: peers.sh [SCREENSHOT]. With the name of a
# screenshot, only the one that makes it. What is missing is said, and fails in CI.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing() {
    echo "SKIPPED: $1" >&2
    if [ "${CI:-}" = true ]; then
        exit 1
    fi
}

skip() {
    missing "$1"
    exit 0
}

tests/tools/install.sh peers
python="$PWD/.tools/phoenix/bin/python"
mlflow="$PWD/.tools/mlflow/bin/mlflow"
# What sends is there, too.
[ -x "$python" ] || skip "Phoenix is missing: run tests/tools/install.sh peers"

# Backends listen on all interfaces, and everything that they and the browser start ends with them.
alone=(unshare --net --pid --fork --kill-child --mount-proc --map-root-user)
"${alone[@]}" true 2>/dev/null || skip "no network namespace can be made here (unshare --map-root-user)"

cargo build --locked --quiet --bin slimspan
slimspan="${CARGO_TARGET_DIR:-target}/debug/slimspan"

# A test of tests/peers, with what it is told.
run() {
    # shellcheck disable=SC2016
    "${alone[@]}" sh -c 'ip link set lo up && exec "$@"' alone \
        env PYTHONDONTWRITEBYTECODE=1 "$python" "tests/peers/$1" "$slimspan" "${@:2}"
}

if [ $# = 0 ]; then
    if [ -x "$mlflow" ]; then
        run mlflow_server.py "$mlflow"
    else
        missing "MLflow is missing: run tests/tools/install.sh peers"
    fi
fi

CHROMIUM="${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}"
[ -n "$CHROMIUM" ] || skip "there is no browser: apt-get install chromium, or set CHROMIUM to one"
command -v "$CHROMIUM" >/dev/null || skip "CHROMIUM=$CHROMIUM is no program"
export CHROMIUM
run phoenix.py "$@"
