-- One view for each common question. A rate is NULL if its denominator is 0, because no data is not 0 %.
-- Rates are fractions (0..1). The names of durations contain their unit.

-- All people. A visitor who signed in counts as that user.
CREATE OR REPLACE VIEW counted_people AS
SELECT * FROM people_final WHERE experiment_group != 'merged';

-- The funnel: the progress of people on their current path. Rows of an earlier path of a person do not count.
-- A person's funnel ends at activation. A step that becomes current at activation or later is not part of it, and not completing it is
-- no drop-off. The columns activated_before and completed_after_activation count such people.
--   reached:  people for whom the step is or was open (not locked) before activation
--   step_completion_rate = completed / reached; NULL for a step that is not reached before activation
--   drop_off_rate        = reached but not completed so far / reached
--   median_hours:        from the step first being current to its completion; a step that was completed before it became current does
--                        not count
--   activated_before:    people who activated before the step became current, or for whom it did not become current
--   completed_after_activation: those of them who completed the step afterwards
CREATE OR REPLACE VIEW funnel_by_step AS
WITH
    s.status = 'completed' AS done,
    p.activated_at IS NOT NULL AND ifNull(s.current_since_at >= p.activated_at, true) AND ifNull(s.completed_at > p.activated_at, true) AS after
SELECT
    s.tenant_id AS tenant_id,
    s.path_id AS path_id,
    s.position AS position,
    s.step_id AS step_id,
    countIf(NOT after AND s.status != 'locked') AS reached,
    countIf(NOT after AND done) AS completed,
    if(reached = 0, NULL, completed / reached) AS step_completion_rate,
    if(reached = 0, NULL, (reached - completed) / reached) AS drop_off_rate,
    if(countIf(NOT after AND done AND s.current_since_at IS NOT NULL) = 0, NULL, quantileExactInclusiveIf(0.5)(
        greatest(0, dateDiff('millisecond', assumeNotNull(s.current_since_at), assumeNotNull(s.completed_at))) / 3600000,
        NOT after AND done AND s.current_since_at IS NOT NULL
    )) AS median_hours,
    countIf(after) AS activated_before,
    countIf(after AND done) AS completed_after_activation
FROM step_progress_final AS s
INNER JOIN counted_people AS p ON p.tenant_id = s.tenant_id AND p.user_id = s.user_id AND p.path_id = s.path_id
GROUP BY tenant_id, path_id, position, step_id
ORDER BY tenant_id, path_id, position;

-- Steps by drop-off before activation, the worst step first. A person who works on a step counts as dropped off there until they
-- complete it.
CREATE OR REPLACE VIEW drop_off_rate_by_step AS
SELECT tenant_id, path_id, position, step_id, reached, reached - completed AS stopped_here, drop_off_rate
FROM funnel_by_step
ORDER BY tenant_id, drop_off_rate DESC, stopped_here DESC;

-- One row for each tenant.
--   people:  all people              started: worked on at least one step of any path         activated: reached activation
--   onboarding_start_rate = started / people          activation_rate = activated / people
--   time_to_activation_p50_hours: median from sign-up (else first event) to activation, of activated people
CREATE OR REPLACE VIEW activation AS
SELECT
    tenant_id,
    count() AS people,
    countIf((tenant_id, user_id) IN (SELECT tenant_id, user_id FROM step_progress_final WHERE first_seen_at IS NOT NULL)) AS started,
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

-- The same figures by week (Monday) of sign-up, path and persona.
CREATE OR REPLACE VIEW activation_by_cohort AS
SELECT
    tenant_id,
    toMonday(assumeNotNull(coalesce(signup_at, first_seen_at, last_active_at))) AS signup_week,
    path_id,
    user_persona,
    count() AS people,
    countIf(activated_at IS NOT NULL) AS activated,
    activated / people AS activation_rate,
    if(activated = 0, NULL, quantileExactInclusiveIf(0.5)(
        dateDiff('millisecond', assumeNotNull(coalesce(signup_at, first_seen_at, activated_at)), assumeNotNull(activated_at)) / 3600000,
        activated_at IS NOT NULL
    )) AS time_to_activation_p50_hours
