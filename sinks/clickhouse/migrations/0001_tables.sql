-- One table for each kind of fact (state/records/facts.py). Columns have the order of the struct; rows are sorted by its key.
-- ReplacingMergeTree keeps the row with the largest version of a key, so a fact that was written twice counts once (with FINAL).
-- Only tables in which the month of a key cannot change are partitioned, because rows replace each other only inside a partition.
-- The time 0 (1970-01-01) means "has not happened"; the *_final views return NULL for it.

CREATE TABLE IF NOT EXISTS events
(
    tenant_id LowCardinality(String),
    user_id String,
    event_id String,
    session_id String,
    event_type LowCardinality(String),
    name LowCardinality(String),
    payload String,
    status LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    log_time DateTime64(3, 'UTC'),
    source_partition Int32,
    source_offset Int64,
    traceparent String,
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (tenant_id, user_id, event_id);

CREATE TABLE IF NOT EXISTS decisions
(
    tenant_id LowCardinality(String),
    decision_id String,
    user_id String,
    trigger LowCardinality(String),
    path_id LowCardinality(String),
    step_id LowCardinality(String),
    segment LowCardinality(String),
    outcome LowCardinality(String),
    reason LowCardinality(String),
    arm LowCardinality(String),
    propensity Float64,
    arms Array(LowCardinality(String)),
    propensities Array(Float64),
    learner_version UInt64,
    catalog_version LowCardinality(String),
    decided_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, decision_id);

CREATE TABLE IF NOT EXISTS recommendations
(
    tenant_id LowCardinality(String),
    user_id String,
    decision_id String,
    recommendation_id String,
    trigger LowCardinality(String),
    path_id LowCardinality(String),
    step_id LowCardinality(String),
    arm LowCardinality(String),
    propensity Float64,
    message String,
    ui_component LowCardinality(String),
    deep_link String,
    confidence Float64,
    source LowCardinality(String),
    prompt_version LowCardinality(String),
    validation_hash String,
    trace_id String,
    reason LowCardinality(String),
    created_at DateTime64(3, 'UTC'),
    expires_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, user_id, version, source);

CREATE TABLE IF NOT EXISTS outcomes
(
    tenant_id LowCardinality(String),
    decision_id String,
    kind LowCardinality(String),
    user_id String,
    trigger LowCardinality(String),
    path_id LowCardinality(String),
    step_id LowCardinality(String),
    segment LowCardinality(String),
    arm LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, decision_id, kind);

CREATE TABLE IF NOT EXISTS stuck_signals
(
    tenant_id LowCardinality(String),
    signal_id String,
    user_id String,
    trigger LowCardinality(String),
    path_id LowCardinality(String),
    step_id LowCardinality(String),
    evidence String,
    detected_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, signal_id);

CREATE TABLE IF NOT EXISTS step_progress
(
    tenant_id LowCardinality(String),
    user_id String,
    path_id LowCardinality(String),
    step_id LowCardinality(String),
    position Int32,
    status LowCardinality(String),
    attempts UInt32,
    errors UInt32,
    first_seen_at DateTime64(3, 'UTC'),
    last_seen_at DateTime64(3, 'UTC'),
    current_since_at DateTime64(3, 'UTC'),
    completed_at DateTime64(3, 'UTC'),
    updated_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, user_id, path_id, step_id);

CREATE TABLE IF NOT EXISTS people
(
    tenant_id LowCardinality(String),
    user_id String,
    path_id LowCardinality(String),
    segment LowCardinality(String),
    experiment_group LowCardinality(String),
    user_persona LowCardinality(String),
    use_case LowCardinality(String),
    company_size LowCardinality(String),
    signup_source LowCardinality(String),
    tier LowCardinality(String),
    locale LowCardinality(String),
    guidance Bool,
    steps_completed UInt32,
    steps_total UInt32,
    session_count UInt32,
    avg_session_duration Float64,
    engagement_score Float64,
    first_seen_at DateTime64(3, 'UTC'),
    signup_at DateTime64(3, 'UTC'),
    last_active_at DateTime64(3, 'UTC'),
    activated_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, user_id);

CREATE TABLE IF NOT EXISTS arm_posteriors
(
    tenant_id LowCardinality(String),
    trigger LowCardinality(String),
    arm LowCardinality(String),
    context String,
    alpha Float64,
    beta Float64,
    updates UInt64,
    updated_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, trigger, arm, context, version);

CREATE TABLE IF NOT EXISTS dead_letters
(
    dead_letter_id String,
    reason LowCardinality(String),
    detail String,
    topic LowCardinality(String),
    source_partition Int32,
    source_offset Int64,
    raw String,
    log_time DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY dead_letter_id;

-- Additive partial sums: the value of a minute is the sum over all partial_id. There is no version, because a partial does not change.
CREATE TABLE IF NOT EXISTS step_metrics_1m
(
    tenant_id LowCardinality(String),
    minute DateTime64(3, 'UTC'),
    path_id LowCardinality(String),
    step_id LowCardinality(String),
    metric LowCardinality(String),
    label LowCardinality(String),
    count Int64,
    partial_id String
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (tenant_id, minute, path_id, step_id, metric, label, partial_id);
