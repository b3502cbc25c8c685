"""Everything on this machine: the data directory and its lock, the secret, the recovery store, and embedded Valkey.

``data_dir`` shows the layout of the directory. ``redis_access`` chooses between the Redis of the settings and ``valkey``, the embedded one.
"""
