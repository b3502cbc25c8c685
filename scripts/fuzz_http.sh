#!/bin/sh
# Installs Schemathesis (MIT) into an environment of its own, once, and fuzzes the gateway by its OpenAPI description. Arguments go on to it.
set -eu
cd "$(dirname "$0")/.."

version=4.32.5
fuzzer=.schemathesis/$version
if [ ! -x "$fuzzer/bin/schemathesis" ]; then
    echo "Installing Schemathesis $version into $fuzzer ..."
    rm -rf "$fuzzer"
    "${PYTHON:-.venv/bin/python}" -m venv "$fuzzer"
    "$fuzzer/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi
exec "${PYTHON:-.venv/bin/python}" -m tests.fuzz.http_api "$@" "$PWD/$fuzzer/bin/schemathesis"
