-- Who is stuck by the definition and goes on later needed no help: of the right alarms, how many are about such users. And which steps raise none.

-- Rows from before this column have none.
ALTER TABLE catalogs ADD COLUMN IF NOT EXISTS steps_without_alarms Array(String) DEFAULT [];

ALTER TABLE catalogs
    COMMENT COLUMN steps_without_alarms 'steps at which nobody raises an alarm, by `alarms: false`';

-- The same view as before, with the new column.
CREATE OR REPLACE VIEW catalogs_final AS SELECT * FROM catalogs FINAL;

-- The same view as before, with:
--   went_on: matched, and a later step of the path was completed after the alarm
CREATE OR REPLACE VIEW stuck_episodes AS
SELECT
    s.tenant_id AS tenant_id,
    s.user_id AS user_id,
    s.step_id AS step_id,
    s.current_since_at AS since_at,
    coalesce(if(o.judged_at >= s.since, o.horizon, NULL), a.horizon, nullIf(s.horizon, 0), f.horizon, 0) AS horizon_ms,
    if(s.completed_at IS NULL, NULL, dateDiff('millisecond', s.since, assumeNotNull(s.completed_at))) AS completed_after_ms,
    ended_after_ms IS NULL OR ended_after_ms > horizon_ms AS stuck,
    a.user_id != '' AS alarmed,
    a.first_trigger AS trigger,
    if(alarmed, dateDiff('millisecond', s.since, a.first_at), NULL) AS alarm_after_ms,
    if(alarmed, a.first_score, NULL) AS score,
    stuck AND alarmed AND assumeNotNull(alarm_after_ms) BETWEEN 0 AND horizon_ms / 2 AS matched,
    if(s.ended_at IS NULL, NULL, dateDiff('millisecond', s.since, assumeNotNull(s.ended_at))) AS ended_after_ms,
    matched AND ifNull(s.went_on_at >= a.first_at, false) AS went_on
FROM
(
    SELECT e.*, h.horizon_ms AS horizon
    FROM
    (
        SELECT *, assumeNotNull(current_since_at) AS since, coalesce(least(completed_at, left_at), completed_at, left_at) AS ended_at
        FROM
        (
            SELECT *, max(completed_at) OVER (
                PARTITION BY tenant_id, user_id ORDER BY position ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
            ) AS went_on_at
            FROM path_steps
            WHERE experiment_group = 'holdout'
        )
        WHERE current_since_at IS NOT NULL AND ifNull(current_since_at < activated_at, true)
            AND ifNull(completed_at >= current_since_at, true)
    ) AS e
    ASOF LEFT JOIN step_statistics AS h ON h.tenant_id = e.tenant_id AND h.step_id = e.step_id AND h.learned_at <= e.since
) AS s
LEFT JOIN (SELECT tenant_id, step_id, argMin(horizon_ms, learned_at) AS horizon FROM step_statistics GROUP BY tenant_id, step_id) AS f
    ON f.tenant_id = s.tenant_id AND f.step_id = s.step_id
INNER JOIN (SELECT tenant_id, max(log_time) AS newest_at FROM events GROUP BY tenant_id) AS n ON n.tenant_id = s.tenant_id
LEFT JOIN
(
    SELECT c.tenant_id AS tenant_id, c.user_id AS user_id, c.step_id AS step_id, argMax(c.horizon_ms, c.judged_at) AS horizon,
        max(c.judged_at) AS judged_at
    FROM stuck_scores_of_users AS c
    GROUP BY tenant_id, user_id, step_id
) AS o ON o.tenant_id = s.tenant_id AND o.user_id = s.user_id AND o.step_id = s.step_id
LEFT JOIN
(
    SELECT tenant_id, user_id, step_id, toString(argMin(trigger, detected_at)) AS first_trigger, argMin(score, detected_at) AS first_score,
        JSONExtract(argMin(evidence, detected_at), 'horizon', 'Nullable(Float64)') AS horizon, min(detected_at) AS first_at
    FROM stuck_signals_of_users
    GROUP BY tenant_id, user_id, step_id
) AS a ON a.tenant_id = s.tenant_id AND a.user_id = s.user_id AND a.step_id = s.step_id
WHERE horizon_ms > 0 AND dateDiff('millisecond', s.since, n.newest_at) >= horizon_ms;

