#!/bin/sh
# Start the job in its container: create the recovery store on first use, then replace this process by Bytewax.
# Arguments are passed to bytewax.run, for example `--workers-per-process 2`.
set -eu

# The path and the interval of snapshots come from the same settings as for `onramp run`. Bytewax takes whole seconds only.
prepared=$(python -c '
from flows.recovery import recovery_config
from flows.settings import SettingsError, load_settings
from local.data_dir import DataDir, DataDirError

try:
    settings = load_settings()
    data = DataDir.create(settings.data_dir)
    with data.lock("run-job"):
        recovery_config(data, settings.recovery_partitions)
except (DataDirError, SettingsError) as error:
    raise SystemExit(str(error)) from None
print(max(1, round(settings.epoch_seconds)), data.state)
')

exec python -m bytewax.run "flows.main:flow()" --recovery-directory "${prepared#* }" --snapshot-interval "${prepared%% *}" \
    --backup-interval 0 "$@"
