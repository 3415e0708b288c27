#!/usr/bin/env bash
# The pages of artifact_server in a real browser, in a network of their own: viewer.sh [FOLDER FOR PICTURES].
# What can be had and is missing fails in CI; what a machine does not give is said.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
    echo "SKIPPED: $1" >&2
    exit "${2:-0}"
}

tests/tools/install.sh viewer
python="$PWD/.tools/viewer/bin/python"
if [ ! -x "$python" ]; then
    failure=0
    [ "${CI:-}" != true ] || failure=1
    skip "playwright is missing: run tests/tools/install.sh viewer" "$failure"
fi
if [ -z "${CHROMIUM:-}" ]; then
    CHROMIUM="$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)"
fi
[ -n "$CHROMIUM" ] || skip "there is no browser: apt-get install chromium, or set CHROMIUM to one"
export CHROMIUM

# Whatever a hostile file asks for, it does not leave this machine.
alone=(unshare --net --pid --fork --kill-child --mount-proc --map-root-user)
"${alone[@]}" true 2>/dev/null || skip "no network namespace can be made here (unshare --map-root-user)"

cargo build --locked --quiet --bin slimspan
slimspan="${CARGO_TARGET_DIR:-target}/debug/slimspan"
# shellcheck disable=SC2016
"${alone[@]}" sh -c 'ip link set lo up && exec "$@"' alone \
    env PYTHONDONTWRITEBYTECODE=1 "$python" tests/peers/viewer/look.py "$slimspan" "$@"
