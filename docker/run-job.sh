#!/bin/sh
# Start the job in its container: create the recovery store on first use, then replace this process by Bytewax.
# Arguments are passed to bytewax.run, for example `--workers-per-process 2`.
set -eu

# The path and the interval of snapshots, and the processes of the job, come from the same settings as for `onramp run`. Bytewax takes whole
# seconds only.
prepared=$(python -c '
import shlex

from flows.last_line import end
from flows.recovery import BACKUP_INTERVAL, recovery_config
from flows.settings import SettingsError, load_settings
from local.data_dir import DataDir, DataDirError

try:
    settings = load_settings()
    data, processes = DataDir.create(settings.data_dir), settings.processes()
    with data.lock("run-job"):
        recovery_config(data, settings.recovery_partitions, keeps=processes.keeps)
except (DataDirError, SettingsError) as error:
    end(str(error))
seconds = max(1, round(settings.epoch_seconds))
keep = round(BACKUP_INTERVAL.total_seconds())
recovery = ["--recovery-directory", str(data.state), "--snapshot-interval", str(seconds), "--backup-interval", str(keep)]
print(shlex.join([*recovery, *processes.arguments()]))
')

eval "exec python -m bytewax.run 'flows.main:flow()' $prepared \"\$@\""