FROM counted_people
WHERE coalesce(signup_at, first_seen_at, last_active_at) IS NOT NULL
GROUP BY tenant_id, signup_week, path_id, user_persona
ORDER BY tenant_id, signup_week, path_id, user_persona;

-- Results of guidance by trigger and arm, over all decisions that chose an arm. Each decision counts once.
--   nudge_send_rate       = shown / decided               (displayed by the app)
--   nudge_open_rate       = clicked / shown
--   nudge_dismiss_rate    = dismissed / shown
--   nudge_conversion_rate = success / (success + failure)  (attribution window closed; open windows do not count)
--   open: shown, and the window is open                   unshown: not shown so far, expired, withdrawn or superseded
CREATE OR REPLACE VIEW guidance_performance AS
SELECT
    d.tenant_id AS tenant_id,
    d.trigger AS trigger,
    d.arm AS arm,
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
FROM (SELECT tenant_id, decision_id, trigger, arm FROM decisions_final WHERE outcome = 'decided') AS d
LEFT JOIN (SELECT tenant_id, decision_id, groupUniqArray(toString(kind)) AS kinds FROM outcomes_final GROUP BY tenant_id, decision_id) AS o
    ON o.tenant_id = d.tenant_id AND o.decision_id = d.decision_id
GROUP BY tenant_id, trigger, arm
ORDER BY tenant_id, trigger, arm;

-- How often each arm was chosen among the decisions of its trigger, and how often the policy intended to choose it (propensity).
CREATE OR REPLACE VIEW arm_share AS
SELECT
    tenant_id,
    trigger,
    arm,
    count() AS decisions,
    decisions / sum(count()) OVER (PARTITION BY tenant_id, trigger) AS share,
    avg(propensity) AS mean_propensity
FROM decisions_final
WHERE outcome = 'decided'
GROUP BY tenant_id, trigger, arm
ORDER BY tenant_id, trigger, arm;

-- The current posterior of the learner: mean = alpha / (alpha + beta), weight = alpha + beta (pseudo-observations, after discounting).
CREATE OR REPLACE VIEW arm_posteriors_latest AS
SELECT tenant_id, trigger, context, arm, alpha, beta, alpha / (alpha + beta) AS mean, alpha + beta AS weight, updates, updated_at, version
FROM (SELECT * FROM arm_posteriors_final ORDER BY version DESC LIMIT 1 BY tenant_id, trigger, arm, context)
ORDER BY tenant_id, trigger, context, arm;

CREATE OR REPLACE VIEW non_decisions_by_reason AS
SELECT tenant_id, reason, trigger, count() AS non_decisions, uniqExact(user_id) AS people
FROM decisions_final
WHERE outcome = 'declined'
GROUP BY tenant_id, reason, trigger
ORDER BY tenant_id, non_decisions DESC, reason, trigger;

CREATE OR REPLACE VIEW stuck_signals_by_trigger AS
SELECT tenant_id, trigger, count() AS signals, uniqExact(user_id) AS people
FROM stuck_signals_final
GROUP BY tenant_id, trigger
ORDER BY tenant_id, signals DESC, trigger;

CREATE OR REPLACE VIEW stuck_signals_by_step AS
SELECT tenant_id, path_id, step_id, trigger, count() AS signals, uniqExact(user_id) AS people
FROM stuck_signals_final
GROUP BY tenant_id, path_id, step_id, trigger
ORDER BY tenant_id, path_id, step_id, signals DESC, trigger;

-- One row for each minute, step, metric and label.
CREATE OR REPLACE VIEW step_metrics AS
SELECT tenant_id, minute, path_id, step_id, metric, label, sum(count) AS total
FROM step_metrics_1m_final
GROUP BY tenant_id, minute, path_id, step_id, metric, label
ORDER BY tenant_id, minute, path_id, step_id, metric, label;

