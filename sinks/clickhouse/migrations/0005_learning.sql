-- Columns and tables of learning: groups, scores, the parameter version of each decision, stopped arms, statistics of steps.

ALTER TABLE decisions ADD COLUMN IF NOT EXISTS experiment_group LowCardinality(String) DEFAULT 'adaptive';
ALTER TABLE decisions ADD COLUMN IF NOT EXISTS parameters_version UInt64 DEFAULT 0;
ALTER TABLE stuck_signals ADD COLUMN IF NOT EXISTS score Float64 DEFAULT 0;
ALTER TABLE stuck_signals ADD COLUMN IF NOT EXISTS parameters_version UInt64 DEFAULT 0;

CREATE TABLE IF NOT EXISTS arm_stops
(
    tenant_id LowCardinality(String),
    trigger LowCardinality(String),
    arm LowCardinality(String),
    arm_version LowCardinality(String),
    confidence Float64,
    margin Float64,
    rate Float64,
    others_rate Float64,
    outcomes Float64,
    stopped_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, trigger, arm, arm_version);

CREATE TABLE IF NOT EXISTS step_statistics
(
    tenant_id LowCardinality(String),
    step_id LowCardinality(String),
    parameters_version UInt64,
    horizon_ms Float64,
    median_ms Float64,
    completion_share Float64,
    episodes Float64,
    curve_ms Array(Float64),
    survival Array(Float64),
    weights String,
    learned_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, step_id, parameters_version);

-- A view has the columns that existed when it was created, so it is created again.
CREATE OR REPLACE VIEW decisions_final AS SELECT * FROM decisions FINAL;

CREATE OR REPLACE VIEW stuck_signals_final AS SELECT * FROM stuck_signals FINAL;

CREATE OR REPLACE VIEW arm_stops_final AS SELECT * FROM arm_stops FINAL;

CREATE OR REPLACE VIEW step_statistics_final AS SELECT * FROM step_statistics FINAL;

-- The parameters in force, one row for each step.
CREATE OR REPLACE VIEW step_statistics_latest AS
SELECT * FROM (SELECT * FROM step_statistics_final ORDER BY parameters_version DESC LIMIT 1 BY tenant_id, step_id)
ORDER BY tenant_id, step_id;
