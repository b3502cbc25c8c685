-- What was said about each held-out user who still waited at a share of the horizon of their step, and what became of them.
CREATE TABLE IF NOT EXISTS stuck_scores
(
    tenant_id LowCardinality(String),
    user_id String,
    step_id LowCardinality(String),
    share Float64,
    score Float64,
    time_alone Float64,
    horizon_ms Float64,
    judged_at DateTime64(3, 'UTC'),
    parameters_version UInt64,
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, user_id, step_id, share);

CREATE OR REPLACE VIEW stuck_scores_final AS SELECT * FROM stuck_scores FINAL;

-- The operating point of the alarms: the precision that the catalog asks for, and what past users say is reached.
--   reachable = 0: the asked precision is out of reach, and alarms are raised at the best one in reach
--   early_threshold holds before the last look at a person, threshold at it; null: no alarm is raised
CREATE OR REPLACE VIEW stuck_scorecard AS
SELECT
    tenant_id,
    JSONExtractFloat(weights, 'askedPrecision') AS asked_precision,
    JSONExtractFloat(weights, 'precision') AS precision,
    JSONExtractFloat(weights, 'recall') AS recall,
    JSONExtractBool(weights, 'reachable') AS reachable,
    JSONExtract(weights, 'earlyThreshold', 'Nullable(Float64)') AS early_threshold,
    JSONExtract(weights, 'threshold', 'Nullable(Float64)') AS threshold,
    JSONExtractUInt(weights, 'episodes') AS episodes,
    learned_at
FROM step_statistics_latest
WHERE step_id = '*' AND weights != ''
ORDER BY tenant_id;
