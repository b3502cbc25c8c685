-- The views that were slow on many rows, with the same columns and figures as before. FINAL sorts a whole table, and a filter comes after it; so
-- it is left out where a question does not need it:
--   rows of one decision that stand twice are the same, so a decision counts once by its id
--   a set of kinds, steps or recommendations is the same set, however often a row stands in it
--   the type of an event never changes, so it may be filtered before the newest row of each event is taken

CREATE OR REPLACE VIEW activation AS
SELECT
    tenant_id,
    count() AS people,
    countIf((tenant_id, user_id) IN (SELECT tenant_id, user_id FROM step_progress WHERE first_seen_at > toDateTime64(0, 3, 'UTC'))) AS started,
    countIf(activated_at IS NOT NULL) AS activated,
    started / people AS onboarding_start_rate,
    activated / people AS activation_rate,
    if(activated = 0, NULL, quantileExactInclusiveIf(0.5)(
        dateDiff('millisecond', assumeNotNull(coalesce(signup_at, first_seen_at, activated_at)), assumeNotNull(activated_at)) / 3600000,
        activated_at IS NOT NULL
    )) AS time_to_activation_p50_hours
FROM counted_people
GROUP BY tenant_id
ORDER BY tenant_id;

CREATE OR REPLACE VIEW guidance_performance AS
SELECT
    o.tenant_id AS tenant_id,
    o.trigger AS trigger,
    o.arm AS arm,
    count() AS decided,
    countIf(has(o.kinds, 'shown')) AS shown,
    countIf(has(o.kinds, 'clicked')) AS clicked,
    countIf(has(o.kinds, 'dismissed')) AS dismissed,
    countIf(has(o.kinds, 'success')) AS success,
    countIf(has(o.kinds, 'failure')) AS failure,
    countIf(has(o.kinds, 'shown') AND NOT hasAny(o.kinds, ['success', 'failure'])) AS open,
    decided - shown AS unshown,
    if(decided = 0, NULL, shown / decided) AS nudge_send_rate,
    if(shown = 0, NULL, clicked / shown) AS nudge_open_rate,
    if(shown = 0, NULL, dismissed / shown) AS nudge_dismiss_rate,
    if(success + failure = 0, NULL, success / (success + failure)) AS nudge_conversion_rate
FROM
(
    -- The digest of both names, because texts of any length are slow to group by.
    SELECT any(a.tenant) AS tenant_id, anyIf(a.trigger, a.decided) AS trigger, anyIf(a.arm, a.decided) AS arm, max(a.decided) AS is_decided,
        groupUniqArray(a.kind) AS kinds
    FROM
    (
        SELECT tenant_id AS tenant, decision_id, trigger, arm, true AS decided, '' AS kind FROM decisions WHERE outcome = 'decided'
        UNION ALL SELECT tenant_id, decision_id, '', '', false, toString(kind) FROM outcomes
    ) AS a
    GROUP BY sipHash128(a.tenant, a.decision_id)
) AS o
WHERE o.is_decided
GROUP BY tenant_id, trigger, arm
ORDER BY tenant_id, trigger, arm;

CREATE OR REPLACE VIEW non_decisions_by_reason AS
SELECT tenant_id, reason, trigger, uniqExact(decision_id) AS non_decisions, uniqExact(user_id) AS people
FROM decisions
WHERE outcome = 'declined'
GROUP BY tenant_id, reason, trigger
ORDER BY tenant_id, non_decisions DESC, reason, trigger;

CREATE OR REPLACE VIEW exposures_ignored_by_reason AS
SELECT
    e.tenant_id AS tenant_id,
    if(JSONHas(e.payload, 'recommendationId'), 'unknown_recommendation', 'no_current_recommendation') AS reason,
    count() AS events,
    uniqExact(e.user_id) AS people,
    argMax(e.user_id, (e.log_time, e.event_id)) AS example_user_id,
    argMax(e.event_id, (e.log_time, e.event_id)) AS example_event_id
