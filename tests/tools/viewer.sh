#!/usr/bin/env bash
# The pages of artifact_server in a real browser, in a network of their own: viewer.sh [FOLDER FOR PICTURES].
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

CHROMIUM="${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}"
[ -n "$CHROMIUM" ] || skip "there is no browser: apt-get install chromium, or set CHROMIUM to one"
command -v "$CHROMIUM" >/dev/null || skip "CHROMIUM=$CHROMIUM is no program"
export CHROMIUM

# Whatever a hostile file asks for, it does not leave this machine.
alone=(unshare --net --pid --fork --kill-child --mount-proc --map-root-user)
"${alone[@]}" true 2>/dev/null || skip "no network namespace can be made here (unshare --map-root-user)"

# What takes long comes last.
tests/tools/install.sh viewer
python="$PWD/.tools/viewer/bin/python"
[ -x "$python" ] || skip "playwright is missing: run tests/tools/install.sh viewer"

cargo build --locked --quiet --bin slimspan
slimspan="${CARGO_TARGET_DIR:-target}/debug/slimspan"
# shellcheck disable=SC2016
"${alone[@]}" sh -c 'ip link set lo up && exec "$@"' alone \
    env PYTHONDONTWRITEBYTECODE=1 "$python" tests/peers/viewer/look.py "$slimspan" "$@"