CREATE OR REPLACE VIEW dead_letters_by_reason AS
SELECT reason, topic, count() AS messages, min(log_time) AS first_at, max(log_time) AS last_at
FROM dead_letters_final
GROUP BY reason, topic
ORDER BY messages DESC, reason, topic;

-- The age of the newest row of each table. For `events` it is the age of the newest message that analysts can see.
-- After a bounded run over old events it is the age of that input.
CREATE OR REPLACE VIEW freshness AS
SELECT table_name, if(stored = 0, NULL, newest) AS newest_at, if(stored = 0, NULL, dateDiff('millisecond', newest, now64(3, 'UTC')) / 1000) AS lag_seconds
FROM
(
    SELECT 'events' AS table_name, count() AS stored, max(log_time) AS newest FROM events
    UNION ALL SELECT 'decisions', count(), max(decided_at) FROM decisions
    UNION ALL SELECT 'recommendations', count(), max(created_at) FROM recommendations
    UNION ALL SELECT 'outcomes', count(), max(occurred_at) FROM outcomes
    UNION ALL SELECT 'stuck_signals', count(), max(detected_at) FROM stuck_signals
    UNION ALL SELECT 'step_progress', count(), max(updated_at) FROM step_progress
    UNION ALL SELECT 'people', count(), max(last_active_at) FROM people
    UNION ALL SELECT 'arm_posteriors', count(), max(updated_at) FROM arm_posteriors
    UNION ALL SELECT 'step_metrics_1m', count(), max(minute) FROM step_metrics_1m
    UNION ALL SELECT 'dead_letters', count(), max(log_time) FROM dead_letters
)
ORDER BY table_name;

-- Holdout and adaptive group, by intention to treat: each person counts in their assigned group, with or without guidance.
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
GROUP BY tenant_id, experiment_group
ORDER BY tenant_id, experiment_group;

-- Features for models, one row for each person. time_since_signup is in hours up to the newest log time (live: about now), at least 0.
CREATE OR REPLACE VIEW features AS
SELECT
    tenant_id,
    user_id,
    user_persona,
    signup_source,
    engagement_score,
    company_size,
    use_case,
    greatest(0, dateDiff('millisecond', signup_at, (SELECT max(log_time) FROM events)) / 3600000) AS time_since_signup,
    steps_completed,
    session_count,
    avg_session_duration
FROM counted_people;

-- Exposure events (shown, clicked, dismissed) that match no recommendation. If this is not 0, check the app.
--   unknown_recommendation:    the event has a recommendationId that was not issued to this person
--   no_current_recommendation: the event has none, and the person had no current recommendation when it arrived
-- The counters of `onramp run` also count ids that arrived after their attribution window closed.
CREATE OR REPLACE VIEW exposures_ignored_by_reason AS
WITH
    JSONExtractString(e.payload, 'recommendationId') AS echoed
SELECT
    e.tenant_id AS tenant_id,
    if(JSONHas(e.payload, 'recommendationId'), 'unknown_recommendation', 'no_current_recommendation') AS reason,
    count() AS events,
    uniqExact(e.user_id) AS people,
    argMax(e.user_id, (e.log_time, e.event_id)) AS example_user_id,
    argMax(e.event_id, (e.log_time, e.event_id)) AS example_event_id
FROM (
    SELECT * FROM events_final WHERE status = 'applied'
        AND event_type IN ('recommendation_shown', 'recommendation_clicked', 'recommendation_dismissed', 'tooltip_dismiss')
) AS e
ASOF LEFT JOIN recommendations_final AS r
    ON r.tenant_id = e.tenant_id AND r.user_id = e.user_id AND e.log_time >= r.created_at
WHERE if(
    JSONHas(e.payload, 'recommendationId'),
    (e.tenant_id, e.user_id, echoed) NOT IN (SELECT tenant_id, user_id, recommendation_id FROM recommendations_final),
    r.ui_component IN ('', 'none') OR r.expires_at <= e.log_time
)
GROUP BY tenant_id, reason
ORDER BY tenant_id, reason;
