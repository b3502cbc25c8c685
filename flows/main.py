"""The onboarding job for clusters: ``python -m bytewax.run "flows.main:flow()" -r DATA_DIR/state``.

It builds the same graph as ``onramp run`` on Kafka or on the event log, with as many workers as the arguments of the runner ask for. The
processes of a job need the same settings, except for ``ONRAMP_PROCESS`` and a data directory of its own for each.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from contextlib import ExitStack
from typing import Final

from bytewax.dataflow import Dataflow

from flows.catalogs import CatalogFileError, require_named_catalog
from flows.failures import explain_failure
from flows.last_line import LastLine, end, say
from flows.logs import set_up_logging
from flows.metrics.server import MetricsAddressError
from flows.opened_job import open_job
from flows.processes import RunnerError, check_runner, keeps_old_snapshots, runner_options, workers_of
from flows.recovery import BACKUP_INTERVAL
from flows.run import rows_left, tuned_garbage_collector
from flows.settings import SettingsError, load_settings
from flows.stop import StopRequest
from local.data_dir import DataDir, DataDirError
from local.valkey import EmbeddedValkeyError
from sinks.clickhouse.delivery import FactDelivery
from sources.errors import SourceError
from state.catalog.parse import CatalogError

_LOG = logging.getLogger(__name__)
_AT_EXIT_SECONDS: Final = 5.0  # for the last rows after an ordered stop: supervisors kill after ten, and the next run delivers the rest


def flow() -> Dataflow:
    """Build the job from the environment. Its engines stay open until the process ends. Where it cannot run, it ends with one sentence.

    SIGINT and SIGTERM end the sources in order, with a last snapshot.
    """
    sys.excepthook = LastLine(several=False)
    try:
        settings = load_settings()
        if not settings.live:
            end(
                "neither ONRAMP_KAFKA_BROKERS nor ONRAMP_EVENT_LOG is set, and this job reads one of them. To read a file use "
                "`onramp run --input FILE`."
            )
        processes, given = settings.processes(), runner_options(sys.argv[1:])
        check_runner(processes, DataDir(settings.data_dir).state, given)
        require_named_catalog(settings)
        set_up_logging(settings)
        if not keeps_old_snapshots(BACKUP_INTERVAL, given):
            _LOG.warning(
                "The runner was told to remove old snapshots itself. It then looks at every user at each snapshot, which takes long with "
                "many: start it with -b %d.",
                BACKUP_INTERVAL.total_seconds(),
            )
        stack, stop = ExitStack(), StopRequest()
        stack.enter_context(stop.on_signals())
        job = stack.enter_context(open_job(settings, "bytewax.run", stop, workers=workers_of(processes, given)))
    except (
        RunnerError,
        SettingsError,
        CatalogFileError,
        CatalogError,
        DataDirError,
        EmbeddedValkeyError,
        MetricsAddressError,
        SourceError,
    ) as error:
        end(" ".join(explain_failure(error) or [str(error)]))
    sys.excepthook = LastLine(several=bool(processes.addresses))
    atexit.register(stack.close)
    atexit.register(_deliver_at_exit, job.engines.delivery)

    def fail() -> None:
        # A thread cannot raise into the dataflow, and without the schema in ClickHouse the job must not run.
        say(str(job.engines.clickhouse.error))
        os._exit(1)

    job.engines.clickhouse.start(fail)
    stack.enter_context(tuned_garbage_collector())
    return job.flow


def _deliver_at_exit(delivery: FactDelivery) -> None:
    """Deliver the rows of the last epoch at the end of the process, if the run returned in order: then that epoch is durable.

    After an exception the rows must wait, because the epoch may run again. ``sys.last_value`` exists only if an exception ended the runner.
    """
    if not hasattr(sys, "last_value") and not (result := delivery.flush(_AT_EXIT_SECONDS)).complete:
        _LOG.warning("%s", rows_left(result))
