-- The quality of the alarms, measured on held-out people, who get no guidance.
-- An episode is a held-out person at a step since it became current, before activation. H is the horizon of the step that was in force when the
-- episode began. Its scores have it, and so has the evidence of its alarm. Who has neither was quick; then it is that of the newest statistics
-- from before, or of the first that were learned. The first alarm counts. Episodes younger than H (by the log time of the tenant's newest event)
-- are not evaluated yet.
--   stuck:    neither completed nor left within H
--   matched:  stuck, and the alarm came within half of H
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
    if(s.ended_at IS NULL, NULL, dateDiff('millisecond', s.since, assumeNotNull(s.ended_at))) AS ended_after_ms
FROM
(
    SELECT e.*, h.horizon_ms AS horizon
    FROM
    (
        SELECT *, assumeNotNull(current_since_at) AS since, coalesce(least(completed_at, left_at), completed_at, left_at) AS ended_at
        FROM path_steps
        WHERE experiment_group = 'holdout' AND current_since_at IS NOT NULL AND ifNull(current_since_at < activated_at, true)
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
    FROM stuck_scores AS c
    GROUP BY tenant_id, user_id, step_id
) AS o ON o.tenant_id = s.tenant_id AND o.user_id = s.user_id AND o.step_id = s.step_id
LEFT JOIN
(
    SELECT tenant_id, user_id, step_id, toString(argMin(trigger, detected_at)) AS first_trigger, argMin(score, detected_at) AS first_score,
        JSONExtract(argMin(evidence, detected_at), 'horizon', 'Nullable(Float64)') AS horizon, min(detected_at) AS first_at
    FROM stuck_signals_final
    GROUP BY tenant_id, user_id, step_id
) AS a ON a.tenant_id = s.tenant_id AND a.user_id = s.user_id AND a.step_id = s.step_id
WHERE horizon_ms > 0 AND dateDiff('millisecond', s.since, n.newest_at) >= horizon_ms;

ALTER TABLE stuck_episodes
    MODIFY COMMENT 'Episodes of held-out users, who get no guidance: a user at a step since it became current, before activation. Younger ones than their horizon are not in it.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN since_at 'when the step became current, UTC',
    COMMENT COLUMN horizon_ms 'horizon in milliseconds of the step when the episode began: nine of ten of its last completions then took no longer',
    COMMENT COLUMN completed_after_ms 'milliseconds from `since_at` to the completion; NULL without one',
    COMMENT COLUMN stuck '1 if the step was neither completed nor left within the horizon',
    COMMENT COLUMN alarmed '1 if there was an alarm',
    COMMENT COLUMN trigger 'kind of the first alarm; empty without one',
    COMMENT COLUMN alarm_after_ms 'milliseconds from `since_at` to the first alarm; NULL without one',
    COMMENT COLUMN score 'score of the first alarm, 0 to 1; NULL without one',
    COMMENT COLUMN matched '1 if the episode was stuck and the alarm came within half of the horizon',
    COMMENT COLUMN ended_after_ms 'milliseconds from `since_at` to the completion or to leaving the step (`left_at` of `path_steps`), whichever came first; NULL without either';
