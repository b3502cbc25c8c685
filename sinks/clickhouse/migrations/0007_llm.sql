-- Requests to models, the results of the checks, and what the texts achieved. Money is in dollars, as the settings price tokens.
-- One row for each decision that a model could have worded, also where no model was asked.
--   asked:   a call was made (`call`), or its answer was cached (`cache`) or came from the running call of another decision (`coalesced`)
--   cost:    of the call that this decision is charged for; `cache` and `coalesced` cost nothing. A call that was sent and then cancelled, or
--            had no answer in time, costs the estimate that the budget reserved: the server may bill it

CREATE TABLE IF NOT EXISTS llm_calls
(
    tenant_id LowCardinality(String),
    decision_id String,
    user_id String,
    trigger LowCardinality(String),
    path_id LowCardinality(String),
    step_id LowCardinality(String),
    arm LowCardinality(String),
    status LowCardinality(String),
    reason LowCardinality(String),
    source LowCardinality(String),
    scope LowCardinality(String),
    experiment LowCardinality(String),
    cache_key String,
    prompt_version LowCardinality(String),
    model LowCardinality(String),
    input_tokens UInt32,
    output_tokens UInt32,
    cost_micros UInt64,
    latency_ms UInt32,
    attempts UInt32,
    confidence Float64,
    checks String,
    unfilled_hash String,
    validation_hash String,
    asked_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, decision_id);

CREATE OR REPLACE VIEW llm_calls_final AS SELECT * FROM llm_calls FINAL;

-- The decisions for which a model was asked. A call that ended before its first request (attempts = 0) does not count, nor do the decisions
-- that waited for it. Where the model answered, `model` has its name, whatever the checks found; else the call failed or was cancelled.
CREATE OR REPLACE VIEW llm_asked AS
SELECT * FROM llm_calls_final
WHERE source = 'cache'
    OR (source = 'call' AND attempts > 0)
    OR (source = 'coalesced' AND reason NOT IN ('breaker_open', 'over_rate', 'over_budget', 'budget_unknown'));

-- What models cost, by day (UTC), from the first day with a row on.
--   asked:        decisions for which a model's text was wanted and looked for     calls: those that went to the model
--   improved:     a text was written for the app (the app may have shown the template already)
--   activations:  adaptive people who activated on that day, with or without a model's text
--   cost_per_activation = cost_dollars / activations: what a person costs, not what a text achieved (for that: model_against_template)
CREATE OR REPLACE VIEW llm_cost_per_activation AS
SELECT
    tenant_id,
    day,
    sum(a.asked) AS asked,
    sum(a.calls) AS calls,
    sum(a.improved) AS improved,
    sum(a.cost_micros) / 1000000 AS cost_dollars,
    sum(a.activations) AS activations,
    if(activations = 0, NULL, cost_dollars / activations) AS cost_per_activation
FROM
(
    SELECT
        tenant_id, toDate(asked_at) AS day, 1 AS asked, source = 'call' AS calls, status = 'improved' AS improved, cost_micros,
        0 AS activations
    FROM llm_asked

    UNION ALL
    SELECT tenant_id, toDate(assumeNotNull(activated_at)), 0, 0, 0, 0, 1
    FROM counted_people
    WHERE experiment_group = 'adaptive' AND activated_at IS NOT NULL
) AS a
INNER JOIN (SELECT tenant_id, toDate(min(asked_at)) AS first_day FROM llm_calls_final GROUP BY tenant_id) AS f ON f.tenant_id = a.tenant_id
WHERE day >= f.first_day
GROUP BY tenant_id, day
ORDER BY tenant_id, day;

-- How often an answer served again. Shared wishes only: a personal answer serves one person and never again.
--   hits:           answered from the cache, or by the running call of another decision
--   hit_rate        = hits / asked; the misses are the calls. distinct_keys: how many different things were asked
--   saved_dollars   = hits × mean cost of a call; NULL where no call was made
CREATE OR REPLACE VIEW llm_hit_rate AS
SELECT
    tenant_id,
    count() AS asked,
    countIf(source IN ('cache', 'coalesced')) AS hits,
    countIf(source = 'cache') AS from_cache,
    countIf(source = 'coalesced') AS coalesced,
    countIf(source = 'call') AS calls,
    hits / asked AS hit_rate,
    uniqExact(cache_key) AS distinct_keys,
    if(calls = 0, NULL, sumIf(cost_micros, source = 'call') / calls / 1000000) AS mean_cost_dollars,
    if(calls = 0, NULL, hits * assumeNotNull(mean_cost_dollars)) AS saved_dollars
