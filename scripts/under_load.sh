#!/bin/sh
# Run a command beside busy loops, and end them with it. LOOPS is their number (default: 2).
#
#   scripts/under_load.sh make test
set -eu

loops=''
trap 'kill $loops 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM
for _ in $(seq "${LOOPS:-2}"); do
    ( while :; do :; done ) &
    loops="$loops $!"
done
"$@"
