-- The quality of the alarms, measured on held-out people, who get no guidance.
-- An episode is a held-out person at a step since it became current. H is the learned horizon of the step. The first alarm counts.
-- Episodes younger than H (by the tenant's newest event) are not evaluated yet.
--   stuck:    not completed within H
--   matched:  stuck, and the alarm came within half of H
CREATE OR REPLACE VIEW stuck_episodes AS
SELECT
    s.tenant_id AS tenant_id,
    s.user_id AS user_id,
    s.step_id AS step_id,
    s.current_since_at AS since_at,
    h.horizon_ms AS horizon_ms,
    if(s.completed_at IS NULL, NULL, dateDiff('millisecond', assumeNotNull(s.current_since_at), assumeNotNull(s.completed_at))) AS completed_after_ms,
    completed_after_ms IS NULL OR completed_after_ms > h.horizon_ms AS stuck,
    a.user_id != '' AS alarmed,
    a.first_trigger AS trigger,
    if(alarmed, dateDiff('millisecond', assumeNotNull(s.current_since_at), a.first_at), NULL) AS alarm_after_ms,
    if(alarmed, a.first_score, NULL) AS score,
    stuck AND alarmed AND assumeNotNull(alarm_after_ms) * 2 <= h.horizon_ms AS matched
FROM step_progress_final AS s
INNER JOIN (SELECT * FROM people_final WHERE experiment_group = 'holdout') AS p
    ON p.tenant_id = s.tenant_id AND p.user_id = s.user_id AND p.path_id = s.path_id
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
WHERE s.current_since_at IS NOT NULL
    AND dateDiff('millisecond', assumeNotNull(s.current_since_at), assumeNotNull(n.newest_at)) >= h.horizon_ms;

-- One row for each step.
--   precision       = matched / alarms          recall = matched / stuck
--   recovered_alone = share of the alarms after which the person completed the step within H without guidance
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
    if(alarms = 0, NULL, countIf(alarmed AND NOT e.stuck AND assumeNotNull(completed_after_ms) >= assumeNotNull(alarm_after_ms)) / alarms) AS recovered_alone,
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
    if(any(t.stuck_people) = 0, NULL, matched_alarms / any(t.stuck_people)) AS found,
    avg(assumeNotNull(score)) AS mean_score,
    countIf(NOT e.stuck AND assumeNotNull(completed_after_ms) >= assumeNotNull(alarm_after_ms)) / alarms AS recovered_alone,
    if(matched_alarms = 0, NULL, quantileExactInclusiveIf(0.5)((horizon_ms - assumeNotNull(alarm_after_ms)) / 3600000, matched)) AS lead_hours
FROM (SELECT * FROM stuck_episodes WHERE alarmed) AS e
INNER JOIN (SELECT tenant_id, countIf(stuck) AS stuck_people FROM stuck_episodes GROUP BY tenant_id) AS t ON t.tenant_id = e.tenant_id
GROUP BY tenant_id, trigger
ORDER BY tenant_id, alarms DESC, trigger;