FROM llm_asked
WHERE scope = 'shared'
GROUP BY tenant_id
ORDER BY tenant_id;

-- The checks that texts of the model, or the input of their prompts, failed; the most frequent first.
--   rejected: decisions at which this check failed for this reason     kept: of those, where the template stayed in the end
--   share     = rejected / checked, the decisions at which this check was made
CREATE OR REPLACE VIEW llm_rejections AS
SELECT
    v.tenant_id AS tenant_id,
    v.result[1] AS check,
    v.result[2] AS reason,
    uniqExact(v.decision_id) AS rejected,
    uniqExactIf(v.decision_id, v.status = 'kept') AS kept,
    any(c.checked) AS checked,
    rejected / checked AS share
FROM
(
    SELECT tenant_id, decision_id, status, arrayJoin(JSONExtract(checks, 'Array(Array(String))')) AS result
    FROM llm_calls_final
) AS v
INNER JOIN
(
    SELECT tenant_id, arrayJoin(JSONExtract(checks, 'Array(Array(String))'))[1] AS name, uniqExact(decision_id) AS checked
    FROM llm_calls_final
    GROUP BY tenant_id, name
) AS c ON c.tenant_id = v.tenant_id AND c.name = v.result[1]
WHERE length(v.result) = 2 AND v.result[2] != ''
GROUP BY tenant_id, check, reason
ORDER BY tenant_id, rejected DESC, check, reason;

-- The versions of the prompt against each other: the version is drawn for each decision. A decision counts for its version,
-- whether the text came in time or not; decisions that were drawn to keep the template do not count.
--   success_rate = success / (success + failure)  (attribution window closed)
CREATE OR REPLACE VIEW llm_prompts AS
SELECT
    l.tenant_id AS tenant_id,
    l.prompt_version AS prompt_version,
    count() AS decisions,
    countIf(l.status = 'improved') AS improved,
    countIf(has(o.kinds, 'shown')) AS shown,
    countIf(has(o.kinds, 'success')) AS success,
    countIf(has(o.kinds, 'failure')) AS failure,
    improved / decisions AS improved_rate,
    if(success + failure = 0, NULL, success / (success + failure)) AS success_rate,
    sum(l.cost_micros) / 1000000 AS cost_dollars
FROM (SELECT * FROM llm_calls_final WHERE experiment = 'model') AS l
LEFT JOIN (SELECT tenant_id, decision_id, groupUniqArray(toString(kind)) AS kinds FROM outcomes_final GROUP BY tenant_id, decision_id) AS o
    ON o.tenant_id = l.tenant_id AND o.decision_id = l.decision_id
GROUP BY tenant_id, prompt_version
ORDER BY tenant_id, prompt_version;

-- Is a model's text worth more than the template? By intention to treat: each eligible decision was drawn for one or the other and counts
-- there, also where the model failed or came too late. The newest successes are known before the newest failures: `onramp report` waits
-- for the window to close, and says how sure one can be.
--   shown_rate = shown / decisions          success_rate = success / (success + failure)
CREATE OR REPLACE VIEW model_against_template AS
SELECT
    l.tenant_id AS tenant_id,
    l.experiment AS experiment,
    count() AS decisions,
    countIf(l.status = 'improved') AS improved,
    countIf(has(o.kinds, 'shown')) AS shown,
    countIf(has(o.kinds, 'success')) AS success,
    countIf(has(o.kinds, 'failure')) AS failure,
    shown / decisions AS shown_rate,
    if(success + failure = 0, NULL, success / (success + failure)) AS success_rate,
    sum(l.cost_micros) / 1000000 AS cost_dollars
FROM (SELECT * FROM llm_calls_final WHERE experiment IN ('model', 'template')) AS l
LEFT JOIN (SELECT tenant_id, decision_id, groupUniqArray(toString(kind)) AS kinds FROM outcomes_final GROUP BY tenant_id, decision_id) AS o
    ON o.tenant_id = l.tenant_id AND o.decision_id = l.decision_id
GROUP BY tenant_id, experiment
ORDER BY tenant_id, experiment;

