-- What each version of the catalog promised of the experiment, so that a decision is judged by the version that it bears.
--   template_share: -1 where the catalog has no `wording`

CREATE TABLE IF NOT EXISTS catalogs
(
    tenant_id LowCardinality(String),
    catalog_version LowCardinality(String),
    holdout Float64,
    rules Float64,
    exploration_floor Float64,
    attribution_window_ms UInt64,
    template_share Float64,
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, catalog_version);

CREATE OR REPLACE VIEW catalogs_final AS SELECT * FROM catalogs FINAL;
