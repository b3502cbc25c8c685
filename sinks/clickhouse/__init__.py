"""Writes facts to ClickHouse for analysts, through a durable spool on disk.

Read in this order: ``sink`` (why each row enters the spool once), ``spool`` (files and stages), ``drain`` (delivery), ``migrate`` (schema
and views), ``read_only_query`` (read-only SQL). Nothing is imported here: settings and errors are needed without the driver.
"""