-- Everything known of a person, in order: filter by tenant_id and user_id.
--   kind: event · progress · signal · decision · non_decision · recommendation · wording · outcome
--   what: the event type (and name), `reached` or `completed`, the trigger, the arm, the reason, the UI component,
--         `improved` or `kept`, the outcome
-- Rows of one moment are ordered as they follow from each other: an event (in the order of the input), what it changed, what was
-- noticed, what was decided.
CREATE OR REPLACE VIEW person_timeline AS
SELECT tenant_id, user_id, at, kind, what, path_id, step_id, trigger, reason, arm, propensity, decision_id, detail, version, rank, place
FROM
(
    SELECT
        toString(tenant_id) AS tenant_id, user_id, timestamp AS at, 'event' AS kind,
        if(name = '', toString(event_type), concat(event_type, ' ', name)) AS what,
        '' AS path_id, '' AS step_id, '' AS trigger, if(status = 'applied', '', toString(status)) AS reason, '' AS arm,
        CAST(NULL AS Nullable(Float64)) AS propensity, '' AS decision_id, payload AS detail, version, 1 AS rank,
        source_offset AS place
    FROM events_final

    UNION ALL
    SELECT
        toString(tenant_id), user_id, assumeNotNull(current_since_at), 'progress', 'reached',
        toString(path_id), toString(step_id), '', '', '', NULL, '', concat('step ', toString(position)), version, 2, 1
    FROM step_progress_final
    WHERE current_since_at IS NOT NULL

    UNION ALL
    SELECT
        toString(tenant_id), user_id, assumeNotNull(completed_at), 'progress', 'completed',
        toString(path_id), toString(step_id), '', '', '', NULL, '',
        concat(
            'step ', toString(position), ', ', toString(attempts), if(attempts = 1, ' attempt, ', ' attempts, '),
            toString(errors), if(errors = 1, ' error', ' errors')
        ), version, 2, 0
    FROM step_progress_final
    WHERE completed_at IS NOT NULL

    UNION ALL
    SELECT
        toString(tenant_id), user_id, detected_at, 'signal', toString(trigger),
        toString(path_id), toString(step_id), toString(trigger), '', '', NULL, '', evidence, version, 3, 0
    FROM stuck_signals_final

    UNION ALL
    SELECT
        toString(tenant_id), user_id, decided_at, if(outcome = 'decided', 'decision', 'non_decision'),
        if(outcome = 'decided', toString(arm), toString(reason)),
        toString(path_id), toString(step_id), toString(trigger), toString(reason), toString(arm),
        if(outcome = 'decided', propensity, NULL), decision_id,
        if(outcome = 'decided', arrayStringConcat(arrayMap((a, p) -> concat(a, ' ', toString(round(p, 3))), arms, propensities), ', '), ''),
        version, 4, 0
    FROM decisions_final

    UNION ALL
    SELECT
        toString(tenant_id), user_id, created_at, 'recommendation', toString(ui_component),
        toString(path_id), toString(step_id), toString(trigger), toString(reason), toString(arm), propensity, decision_id, message, version, 5,
        if(source = 'template', 0, 2)
    FROM recommendations_final

    UNION ALL
    SELECT
        toString(tenant_id), user_id, asked_at, 'wording', toString(status),
        toString(path_id), toString(step_id), toString(trigger), toString(reason), toString(arm), NULL, decision_id,
        toJSONString(CAST(
            (toString(prompt_version), toString(model), toString(source), latency_ms, attempts, input_tokens, output_tokens, cost_micros,
             JSONExtract(checks, 'Array(Array(String))')),
            'Tuple(promptVersion String, model String, source String, latencyMs UInt32, attempts UInt32, inputTokens UInt32,
                outputTokens UInt32, costMicros Float64, checks Array(Array(String)))'
        )),
        version, 5, 1
    FROM llm_calls_final

    UNION ALL
    SELECT
        toString(tenant_id), user_id, occurred_at, 'outcome', toString(kind),
        toString(path_id), toString(step_id), toString(trigger), '', toString(arm), NULL, decision_id, '', version, 6,
        toInt64(indexOf(['shown', 'clicked', 'dismissed'], toString(kind)) + if(kind IN ('shown', 'clicked', 'dismissed'), 0, 4))
    FROM outcomes_final
)
ORDER BY tenant_id, user_id, at, version, rank, place, what;