FROM (
    SELECT * FROM
    (
        SELECT tenant_id, user_id, event_id, payload, status, log_time FROM events
        WHERE event_type IN ('recommendation_shown', 'recommendation_clicked', 'recommendation_dismissed', 'tooltip_dismiss')
            AND (
                NOT JSONHas(payload, 'recommendationId')
                OR (tenant_id, user_id, JSONExtractString(payload, 'recommendationId')) NOT IN (
                    SELECT tenant_id, user_id, recommendation_id FROM recommendations
                )
            )
        ORDER BY version DESC LIMIT 1 BY tenant_id, user_id, event_id
    )
    WHERE status = 'applied'
) AS e
ASOF LEFT JOIN recommendations AS r
    ON r.tenant_id = e.tenant_id AND r.user_id = e.user_id AND e.log_time >= r.created_at
WHERE JSONHas(e.payload, 'recommendationId') OR r.ui_component IN ('', 'none') OR r.expires_at <= e.log_time
GROUP BY tenant_id, reason
ORDER BY tenant_id, reason;

-- Rows that stand twice until ClickHouse merges them count once. Exact for some ten thousand events, and then within one per cent.
CREATE OR REPLACE VIEW cost_per_1000_events_dollars AS
SELECT e.tenant_id AS tenant_id, e.events AS events, c.cost_dollars AS cost_dollars, 1000 * cost_dollars / events AS cost_per_1000_events_dollars
FROM (SELECT tenant_id, uniqCombined(17)(user_id, event_id) AS events FROM events GROUP BY tenant_id) AS e
LEFT JOIN model_costs AS c ON c.tenant_id = e.tenant_id
ORDER BY tenant_id;

CREATE OR REPLACE VIEW stuck_scorecard_by_trigger AS
SELECT
    e.tenant_id AS tenant_id, e.trigger AS trigger,
    countIf(alarmed) AS alarms,
    countIf(matched) AS matched_alarms,
    matched_alarms / alarms AS precision,
    if(any(e.stuck_people) = 0, NULL, matched_alarms / any(e.stuck_people)) AS found,
    avg(assumeNotNull(score)) AS mean_score,
    countIf(NOT e.stuck AND assumeNotNull(completed_after_ms) >= assumeNotNull(alarm_after_ms)) / alarms AS recovered_alone,
    if(matched_alarms = 0, NULL, quantileExactInclusiveIf(0.5)((horizon_ms - assumeNotNull(alarm_after_ms)) / 3600000, matched)) AS lead_hours
FROM (SELECT *, countIf(stuck) OVER (PARTITION BY tenant_id) AS stuck_people FROM stuck_episodes) AS e
WHERE e.alarmed
GROUP BY tenant_id, trigger
ORDER BY tenant_id, alarms DESC, trigger;

