-- Users meet new catalogs, sign in, and activate before they sign up. Funnel, episodes and times of activation say so.

-- When a user meets another catalog, all steps of the path are written again, and a row without path and step, of status catalog_changed. What is
-- older than that row is of steps that left the path, or of a place that a step had before.
CREATE OR REPLACE VIEW step_progress_in_force AS
SELECT s.* FROM step_progress_final AS s
LEFT JOIN (SELECT tenant_id, user_id, version AS met FROM step_progress FINAL WHERE step_id = '') AS c
    ON c.tenant_id = s.tenant_id AND c.user_id = s.user_id
WHERE s.step_id != '' AND s.version >= c.met;

-- The steps of the path on which a user is now, by the catalog that the user last met. Rows of an earlier path do not count.
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
    p.activated_at AS activated_at,
    updated AS updated_at
FROM
(
    SELECT f.tenant_id AS tenant_id, f.user_id AS user_id, f.path_id AS path_id, groupArray(f.position) AS positions, groupArray(f.step_id) AS steps,
        groupArray(f.status) AS states, groupArray(f.current_since_at) AS sinces, groupArray(f.completed_at) AS dones,
        groupArray(f.path_order) AS orders, groupArray(f.updated_at) AS updates
    FROM step_progress AS f FINAL
    LEFT JOIN (SELECT tenant_id, user_id, version AS met FROM step_progress FINAL WHERE step_id = '') AS c
        ON c.tenant_id = f.tenant_id AND c.user_id = f.user_id
    WHERE f.step_id != '' AND f.version >= c.met
    GROUP BY tenant_id, user_id, path_id
) AS s
INNER JOIN counted_people AS p ON p.tenant_id = s.tenant_id AND p.user_id = s.user_id AND p.path_id = s.path_id
ARRAY JOIN s.positions AS position, s.steps AS step, s.states AS state, s.sinces AS since, s.dones AS done, s.orders AS path_order,
    s.updates AS updated;

-- The funnel: the progress of people on their current path, by the catalog that each last met. Rows of an earlier path of a person do not count.
-- A step stands once for each path, at its newest place. A person's funnel ends at activation. A step that becomes current at activation or later is
-- not part of it, and not completing it is no drop-off: activated_before counts such people. What is completed after activation counts in
-- completed_after_activation alone.
--   reached:  people for whom the step is or was open (not locked) before activation
--   completed: reached, and completed it, at activation at the latest
--   passed:   reached, not completed so far or before activation, and the person completed a later step (where the order does not matter), went on to
--             one, or activated
--   step_completion_rate = completed / reached; NULL for a step that is not reached before activation
--   drop_off_rate        = neither completed nor passed so far / reached
--   median_hours:        from the step first being current to its completion, of the completed; a step that was completed before it became current
--                        does not count
--   activated_before:    people who activated before the step became current, or for whom it did not become current
--   completed_after_activation: people who completed the step after they had activated, whether they had reached it before or not
CREATE OR REPLACE VIEW funnel_by_step AS
WITH
    s.status = 'completed' AS done,
    done AND ifNull(s.completed_at > s.activated_at, false) AS late,
    s.activated_at IS NOT NULL AND ifNull(s.current_since_at >= s.activated_at, true) AND (NOT done OR late) AS after,
    NOT after AND done AND NOT late AS in_time,
    in_time AND ifNull(s.completed_at >= s.current_since_at, false) AS timed
SELECT
    s.tenant_id AS tenant_id,
    s.path_id AS path_id,
    argMax(s.position, s.updated_at) AS position,
    s.step_id AS step_id,
    countIf(NOT after AND s.status != 'locked') AS reached,
    countIf(in_time) AS completed,
    if(reached = 0, NULL, completed / reached) AS step_completion_rate,
    if(reached = 0, NULL, (reached - completed - passed) / reached) AS drop_off_rate,
    if(countIf(timed) = 0, NULL, quantileExactInclusiveIf(0.5)(
        dateDiff('millisecond', assumeNotNull(s.current_since_at), assumeNotNull(s.completed_at)) / 3600000, timed
    )) AS median_hours,
    countIf(after) AS activated_before,
    countIf(late) AS completed_after_activation,
    countIf(NOT after AND (s.status = 'current' OR late) AND s.left_at IS NOT NULL) AS passed
