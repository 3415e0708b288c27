#!/usr/bin/env bash
# Checks what is in deploy/, each kind of file with a tool that knows it. What cannot be checked here
# is said, and fails in CI. WRITE=1 writes deploy/kubernetes/slimspan.yaml anew.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools="$PWD/.tools/packaging"
cargo build --locked --quiet --bin slimspan
slimspan="${CARGO_TARGET_DIR:-target}/debug/slimspan"

missing() {
    echo "NOT CHECKED: $1" >&2
    if [ "${CI:-}" = true ]; then
        exit 1
    fi
}

tests/tools/install.sh packaging
podmonitor="$PWD/.tools/podmonitor"
if [ -f "$tools/installed" ] && [ -f "$podmonitor/installed" ]; then
    "$tools/bin/hadolint" deploy/Dockerfile
    echo "ok: deploy/Dockerfile"
    "$tools/bin/yamllint" --strict --config-file tests/packaging/yamllint.yaml \
        deploy/helm/slimspan/{Chart,values}.yaml deploy/helm/slimspan/ci deploy/kubernetes collector.yaml
    echo "ok: the YAML that people write"
    # Helm's library writes a line for each refusal, which are wanted here.
    PYTHONDONTWRITEBYTECODE=1 "$tools/bin/python" tests/packaging/check.py "$slimspan" "$podmonitor/node_modules" ${WRITE:+--write} \
        2> >(grep -v 'INFO funcMap fail' >&2)
    "$tools/bin/python" tests/packaging/dashboard.py deploy/grafana/slimspan.json docs/telemetry.md
else
    missing "deploy/Dockerfile, deploy/grafana, deploy/helm and deploy/kubernetes: run tests/tools/install.sh packaging"
fi

# docs/capacity.md shows a program and what it prints.
block() {
    awk -v language="$1" '$0 == "```" { inside = 0 } inside; $0 == "```" language { inside = 1 }' docs/capacity.md
}
diff <(block python | python3 - | sed 's/ *$//') <(block text | sed '1,/^stored  *=/d') >&2 || {
    echo "docs/capacity.md does not show what its program prints" >&2
    exit 1
}
echo "ok: docs/capacity.md"

# The image is to be built from what the build gets to see, and with the compiler of this repository.
version="$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)"
if ! grep -q "^FROM rust:$version-" deploy/Dockerfile; then
    echo "deploy/Dockerfile does not build with Rust $version, as rust-toolchain.toml says" >&2
    exit 1
fi
for file in $(cargo metadata --locked --no-deps --format-version 1 |
    grep -oE '"(src_path|manifest_path)":"[^"]*"' | cut -d'"' -f4); do
    file="${file#"$PWD"/}"
    if ! sed -n 's/^!//p' deploy/Dockerfile.dockerignore | grep -qE "^${file%%/*}(/|$)"; then
        echo "deploy/Dockerfile.dockerignore hides $file, which cargo needs" >&2
        exit 1
    fi
done
echo "ok: deploy/Dockerfile.dockerignore"

if command -v systemd-analyze >/dev/null; then
    folder="$(mktemp -d)"
    trap 'rm -rf "$folder"' EXIT
    # It wants to find the program.
    sed "s#/usr/bin/slimspan#$(realpath "$slimspan")#" deploy/systemd/slimspan.service >"$folder/slimspan.service"
    # What it does not know it only tells.
    said="$(systemd-analyze verify --man=no "$folder/slimspan.service" 2>&1)" || { echo "$said" >&2 && exit 1; }
    if [ -n "$said" ]; then
        echo "$said" >&2
        exit 1
    fi
    # From 0, closed, to 100, open; a unit that says nothing of security has 96.
    systemd-analyze security --offline=true --threshold=20 "$folder/slimspan.service" >"$folder/security" ||
        { cat "$folder/security" && exit 1; }
    echo "ok: deploy/systemd/slimspan.service"
else
    missing "deploy/systemd: there is no systemd-analyze"
fi

# And it runs like that, on its own ports.
alone=(unshare --net --pid --fork --kill-child --mount-proc --map-root-user)
if "${alone[@]}" true 2>/dev/null; then
    # shellcheck disable=SC2016
    "${alone[@]}" sh -c 'ip link set lo up && exec "$@"' alone tests/packaging/unit.sh "$slimspan"
    echo "ok: what deploy/systemd/slimspan.service runs"
else
    missing "what deploy/systemd runs: no network namespace can be made here (unshare --map-root-user)"
fi
