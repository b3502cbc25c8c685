-- What people in charge switched: who paused, resumed or ramped guidance, when and why.
--   switched_at: by the clock of who switched     in_force_at: the log time from which it holds
CREATE TABLE IF NOT EXISTS guidance_switches
(
    tenant_id LowCardinality(String),
    switch_id String,
    action LowCardinality(String),
    share Float64,
    switched_by String,
    because String,
    switched_at DateTime64(3, 'UTC'),
    in_force_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, switch_id);

CREATE OR REPLACE VIEW guidance_switches_final AS SELECT * FROM guidance_switches FINAL;

-- What holds now for each tenant that ever switched. A ramp does not end a pause, and a pause keeps the share.
CREATE OR REPLACE VIEW guidance_state AS
SELECT
    tenant_id,
    argMaxIf(action, (in_force_at, switched_at, switch_id), action != 'ramp') = 'pause' AS paused,
    if(countIf(action = 'ramp') = 0, 1, argMaxIf(share, (in_force_at, switched_at, switch_id), action = 'ramp')) AS ramp_share,
    max(in_force_at) AS since_at
FROM guidance_switches_final
GROUP BY tenant_id
ORDER BY tenant_id;

-- What held for a user at their sign-up: on, guidance_paused or outside_ramp. It does not depend on the group.
ALTER TABLE people ADD COLUMN IF NOT EXISTS guidance_at_signup LowCardinality(String) DEFAULT 'on';

CREATE OR REPLACE VIEW people_final AS
SELECT * REPLACE (
    nullIf(first_seen_at, toDateTime64(0, 3, 'UTC')) AS first_seen_at,
    nullIf(signup_at, toDateTime64(0, 3, 'UTC')) AS signup_at,
    nullIf(last_active_at, toDateTime64(0, 3, 'UTC')) AS last_active_at,
    nullIf(activated_at, toDateTime64(0, 3, 'UTC')) AS activated_at
)
FROM people FINAL;

CREATE OR REPLACE VIEW counted_people AS
SELECT * FROM people_final WHERE experiment_group != 'merged';

-- By intention to treat: each person counts in their assigned group, with or without guidance. Left out, in every group alike: who signed up
-- while guidance was paused, or outside of the share that might be guided. That was known before anything became of them.
CREATE OR REPLACE VIEW experiment_groups AS
SELECT
    tenant_id,
    experiment_group,
    count() AS people,
    countIf(activated_at IS NOT NULL) AS activated,
    activated / people AS activation_rate,
    sqrt(activation_rate * (1 - activation_rate) / people) AS standard_error,
    if(activated = 0, NULL, quantileExactInclusiveIf(0.5)(
        dateDiff('millisecond', assumeNotNull(coalesce(signup_at, first_seen_at, activated_at)), assumeNotNull(activated_at)) / 3600000,
        activated_at IS NOT NULL
    )) AS time_to_activation_p50_hours
FROM counted_people
WHERE guidance_at_signup NOT IN ('guidance_paused', 'outside_ramp')
GROUP BY tenant_id, experiment_group
ORDER BY tenant_id, experiment_group;