FROM path_steps AS s
GROUP BY tenant_id, path_id, step_id
ORDER BY tenant_id, path_id, position, step_id;

-- Where a user came to a step as a visitor, before signing in: the row of the user begins when that of the visitor does.
CREATE OR REPLACE VIEW steps_of_visitors AS
SELECT m.tenant_id AS tenant_id, m.visitor_id AS visitor_id, any(m.user_id) AS user_id, v.step_id AS step_id, min(v.current_since_at) AS since_at
FROM merged_visitors AS m
INNER JOIN
(
    SELECT tenant_id, user_id, step_id, current_since_at FROM step_progress FINAL
    WHERE current_since_at > toDateTime64(0, 3, 'UTC') AND (tenant_id, user_id) IN (SELECT tenant_id, visitor_id FROM merged_visitors)
) AS v ON v.tenant_id = m.tenant_id AND v.user_id = m.visitor_id
INNER JOIN
(
    SELECT tenant_id, user_id, step_id, current_since_at FROM step_progress FINAL
    WHERE (tenant_id, user_id) IN (SELECT tenant_id, user_id FROM merged_visitors)
) AS u ON u.tenant_id = m.tenant_id AND u.user_id = m.user_id AND u.step_id = v.step_id AND u.current_since_at = v.current_since_at
GROUP BY tenant_id, visitor_id, step_id;

-- An alarm or a score about the visitor at such a step is one about the user.
CREATE OR REPLACE VIEW stuck_signals_of_users AS
SELECT s.* REPLACE (if(v.user_id != '' AND s.detected_at >= v.since_at, v.user_id, s.user_id) AS user_id)
FROM stuck_signals_final AS s
LEFT JOIN steps_of_visitors AS v ON v.tenant_id = s.tenant_id AND v.visitor_id = s.user_id AND v.step_id = s.step_id;

CREATE OR REPLACE VIEW stuck_scores_of_users AS
SELECT s.* REPLACE (if(v.user_id != '' AND s.judged_at >= v.since_at, v.user_id, s.user_id) AS user_id)
FROM stuck_scores_final AS s
LEFT JOIN steps_of_visitors AS v ON v.tenant_id = s.tenant_id AND v.visitor_id = s.user_id AND v.step_id = s.step_id;

