"""Where effects go: Redis for the app, ClickHouse for analysts, dead letters for operators."""