-- A filter by user reaches the rows before the newest of each key is taken, because the user of a key never changes. With FINAL it would come after,
-- and tables that are not sorted by user would be read as a whole.
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
    FROM
    (
        SELECT x.tenant_id AS tenant_id, x.user_id AS user_id, x.signal_id AS signal_id, max(x.version) AS version,
            argMax(x.trigger, x.version) AS trigger,
            argMax(x.path_id, x.version) AS path_id,
            argMax(x.step_id, x.version) AS step_id,
            argMax(x.evidence, x.version) AS evidence,
            argMax(x.detected_at, x.version) AS detected_at
        FROM stuck_signals AS x GROUP BY tenant_id, user_id, signal_id
    )

    UNION ALL
    SELECT
        toString(tenant_id), user_id, decided_at, if(outcome = 'decided', 'decision', 'non_decision'),
        if(outcome = 'decided', toString(arm), toString(reason)),
        toString(path_id), toString(step_id), toString(trigger), toString(reason), toString(arm),
        if(outcome = 'decided', propensity, NULL), decision_id,
        if(outcome = 'decided', arrayStringConcat(arrayMap((a, p) -> concat(a, ' ', toString(round(p, 3))), arms, propensities), ', '), ''),
        version, 4, 0
    FROM
    (
        SELECT x.tenant_id AS tenant_id, x.user_id AS user_id, x.decision_id AS decision_id, max(x.version) AS version,
            argMax(x.trigger, x.version) AS trigger,
            argMax(x.path_id, x.version) AS path_id,
            argMax(x.step_id, x.version) AS step_id,
            argMax(x.outcome, x.version) AS outcome,
            argMax(x.reason, x.version) AS reason,
            argMax(x.arm, x.version) AS arm,
            argMax(x.propensity, x.version) AS propensity,
            argMax(x.arms, x.version) AS arms,
            argMax(x.propensities, x.version) AS propensities,
            argMax(x.decided_at, x.version) AS decided_at
        FROM decisions AS x GROUP BY tenant_id, user_id, decision_id
    )

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
    FROM
    (
        SELECT x.tenant_id AS tenant_id, x.user_id AS user_id, x.decision_id AS decision_id, max(x.version) AS version,
            argMax(x.trigger, x.version) AS trigger,
            argMax(x.path_id, x.version) AS path_id,
            argMax(x.step_id, x.version) AS step_id,
            argMax(x.arm, x.version) AS arm,
            argMax(x.status, x.version) AS status,
            argMax(x.reason, x.version) AS reason,
            argMax(x.prompt_version, x.version) AS prompt_version,
            argMax(x.model, x.version) AS model,
            argMax(x.source, x.version) AS source,
            argMax(x.latency_ms, x.version) AS latency_ms,
            argMax(x.attempts, x.version) AS attempts,
            argMax(x.input_tokens, x.version) AS input_tokens,
            argMax(x.output_tokens, x.version) AS output_tokens,
            argMax(x.cost_micros, x.version) AS cost_micros,
            argMax(x.checks, x.version) AS checks,
            argMax(x.asked_at, x.version) AS asked_at
        FROM llm_calls AS x GROUP BY tenant_id, user_id, decision_id
    )

    UNION ALL
    SELECT
        toString(tenant_id), user_id, occurred_at, 'outcome', toString(kind),
        toString(path_id), toString(step_id), toString(trigger), '', toString(arm), NULL, decision_id, '', version, 6,
        toInt64(indexOf(['shown', 'clicked', 'dismissed'], toString(kind)) + if(kind IN ('shown', 'clicked', 'dismissed'), 0, 4))
    FROM
    (
        SELECT x.tenant_id AS tenant_id, x.user_id AS user_id, x.decision_id AS decision_id, x.kind AS kind, max(x.version) AS version,
            argMax(x.trigger, x.version) AS trigger,
            argMax(x.path_id, x.version) AS path_id,
            argMax(x.step_id, x.version) AS step_id,
            argMax(x.arm, x.version) AS arm,
            argMax(x.occurred_at, x.version) AS occurred_at
        FROM outcomes AS x GROUP BY tenant_id, user_id, decision_id, kind
    )
)
ORDER BY tenant_id, user_id, at, version, rank, place, what;

-- The rows of one user, of which a timeline is made, in tables that are not sorted by user.
ALTER TABLE decisions ADD INDEX IF NOT EXISTS by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1;
ALTER TABLE outcomes ADD INDEX IF NOT EXISTS by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1;
ALTER TABLE stuck_signals ADD INDEX IF NOT EXISTS by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1;
ALTER TABLE llm_calls ADD INDEX IF NOT EXISTS by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1;
ALTER TABLE decisions MATERIALIZE INDEX by_user;
ALTER TABLE outcomes MATERIALIZE INDEX by_user;
ALTER TABLE stuck_signals MATERIALIZE INDEX by_user;
ALTER TABLE llm_calls MATERIALIZE INDEX by_user;

ALTER TABLE activation
    MODIFY COMMENT 'Start, activation and median time to it. For each tenant.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN people 'users, each counted once',
    COMMENT COLUMN started 'users who worked on at least one step of any path',
    COMMENT COLUMN activated 'users who reached activation',
    COMMENT COLUMN onboarding_start_rate 'started / `people`, 0 to 1',
    COMMENT COLUMN activation_rate 'activated / `people`, 0 to 1',
    COMMENT COLUMN time_to_activation_p50_hours 'median hours from sign-up (else first event) to activation, of activated users; NULL without one';

ALTER TABLE cost_per_1000_events_dollars
    MODIFY COMMENT 'Unit cost: what models cost for 1,000 accepted events. Servers are not in it.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN events 'accepted events, each counted once: exact for some ten thousand, then within one per cent',
    COMMENT COLUMN cost_dollars 'cost of the calls in dollars, as the settings price tokens',
    COMMENT COLUMN cost_per_1000_events_dollars '1000 times `cost_dollars` / events in dollars';

