#!/bin/sh
# Start the job in its container: make the recovery store on first use, then hand the process over to Bytewax.
# Arguments go to bytewax.run, for example `--workers-per-process 2`.
set -eu

# Where snapshots are and how often they are taken comes from the same settings that `onramp run` reads. In whole seconds: the
# runner takes no fractions.
prepared=$(python -c '
from local.data_dir import DataDir, DataDirError
from flows.settings import SettingsError, load_settings

try:
    settings = load_settings()
    data = DataDir.create(settings.data_dir)
    with data.lock("run-job"):
        data.recovery(settings.recovery_partitions)
except (DataDirError, SettingsError) as error:
    raise SystemExit(str(error)) from None
print(max(1, round(settings.epoch_seconds)), data.state)
')

exec python -m bytewax.run "flows.main:flow()" --recovery-directory "${prepared#* }" --snapshot-interval "${prepared%% *}" \
    --backup-interval 0 "$@"
