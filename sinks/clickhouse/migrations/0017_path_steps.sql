-- Nobody is stuck after activation, or at a step that they left. To see who left a step takes the other steps of the path, and whether their
-- order matters.

ALTER TABLE step_progress ADD COLUMN IF NOT EXISTS path_order LowCardinality(String) DEFAULT 'free';

CREATE OR REPLACE VIEW step_progress_final AS
SELECT * REPLACE (
    nullIf(first_seen_at, toDateTime64(0, 3, 'UTC')) AS first_seen_at,
    nullIf(last_seen_at, toDateTime64(0, 3, 'UTC')) AS last_seen_at,
    nullIf(current_since_at, toDateTime64(0, 3, 'UTC')) AS current_since_at,
    nullIf(completed_at, toDateTime64(0, 3, 'UTC')) AS completed_at
)
FROM step_progress FINAL;

-- The steps of the path on which a user is now. Rows of an earlier path do not count.
--   left_at: the first of these: a later step was completed, a later step became current, the user was activated. A later step that was completed
--            before counts from when this one became current. Where the order matters, to complete a later step first means nothing.
CREATE OR REPLACE VIEW path_steps AS
WITH toDateTime64(0, 3, 'UTC') AS never, toDateTime64('2299-12-31 23:59:59.999', 3, 'UTC') AS far
SELECT
    s.tenant_id AS tenant_id,
    s.user_id AS user_id,
    p.experiment_group AS experiment_group,
    s.path_id AS path_id,
    position,
    toLowCardinality(step) AS step_id,
    toLowCardinality(state) AS status,
    nullIf(since, never) AS current_since_at,
    nullIf(done, never) AS completed_at,
    if(since = never OR ifNull(since >= p.activated_at, false), NULL, nullIf(least(ifNull(p.activated_at, far), arrayMin(arrayMap(
        (other, other_since, other_done) -> if(other <= position, far, least(
            if(other_since >= since, other_since, far),
            if(other_done > never AND path_order != 'strict', greatest(other_done, since), far)
        )),
        s.positions, s.sinces, s.dones
    ))), far)) AS left_at,
    p.activated_at AS activated_at
FROM
(
    SELECT tenant_id, user_id, path_id, groupArray(position) AS positions, groupArray(step_id) AS steps, groupArray(status) AS states,
        groupArray(current_since_at) AS sinces, groupArray(completed_at) AS dones, groupArray(path_order) AS orders
    FROM step_progress FINAL
    GROUP BY tenant_id, user_id, path_id
) AS s
INNER JOIN counted_people AS p ON p.tenant_id = s.tenant_id AND p.user_id = s.user_id AND p.path_id = s.path_id
ARRAY JOIN s.positions AS position, s.steps AS step, s.states AS state, s.sinces AS since, s.dones AS done, s.orders AS path_order;

