"""Everything on this machine: the data directory and its lock, the secret, the recovery store, embedded Valkey and ClickHouse.

``data_dir`` shows the layout of the directory. ``redis_access`` chooses between the Redis of the settings and ``valkey``, the embedded one.
``clickhouse`` finds or starts the embedded ClickHouse; ``clickhouse_process`` is that process, which serves ``clickhouse_engine`` by
``clickhouse_http``. ``recovery_store`` repairs the recovery store before a resume, ``old_snapshots_process`` keeps it small during a run.
"""
