#!/usr/bin/env bash
# Runs slimspan as deploy/systemd/slimspan.service has it run, with the configuration that comes with it:
# unit.sh SLIMSPAN. Its ports are fixed, so this belongs into a network of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
slimspan="$(realpath "$1")"

setting() {
    sed -n "s/^$1=//p" deploy/systemd/slimspan.service
}

# Where the unit and its comments say.
root="$(mktemp -d)"
install -D -m 644 collector.yaml "$root/etc/slimspan/collector.yaml"
install -m 600 deploy/systemd/slimspan.env "$root/etc/slimspan/slimspan.env"
install -d -m "$(setting StateDirectoryMode)" "$root/var/lib/slimspan"
elsewhere() {
    sed "s#^/usr/bin/slimspan#$slimspan#; s#/etc/slimspan#$root/etc/slimspan#g; s#^-##; s#%S#$root/var/lib#"
}
start="$(setting ExecStart | elsewhere)"
environment="$(setting EnvironmentFile | elsewhere)"
state="$(setting WorkingDirectory | elsewhere)"
mask="$(setting UMask)"
files="$(setting LimitNOFILE)"

log="$root/log"
: >"$log"
(
    cd "$state"
    umask "$mask"
    # Not everybody may have as many.
    ulimit -n "$files" 2>/dev/null || true
    mapfile -t variables < <(grep -v '^#' "$environment")
    # A service has nothing else of anybody's.
    # shellcheck disable=SC2086
    exec env -i "${variables[@]}" $start
) >"$log" 2>&1 &
pid=$!
trap 'kill -9 "$pid" 2>/dev/null || true; rm -rf "$root"' EXIT

failed() {
    echo "deploy/systemd/slimspan.service: $1" >&2
    cat "$log" >&2
    exit 1
}

says() {
    for _ in $(seq 600); do
        grep -q "$1" "$log" && return
        kill -0 "$pid" 2>/dev/null || failed "it ended"
        sleep 0.1
    done
    failed "it never said $1"
}

says '^ *ready'
(cd "$state" && "$slimspan" demo --config "$root/etc/slimspan/collector.yaml" >"$root/demo" 2>&1) ||
    failed "slimspan demo: $(cat "$root/demo")"
kill -HUP "$pid"
says 'reloaded the configuration'
# Only its own user reads what is in its folder.
open="$(find "$state" -mindepth 1 -perm /077)"
[ -z "$open" ] || failed "others may read $open"
[ -n "$(find "$state" -type f)" ] || failed "it keeps nothing in $state"
kill -TERM "$pid"
begun=$SECONDS
wait "$pid" || failed "it ended with $?"
[ $((SECONDS - begun)) -lt "$(setting TimeoutStopSec | tr -d s)" ] || failed "its end took too long"
# What RestartPreventExitStatus says of a wrong configuration.
echo 'receivers: {' >"$root/etc/slimspan/collector.yaml"
code=0
# shellcheck disable=SC2086
(cd "$state" && env -i $start) >>"$log" 2>&1 || code=$?
[ "$code" = "$(setting RestartPreventExitStatus)" ] || failed "a wrong configuration ends with $code"
