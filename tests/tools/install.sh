#!/bin/sh
# Installs what the tests start and is not built here, into .tools/ (ignored by git): emulators of
# object stores, and an OpenTelemetry SDK. Needs python3 with venv, and npm; what cannot be had is
# said, and its tests are skipped (in CI they fail). Running it again changes nothing.
set -u

tools="$(cd "$(dirname "$0")/../.." && pwd)/.tools"
mkdir -p "$tools"

python_packages() {
    python3 -m venv "$1" &&
        "$1/bin/pip" install --quiet --disable-pip-version-check $2
}

npm_package() {
    npm install --prefix "$1" --no-audit --no-fund --loglevel=error "$2"
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

install moto python_packages "moto[server]==5.2.5"
install azurite npm_package "azurite@3.37.0"
install otel python_packages \
    "opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-proto-grpc==1.45.2"
