#!/bin/sh
# Fetches Prometheus and promtool from Debian's package, once, without installing it, and runs the tests of alerts and dashboards. Arguments
# go to pytest. With the one argument `fetch` it runs nothing.
set -eu
cd "$(dirname "$0")/.."

if ! command -v promtool >/dev/null && ! [ -x .prometheus/usr/bin/promtool ]; then
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        echo 'Skipped: there is no promtool on the PATH, and no apt-get to fetch it.'
        exit 0
    fi
    echo "Fetching Prometheus (19 MB) ..."
    mkdir -p .prometheus
    (cd .prometheus && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb)
fi
[ "${1:-}" = fetch ] && exit 0
exec "${PYTHON:-.venv/bin/python}" -m pytest -m '' tests/observability "$@"