-- The quality of the alarms, measured on held-out people, who get no guidance.
-- An episode is a held-out person at a step since it became current, before activation. H is the learned horizon of the step. The first alarm
-- counts. Episodes younger than H (by the tenant's newest event) are not evaluated yet.
--   stuck:    neither completed nor left within H
--   matched:  stuck, and the alarm came within half of H
CREATE OR REPLACE VIEW stuck_episodes AS
SELECT
    s.tenant_id AS tenant_id,
    s.user_id AS user_id,
    s.step_id AS step_id,
    s.current_since_at AS since_at,
    h.horizon_ms AS horizon_ms,
    if(s.completed_at IS NULL, NULL, dateDiff('millisecond', assumeNotNull(s.current_since_at), assumeNotNull(s.completed_at))) AS completed_after_ms,
    ended_after_ms IS NULL OR ended_after_ms > h.horizon_ms AS stuck,
    a.user_id != '' AS alarmed,
    a.first_trigger AS trigger,
    if(alarmed, dateDiff('millisecond', assumeNotNull(s.current_since_at), a.first_at), NULL) AS alarm_after_ms,
    if(alarmed, a.first_score, NULL) AS score,
    stuck AND alarmed AND assumeNotNull(alarm_after_ms) BETWEEN 0 AND h.horizon_ms / 2 AS matched,
    if(s.ended_at IS NULL, NULL, dateDiff('millisecond', assumeNotNull(s.current_since_at), assumeNotNull(s.ended_at))) AS ended_after_ms
FROM
(
    SELECT *, coalesce(least(completed_at, left_at), completed_at, left_at) AS ended_at
    FROM path_steps
    WHERE experiment_group = 'holdout' AND current_since_at IS NOT NULL AND ifNull(current_since_at < activated_at, true)
) AS s
INNER JOIN (SELECT tenant_id, step_id, horizon_ms FROM step_statistics_latest WHERE step_id != '*') AS h
    ON h.tenant_id = s.tenant_id AND h.step_id = s.step_id
INNER JOIN (SELECT tenant_id, max(last_active_at) AS newest_at FROM people_final GROUP BY tenant_id) AS n ON n.tenant_id = s.tenant_id
LEFT JOIN
(
    SELECT tenant_id, user_id, step_id, toString(argMin(trigger, detected_at)) AS first_trigger, argMin(score, detected_at) AS first_score,
        min(detected_at) AS first_at
    FROM stuck_signals_final
    GROUP BY tenant_id, user_id, step_id
) AS a ON a.tenant_id = s.tenant_id AND a.user_id = s.user_id AND a.step_id = s.step_id
WHERE dateDiff('millisecond', assumeNotNull(s.current_since_at), assumeNotNull(n.newest_at)) >= h.horizon_ms;

-- One row for each step.
--   precision       = matched / alarms          recall = matched / stuck
--   recovered_alone = share of the alarms after which the person completed or left the step within H without guidance
--   lead_hours:       median time from the alarm to H, of matched alarms
CREATE OR REPLACE VIEW stuck_scorecard_by_step AS
SELECT
    tenant_id, step_id,
    count() AS episodes,
    countIf(e.stuck) AS stuck_people,
    countIf(alarmed) AS alarms,
    countIf(matched) AS matched_alarms,
    if(alarms = 0, NULL, matched_alarms / alarms) AS precision,
    if(stuck_people = 0, NULL, matched_alarms / stuck_people) AS recall,
    if(alarms = 0, NULL, countIf(alarmed AND NOT e.stuck AND assumeNotNull(ended_after_ms) >= assumeNotNull(alarm_after_ms)) / alarms) AS recovered_alone,
    if(matched_alarms = 0, NULL, quantileExactInclusiveIf(0.5)((horizon_ms - assumeNotNull(alarm_after_ms)) / 3600000, matched)) AS lead_hours
FROM stuck_episodes AS e
GROUP BY tenant_id, step_id
ORDER BY tenant_id, step_id;

-- One row for each trigger. An episode without an alarm has no trigger, so there is no recall.
--   found = share of all stuck episodes that this trigger matched
CREATE OR REPLACE VIEW stuck_scorecard_by_trigger AS
SELECT
    e.tenant_id AS tenant_id, e.trigger AS trigger,
    countIf(alarmed) AS alarms,
    countIf(matched) AS matched_alarms,
    matched_alarms / alarms AS precision,
    if(any(e.stuck_people) = 0, NULL, matched_alarms / any(e.stuck_people)) AS found,
    avg(assumeNotNull(score)) AS mean_score,
    countIf(NOT e.stuck AND assumeNotNull(ended_after_ms) >= assumeNotNull(alarm_after_ms)) / alarms AS recovered_alone,
    if(matched_alarms = 0, NULL, quantileExactInclusiveIf(0.5)((horizon_ms - assumeNotNull(alarm_after_ms)) / 3600000, matched)) AS lead_hours
FROM (SELECT *, countIf(stuck) OVER (PARTITION BY tenant_id) AS stuck_people FROM stuck_episodes) AS e
WHERE e.alarmed
GROUP BY tenant_id, trigger
ORDER BY tenant_id, alarms DESC, trigger;

ALTER TABLE step_progress
    COMMENT COLUMN path_order 'order of the path in the catalog: free, or strict where it matters; free in rows that an older release wrote';

ALTER TABLE step_progress_final
    MODIFY COMMENT 'The newest row of each key of `step_progress` (FINAL). Times that have not happened are NULL.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN position 'place of the step in the path, from 1',
    COMMENT COLUMN status 'locked (not reached), current (is or was) or completed',
    COMMENT COLUMN attempts 'attempts at the step as of `updated_at`',
    COMMENT COLUMN errors 'errors at the step as of `updated_at`',
    COMMENT COLUMN first_seen_at 'first event at the step, UTC',
    COMMENT COLUMN last_seen_at 'newest event at the step, UTC',
    COMMENT COLUMN current_since_at 'when the step became current, UTC; stays unset for a step completed ahead of its turn',
    COMMENT COLUMN completed_at 'completion of the step, UTC',
    COMMENT COLUMN updated_at 'log time as of which counts and times are, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN path_order 'order of the path in the catalog: free, or strict where it matters; free in rows that an older release wrote';

ALTER TABLE path_steps
    MODIFY COMMENT 'The steps of the path on which each user is now, and how users got on from them. A user at a step from `current_since_at` until it is completed or left, before activation, is an episode.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN experiment_group 'group of the user, as in `people`',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN position 'place of the step in the path, from 1',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN status 'locked (not reached), current (is or was) or completed',
    COMMENT COLUMN current_since_at 'when the step became current, UTC; NULL for a step that never did',
    COMMENT COLUMN completed_at 'completion of the step, UTC; NULL without one',
    COMMENT COLUMN left_at 'when the user, at this step, completed a later one, went on to one or was activated, UTC; in a path of strict order, completing a later one does not count. NULL otherwise, and for a step that became current at activation or later',
    COMMENT COLUMN activated_at 'activation of the user, UTC; NULL without one';

ALTER TABLE stuck_episodes
    MODIFY COMMENT 'Episodes of held-out users, who get no guidance: a user at a step since it became current, before activation. Younger ones than the horizon are not in it.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN since_at 'when the step became current, UTC',
    COMMENT COLUMN horizon_ms 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    COMMENT COLUMN completed_after_ms 'milliseconds from then to the completion; NULL without one',
    COMMENT COLUMN stuck '1 if the step was neither completed nor left within the horizon',
    COMMENT COLUMN alarmed '1 if there was an alarm',
    COMMENT COLUMN trigger 'kind of the first alarm; empty without one',
    COMMENT COLUMN alarm_after_ms 'milliseconds from `since_at` to the first alarm; NULL without one',
    COMMENT COLUMN score 'score of the first alarm, 0 to 1; NULL without one',
    COMMENT COLUMN matched '1 if the episode was stuck and the alarm came within half of the horizon',
    COMMENT COLUMN ended_after_ms 'milliseconds from `since_at` to the completion or to leaving the step (`left_at` of `path_steps`), whichever came first; NULL without either';

ALTER TABLE stuck_scorecard_by_step
    MODIFY COMMENT 'The quality of the alarms by step, measured on held-out users.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN episodes 'episodes of held-out users that are older than the horizon',
    COMMENT COLUMN stuck_people 'of those, episodes that were stuck',
    COMMENT COLUMN alarms 'episodes with an alarm; the first one counts',
    COMMENT COLUMN matched_alarms 'alarms that were right: the user was stuck, and the alarm came within half of the horizon',
    COMMENT COLUMN precision '`matched_alarms` / alarms, 0 to 1; NULL without an alarm',
    COMMENT COLUMN recall '`matched_alarms` / `stuck_people`, 0 to 1; NULL without a stuck episode',
    COMMENT COLUMN recovered_alone 'share, 0 to 1, of the alarms after which the user completed or left the step within the horizon without guidance',
    COMMENT COLUMN lead_hours 'median hours from the alarm to the horizon, of matched alarms; NULL without one';

ALTER TABLE stuck_scorecard_by_trigger
    MODIFY COMMENT 'The quality of the alarms by kind. An episode without an alarm has no kind, so there is no recall.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'kind of the first alarm of the episode',
    COMMENT COLUMN alarms 'episodes with an alarm; the first one counts',
    COMMENT COLUMN matched_alarms 'alarms that were right: the user was stuck, and the alarm came within half of the horizon',
    COMMENT COLUMN precision '`matched_alarms` / alarms, 0 to 1',
    COMMENT COLUMN found '`matched_alarms` / all stuck episodes, 0 to 1; NULL without one',
    COMMENT COLUMN mean_score 'mean score of the alarms, 0 to 1',
    COMMENT COLUMN recovered_alone 'share, 0 to 1, of the alarms after which the user completed or left the step within the horizon without guidance',
    COMMENT COLUMN lead_hours 'median hours from the alarm to the horizon, of matched alarms; NULL without one';
