#!/bin/sh
# Start the job in its container: make the recovery partitions once, then hand the process over to Bytewax.
# Arguments go to bytewax.run, for example `-i 0 -a "job-0:2101;job-1:2101"` for more than one process.
set -eu

data=${ONRAMP_DATA_DIR:-/var/lib/onramp}
recovery=$data/recovery

# Resuming is quadratic in the keys of one recovery partition, and the number cannot be changed afterwards: 128 is cheap now
# and good for millions of people. It is made in a second place first, so that a crash half-way cannot leave half of them.
if [ ! -d "$recovery" ]; then
    rm -rf "$recovery.new"
    mkdir -p "$recovery.new"
    python -m bytewax.recovery "$recovery.new" 128
    mv "$recovery.new" "$recovery"
fi

exec python -m bytewax.run "flows.main:flow()" --recovery-directory "$recovery" --snapshot-interval "${ONRAMP_SNAPSHOT_SECONDS:-10}" \
    --backup-interval 0 "$@"