-- The same views as before, with the number of matched alarms whose user went on.
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
    if(matched_alarms = 0, NULL, quantileExactInclusiveIf(0.5)((horizon_ms - assumeNotNull(alarm_after_ms)) / 3600000, matched)) AS lead_hours,
    countIf(e.went_on) AS went_on
FROM stuck_episodes AS e
GROUP BY tenant_id, step_id
ORDER BY tenant_id, step_id;

CREATE OR REPLACE VIEW stuck_scorecard_by_trigger AS
SELECT
    e.tenant_id AS tenant_id, e.trigger AS trigger,
    countIf(alarmed) AS alarms,
    countIf(matched) AS matched_alarms,
    matched_alarms / alarms AS precision,
    if(any(e.stuck_people) = 0, NULL, matched_alarms / any(e.stuck_people)) AS found,
    avg(assumeNotNull(score)) AS mean_score,
    countIf(NOT e.stuck AND assumeNotNull(ended_after_ms) >= assumeNotNull(alarm_after_ms)) / alarms AS recovered_alone,
    if(matched_alarms = 0, NULL, quantileExactInclusiveIf(0.5)((horizon_ms - assumeNotNull(alarm_after_ms)) / 3600000, matched)) AS lead_hours,
    countIf(e.went_on) AS went_on
FROM (SELECT *, countIf(stuck) OVER (PARTITION BY tenant_id) AS stuck_people FROM stuck_episodes) AS e
WHERE e.alarmed
GROUP BY tenant_id, trigger
ORDER BY tenant_id, alarms DESC, trigger;

ALTER TABLE catalogs_final
    MODIFY COMMENT 'The newest row of each key of catalogs (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN catalog_version 'version of the catalog',
    COMMENT COLUMN holdout 'share of users without guidance, 0 to 1; 1 where the catalog only observes',
    COMMENT COLUMN rules 'share of users guided by rules alone, 0 to 1',
    COMMENT COLUMN exploration_floor 'least probability of each eligible arm, 0 to 1',
    COMMENT COLUMN attribution_window_ms 'attribution window in milliseconds',
    COMMENT COLUMN template_share 'share of decisions that keep their template, 0 to 1; -1 where the catalog has no wording',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN strict_paths 'paths where the order of the steps matters',
    COMMENT COLUMN steps_without_alarms 'steps at which nobody raises an alarm, by `alarms: false`';

ALTER TABLE stuck_episodes
    MODIFY COMMENT 'Episodes of held-out users, who get no guidance: a user at a step since it became current, before activation. Where a visitor came to the step who then signed in, the visitor\'s alarm is that of the user; what is learned leaves such an episode out if the visitor was there until the first look, a tenth of the horizon. Younger ones than their horizon are not in it, nor a step that was completed before it became current.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN since_at 'when the step became current, UTC',
    COMMENT COLUMN horizon_ms 'horizon in milliseconds of the step when the episode began: nine of ten of its last completions then took no longer',
    COMMENT COLUMN completed_after_ms 'milliseconds from `since_at` to the completion; NULL without one',
    COMMENT COLUMN stuck '1 if the step was neither completed nor left within the horizon',
    COMMENT COLUMN alarmed '1 if there was an alarm, about the user or the visitor who came to the step',
    COMMENT COLUMN trigger 'kind of the first alarm; empty without one',
    COMMENT COLUMN alarm_after_ms 'milliseconds from `since_at` to the first alarm; NULL without one',
    COMMENT COLUMN score 'score of the first alarm, 0 to 1; NULL without one',
    COMMENT COLUMN matched '1 if the episode was stuck and the alarm came within half of the horizon',
    COMMENT COLUMN ended_after_ms 'milliseconds from `since_at` to the completion or to leaving the step (`left_at` of `path_steps`), whichever came first; NULL without either',
    COMMENT COLUMN went_on '1 if the episode is matched and the user completed a later step of the path after the alarm, without guidance';

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
    COMMENT COLUMN lead_hours 'median hours from the alarm to the horizon, of matched alarms; NULL without one',
    COMMENT COLUMN went_on 'of `matched_alarms`, those after which the user completed a later step of the path, without guidance: stuck, and yet not lost';

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
    COMMENT COLUMN lead_hours 'median hours from the alarm to the horizon, of matched alarms; NULL without one',
    COMMENT COLUMN went_on 'of `matched_alarms`, those after which the user completed a later step of the path, without guidance: stuck, and yet not lost';