-- The quality of the alarms, measured on held-out people, who get no guidance.
-- An episode is a held-out person at a step since it became current, before activation. A step that was completed before it became current is none.
-- H is the horizon of the step that was in force when the episode began. Its scores have it, and so has the evidence of its alarm. Who has neither
-- was quick; then it is that of the newest statistics from before, or of the first that were learned. The first alarm counts. Episodes younger than H
-- (by the log time of the tenant's newest event) are not evaluated yet.
-- An episode that began before a visitor signed in is one of the user, with the visitor's scores and alarms. What is learned takes it from the
-- visitor where the visitor completed the step, and leaves it out where the user signed in at the step after the first look.
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

-- Time to activation: from the sign-up. Who activated before it tried the product first; theirs begins at the first event, as it does without a
-- sign-up.
CREATE OR REPLACE VIEW activation AS
SELECT
    tenant_id,
    count() AS people,
    countIf((tenant_id, user_id) IN (SELECT tenant_id, user_id FROM step_progress WHERE first_seen_at > toDateTime64(0, 3, 'UTC'))) AS started,
    countIf(activated_at IS NOT NULL) AS activated,
    started / people AS onboarding_start_rate,
    activated / people AS activation_rate,
    if(activated = 0, NULL, quantileExactInclusiveIf(0.5)(
        dateDiff('millisecond', assumeNotNull(coalesce(if(signup_at <= activated_at, signup_at, NULL), first_seen_at, activated_at)),
            assumeNotNull(activated_at)) / 3600000,
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
        dateDiff('millisecond', assumeNotNull(coalesce(if(signup_at <= activated_at, signup_at, NULL), first_seen_at, activated_at)),
            assumeNotNull(activated_at)) / 3600000,
        activated_at IS NOT NULL
    )) AS time_to_activation_p50_hours
FROM counted_people
WHERE coalesce(signup_at, first_seen_at, last_active_at) IS NOT NULL
GROUP BY tenant_id, signup_week, path_id, user_persona
ORDER BY tenant_id, signup_week, path_id, user_persona;

-- By intention to treat: each person counts in their assigned group, with or without guidance. Left out, in every group alike: who began while
-- guidance was paused, or outside of the share that might be guided. That was known before anything became of them. Groups of their own, which
-- are not to be compared with the others: who does not begin the onboarding, and who came while the catalog only observed.
CREATE OR REPLACE VIEW experiment_groups AS
SELECT
    tenant_id,
    experiment_group,
    count() AS people,
    countIf(activated_at IS NOT NULL) AS activated,
    activated / people AS activation_rate,
    sqrt(activation_rate * (1 - activation_rate) / people) AS standard_error,
    if(activated = 0, NULL, quantileExactInclusiveIf(0.5)(
        dateDiff('millisecond', assumeNotNull(coalesce(if(signup_at <= activated_at, signup_at, NULL), first_seen_at, activated_at)),
            assumeNotNull(activated_at)) / 3600000,
        activated_at IS NOT NULL
    )) AS time_to_activation_p50_hours
FROM
(
    SELECT
        p.tenant_id AS tenant_id, p.signup_at AS signup_at, p.first_seen_at AS first_seen_at, p.activated_at AS activated_at,
        if(p.experiment_group != 'existing' AND observed.version != '', 'observing', p.experiment_group) AS experiment_group
    FROM (SELECT * FROM people_final WHERE experiment_group != 'merged' AND guidance_at_signup NOT IN ('guidance_paused', 'outside_ramp')) AS p
    LEFT JOIN (SELECT tenant_id AS tenant, catalog_version AS version FROM catalogs_final WHERE holdout >= 1) AS observed
        ON observed.tenant = p.tenant_id AND observed.version = p.entered_under
)
GROUP BY tenant_id, experiment_group
ORDER BY tenant_id, experiment_group;

ALTER TABLE step_progress
    MODIFY COMMENT 'The progress of a user on one step of a path. The time 1970-01-01 means that it has not happened. When a user meets another catalog, a row without path and step is written: what is older is of steps that left the path. Written by the step track upon each change. Newest row of a key: `step_progress_final`, or argMax by version; without steps that left the path: `step_progress_in_force`.',
    COMMENT COLUMN path_id 'path of the catalog; empty in the row without a step',
    COMMENT COLUMN step_id 'step of the catalog; empty in the row that is written when the user meets another catalog',
    COMMENT COLUMN status 'locked (not reached), current (is or was) or completed; `catalog_changed` in the row without a step',
    COMMENT COLUMN current_since_at 'when the step became current, UTC; earlier where a visitor came to it who is merged later and did it. Unset for a step completed ahead of its turn';

ALTER TABLE step_progress_final
    MODIFY COMMENT 'The newest row of each key of `step_progress` (FINAL). Times that have not happened are NULL.',
    COMMENT COLUMN path_id 'path of the catalog; empty in the row without a step',
    COMMENT COLUMN step_id 'step of the catalog; empty in the row that is written when the user meets another catalog',
    COMMENT COLUMN status 'locked (not reached), current (is or was) or completed; `catalog_changed` in the row without a step',
    COMMENT COLUMN current_since_at 'when the step became current, UTC; earlier where a visitor came to it who is merged later and did it. Unset for a step completed ahead of its turn';

ALTER TABLE step_progress_in_force
    MODIFY COMMENT 'The rows of `step_progress_final` of steps that are on their path by the catalog that the user last met. Times that have not happened are NULL.',
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
    COMMENT COLUMN current_since_at 'when the step became current, UTC; earlier where a visitor came to it who is merged later and did it. Unset for a step completed ahead of its turn',
    COMMENT COLUMN completed_at 'completion of the step, UTC',
    COMMENT COLUMN updated_at 'log time as of which counts and times are, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN path_order 'order of the path in the catalog: free, or strict where it matters; free in rows that an older release wrote';

ALTER TABLE path_steps
    MODIFY COMMENT 'The steps of the path on which each user is now who begins the onboarding, by the catalog that the user last met, and how users got on from them. A user at a step from `current_since_at` until it is completed or left, before activation, is an episode.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN experiment_group 'group of the user, as in `people`',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN position 'place of the step in the path, from 1',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN status 'locked (not reached), current (is or was) or completed',
    COMMENT COLUMN current_since_at 'when the step became current, UTC; NULL for a step that never did. A step that was completed before was done ahead of its turn',
    COMMENT COLUMN completed_at 'completion of the step, UTC; NULL without one',
    COMMENT COLUMN left_at 'when the user, at this step, completed a later one, went on to one or was activated, UTC; in a path of strict order, completing a later one does not count. NULL otherwise, and for a step that became current at activation or later',
    COMMENT COLUMN activated_at 'activation of the user, UTC; NULL without one',
    COMMENT COLUMN updated_at 'log time of the newest row of the step, UTC';

ALTER TABLE funnel_by_step
    MODIFY COMMENT 'The funnel: the progress of users on their current path, until activation. For each tenant, path and step. Steps that left the path do not count for users who met the new catalog.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN position 'newest place of the step in the path, from 1; users who have not met the newest catalog may have it at another one',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN reached 'users for whom the step is or was open before activation',
    COMMENT COLUMN completed 'of those, users who completed it, at activation at the latest',
    COMMENT COLUMN step_completion_rate 'completed / reached, 0 to 1; NULL where nobody reached it',
    COMMENT COLUMN drop_off_rate '(reached - completed - passed) / reached, 0 to 1; NULL where nobody reached it',
    COMMENT COLUMN median_hours 'median hours from the step becoming current to its completion, of `completed`, without those who did it before it became current; NULL without one',
    COMMENT COLUMN activated_before 'users who activated before the step became current, or for whom it did not',
    COMMENT COLUMN completed_after_activation 'users who completed it after they had activated, whether they had reached it before or not',
    COMMENT COLUMN passed 'of those who reached it, users who have not completed it, or not before they activated, and completed a later step, went on to one or activated; in a path of strict order, completing a later one does not count';

ALTER TABLE drop_off_rate_by_step
    COMMENT COLUMN position 'newest place of the step in the path, from 1; users who have not met the newest catalog may have it at another one',
    COMMENT COLUMN passed 'of those who reached it, users who have not completed it, or not before they activated, and completed a later step, went on to one or activated; in a path of strict order, completing a later one does not count';

ALTER TABLE step_completion_rate
    MODIFY COMMENT 'Metric `step_completion_rate`: share of the users who reached a step before activation and completed it, at activation at the latest.',
    COMMENT COLUMN position 'newest place of the step in the path, from 1; users who have not met the newest catalog may have it at another one',
    COMMENT COLUMN completed 'of those, users who completed it, at activation at the latest';

ALTER TABLE steps_of_visitors
    MODIFY COMMENT 'Steps that a user came to as a visitor, before signing in: the beginning of the step is that of the visitor.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN visitor_id 'id of the visitor before they signed in',
    COMMENT COLUMN user_id 'id of the user as the app sent it',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN since_at 'when the step became current for the visitor, UTC';

ALTER TABLE stuck_signals_of_users
    MODIFY COMMENT 'The rows of `stuck_signals_final`. An alarm about a visitor is one about the user who came to the step as that visitor.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN signal_id 'id of the signal',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor who has not signed in at this step',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN evidence 'JSON: the evidence, and what each part of it added to the score',
    COMMENT COLUMN detected_at 'log time of the alarm, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN score 'estimated probability, 0 to 1, that the user will not complete the step within its horizon without help',
    COMMENT COLUMN parameters_version 'version of the step statistics that was used; 0 before the first was learned';

ALTER TABLE stuck_scores_of_users
    MODIFY COMMENT 'The rows of `stuck_scores_final`. A score of a visitor is one of the user who came to the step as that visitor.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor who has not signed in at this step',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN share 'share of the horizon, 0 to 1, that the user had waited',
    COMMENT COLUMN score 'estimated probability, 0 to 1, that the user will neither complete nor leave the step within the horizon',
    COMMENT COLUMN time_alone 'share, 0 to 1, of stuck users among those who waited as long at this step before',
    COMMENT COLUMN horizon_ms 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    COMMENT COLUMN judged_at 'log time of the judgement, UTC',
    COMMENT COLUMN parameters_version 'version of the step statistics that was used; 0 before the first was learned',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

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
    COMMENT COLUMN ended_after_ms 'milliseconds from `since_at` to the completion or to leaving the step (`left_at` of `path_steps`), whichever came first; NULL without either';

ALTER TABLE activation
    MODIFY COMMENT 'Start, activation and median time to it. For each tenant.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN people 'users who begin the onboarding, each counted once',
    COMMENT COLUMN started 'users who worked on at least one step of any path',
    COMMENT COLUMN activated 'users who reached activation',
    COMMENT COLUMN onboarding_start_rate 'started / `people`, 0 to 1',
    COMMENT COLUMN activation_rate 'activated / `people`, 0 to 1',
    COMMENT COLUMN time_to_activation_p50_hours 'median hours to activation, of activated users: from the sign-up; from the first event for those without one, or who activated before it; NULL without one';

ALTER TABLE activation_by_cohort
    MODIFY COMMENT 'Activation by week of sign-up, path and persona.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN signup_week 'Monday of the week of the sign-up, UTC',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN user_persona 'trait persona as the app sent it; empty where unknown',
    COMMENT COLUMN people 'users who begin the onboarding, each counted once',
    COMMENT COLUMN activated 'users who reached activation',
    COMMENT COLUMN activation_rate 'activated / `people`, 0 to 1',
    COMMENT COLUMN time_to_activation_p50_hours 'median hours to activation, of activated users: from the sign-up; from the first event for those without one, or who activated before it; NULL without one';

ALTER TABLE experiment_groups
    MODIFY COMMENT 'Activation by group and by intention to treat. Left out, in all groups alike: who began while guidance was paused or outside of the ramp, by `guidance_at_signup`. Where the shares of the groups changed, the rates pool users drawn by different shares, and their difference is no effect: `onramp report` compares within the same shares.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive. Not to be compared with these: observing for users who came while the catalog only observed, and existing for users who do not begin the onboarding, by `starts` of the catalog',
    COMMENT COLUMN people 'users of the group, without those who began while guidance was off for them',
    COMMENT COLUMN activated 'users who reached activation',
    COMMENT COLUMN activation_rate 'activated / `people`, 0 to 1',
    COMMENT COLUMN standard_error 'standard error of `activation_rate`',
    COMMENT COLUMN time_to_activation_p50_hours 'median hours to activation, of activated users: from the sign-up; from the first event for those without one, or who activated before it; NULL without one';

ALTER TABLE time_to_activation_p50_hours
    MODIFY COMMENT 'Metric `time_to_activation_p50_hours`: median hours to activation: from the sign-up; from the first event for users without one, or who activated before it.',
    COMMENT COLUMN time_to_activation_p50_hours 'median hours to activation, of activated users: from the sign-up; from the first event for those without one, or who activated before it; NULL without one';
