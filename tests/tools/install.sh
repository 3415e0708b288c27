#!/bin/sh
# Installs the storage emulators that the conformance tests start, into .tools/ (ignored by git).
# Needs python3 with venv, and npm. Running it again changes nothing.
set -eu

moto=5.2.5
azurite=3.37.0

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