ALTER TABLE exposures_ignored_by_reason
    MODIFY COMMENT 'Exposure events that match no recommendation. If there are any, check the app.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN reason '`unknown_recommendation` (an id that was not issued to this user) or `no_current_recommendation` (no id, and nothing was current)',
    COMMENT COLUMN events 'exposure events',
    COMMENT COLUMN people 'users, each counted once',
    COMMENT COLUMN example_user_id 'user of the newest of them',
    COMMENT COLUMN example_event_id 'event id of the newest of them';

ALTER TABLE guidance_performance
    MODIFY COMMENT 'Results of guidance by trigger and arm, over all decisions that chose an arm. Each decision counts once.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN decided 'decisions that chose the arm',
    COMMENT COLUMN shown 'decisions that the app displayed',
    COMMENT COLUMN clicked 'decisions whose guidance was clicked',
    COMMENT COLUMN dismissed 'decisions whose guidance was dismissed',
    COMMENT COLUMN success 'decisions whose step was completed within the attribution window',
    COMMENT COLUMN failure 'decisions whose attribution window closed without it',
    COMMENT COLUMN open 'decisions that were shown and whose attribution window is open',
    COMMENT COLUMN unshown 'decided - shown: not shown so far, expired, withdrawn or superseded',
    COMMENT COLUMN nudge_send_rate 'shown / decided, 0 to 1; NULL without a decision',
    COMMENT COLUMN nudge_open_rate 'clicked / shown, 0 to 1; NULL where nothing was shown',
    COMMENT COLUMN nudge_dismiss_rate 'dismissed / shown, 0 to 1; NULL where nothing was shown',
    COMMENT COLUMN nudge_conversion_rate 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one';

ALTER TABLE non_decisions_by_reason
    MODIFY COMMENT 'Why nothing was decided, the most frequent reason first.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN reason 'why nothing was decided',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN non_decisions 'non-decisions',
    COMMENT COLUMN people 'users, each counted once';

ALTER TABLE person_timeline
    MODIFY COMMENT 'Everything known of a user, in order. Filter by `tenant_id` and `user_id`.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN at 'when it happened, UTC: the clock of the app for events, else log time',
    COMMENT COLUMN kind 'event, progress, signal, decision, `non_decision`, recommendation, wording or outcome',
    COMMENT COLUMN what 'event type and name, reached or completed, trigger, arm, reason, UI component, improved or kept, or the outcome',
    COMMENT COLUMN path_id 'path of the catalog; empty for events',
    COMMENT COLUMN step_id 'step of the catalog; empty for events',
    COMMENT COLUMN trigger 'what asked for guidance; empty for events and progress',
    COMMENT COLUMN reason 'why; empty where there is nothing to say',
    COMMENT COLUMN arm 'arm; empty for rows without one',
    COMMENT COLUMN propensity 'probability, 0 to 1, with which the arm was drawn; NULL for other rows',
    COMMENT COLUMN decision_id 'id of the decision; empty for rows without one',
    COMMENT COLUMN detail 'payload, evidence, text or figures of the row',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN rank 'order of kinds of one moment and version',
    COMMENT COLUMN place 'order within a rank';

ALTER TABLE stuck_scorecard_by_trigger
    MODIFY COMMENT 'The quality of the alarms by kind. An episode without an alarm has no kind, so there is no recall.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'kind of the first alarm of the episode',
    COMMENT COLUMN alarms 'episodes with an alarm; the first one counts',
    COMMENT COLUMN matched_alarms 'alarms that were right: the user was stuck, and the alarm came within half of the horizon',
    COMMENT COLUMN precision '`matched_alarms` / alarms, 0 to 1',
    COMMENT COLUMN found '`matched_alarms` / all stuck episodes, 0 to 1; NULL without one',
    COMMENT COLUMN mean_score 'mean score of the alarms, 0 to 1',
    COMMENT COLUMN recovered_alone 'share, 0 to 1, of the alarms after which the user completed the step within the horizon without guidance',
    COMMENT COLUMN lead_hours 'median hours from the alarm to the horizon, of matched alarms; NULL without one';
