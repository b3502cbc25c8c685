#!/bin/sh
# Run a command with busy loops beside it, one for each core, and end them with it. LOOPS=4 for more of them.
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
