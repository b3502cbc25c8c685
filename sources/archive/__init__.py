"""The archive: the log as Parquet files, which stays when the log has deleted its messages."""
