#!/bin/sh
# Installs what the tests start and is not built here, into .tools/ (ignored by git): emulators of
# object stores, and an OpenTelemetry SDK.
# Needs python3 with venv, and npm. Running it again changes nothing.
set -eu

moto=5.2.5
azurite=3.37.0
otel=1.45.2

tools="$(cd "$(dirname "$0")/../.." && pwd)/.tools"
mkdir -p "$tools"

if [ ! -f "$tools/moto/installed-$moto" ]; then
    rm -rf "$tools/moto"
    python3 -m venv "$tools/moto"
    "$tools/moto/bin/pip" install --quiet --disable-pip-version-check "moto[server]==$moto"
    touch "$tools/moto/installed-$moto"
fi

if [ ! -f "$tools/azurite/installed-$azurite" ]; then
    rm -rf "$tools/azurite"
    npm install --prefix "$tools/azurite" --no-audit --no-fund --loglevel=error "azurite@$azurite"
    touch "$tools/azurite/installed-$azurite"
fi

if [ ! -f "$tools/otel/installed-$otel" ]; then
    rm -rf "$tools/otel"
    python3 -m venv "$tools/otel"
    "$tools/otel/bin/pip" install --quiet --disable-pip-version-check \
        "opentelemetry-sdk==$otel" "opentelemetry-exporter-otlp-proto-grpc==$otel"
    touch "$tools/otel/installed-$otel"
fi
