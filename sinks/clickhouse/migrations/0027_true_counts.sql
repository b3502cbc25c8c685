-- Views and comments that said another thing than what is counted.

ALTER TABLE step_metrics_1m COMMENT COLUMN metric 'what is counted: completed (once for each user and step; a visitor''s are taken back when the user takes them over), signal, decision, `non_decision`, event, or a kind of outcome';
ALTER TABLE step_metrics_1m_final COMMENT COLUMN metric 'what is counted: completed (once for each user and step; a visitor''s are taken back when the user takes them over), signal, decision, `non_decision`, event, or a kind of outcome';
ALTER TABLE step_metrics COMMENT COLUMN metric 'what is counted: completed (once for each user and step; a visitor''s are taken back when the user takes them over), signal, decision, `non_decision`, event, or a kind of outcome';

-- A row of people is written when a session begins, and not with each event. So only the length of a session that has ended is known.
-- Features for models, one row for each person, also for those who do not begin the onboarding. time_since_signup is in hours up to the newest
-- log time of the tenant (live: about now), at least 0. It is NULL before sign-up: newer servers make greatest(0, NULL) a 0.
CREATE OR REPLACE VIEW features AS
SELECT
    p.tenant_id AS tenant_id,
    p.user_id AS user_id,
    p.user_persona AS user_persona,
    p.signup_source AS signup_source,
    p.engagement_score AS engagement_score,
    p.company_size AS company_size,
    p.use_case AS use_case,
    if((dateDiff('millisecond', p.signup_at, n.newest_at) / 3600000 AS hours) < 0, 0, hours) AS time_since_signup,
    p.steps_completed AS steps_completed,
    p.session_count AS session_count,
    if(p.session_count < 2, NULL, p.avg_session_duration) AS avg_session_duration
FROM people_final AS p
LEFT JOIN (SELECT tenant_id, toNullable(max(log_time)) AS newest_at FROM events GROUP BY tenant_id) AS n ON n.tenant_id = p.tenant_id
WHERE p.experiment_group != 'merged';

ALTER TABLE features
    MODIFY COMMENT 'Features for models. One row for each user.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN user_persona 'trait persona as the app sent it; empty where unknown',
    COMMENT COLUMN signup_source 'where the user signed up from, as the app sent it; empty where unknown',
    COMMENT COLUMN engagement_score 'activity of the user, 0 to 100',
    COMMENT COLUMN company_size 'trait companySize as the app sent it; empty where unknown',
    COMMENT COLUMN use_case 'trait useCase as the app sent it; empty where unknown',
    COMMENT COLUMN time_since_signup 'hours from sign-up to the newest log time of the tenant, at least 0; NULL before sign-up, and where no event of the tenant is stored',
    COMMENT COLUMN steps_completed 'steps of the current path that are completed',
    COMMENT COLUMN session_count 'sessions so far',
    COMMENT COLUMN avg_session_duration 'mean length in seconds of the sessions that have ended: all but the newest; NULL before the second begins';

ALTER TABLE people
    COMMENT COLUMN avg_session_duration 'mean length in seconds of the sessions that have ended: all but the newest; 0 before the second begins',
    COMMENT COLUMN last_active_at 'newest event as of this row, by the clock of the app, UTC: in the newest session. A row is written when a session begins or something else in it changes, not with each event; the newest of all is in `events`';
ALTER TABLE people_final
    COMMENT COLUMN avg_session_duration 'mean length in seconds of the sessions that have ended: all but the newest; 0 before the second begins',
    COMMENT COLUMN last_active_at 'newest event as of this row, by the clock of the app, UTC: in the newest session. A row is written when a session begins or something else in it changes, not with each event; the newest of all is in `events`';
ALTER TABLE counted_people
    COMMENT COLUMN avg_session_duration 'mean length in seconds of the sessions that have ended: all but the newest; 0 before the second begins',
    COMMENT COLUMN last_active_at 'newest event as of this row, by the clock of the app, UTC: in the newest session. A row is written when a session begins or something else in it changes, not with each event; the newest of all is in `events`';

-- A decision that was shown may end as withdrawn. Its window is not open, and it is no failure.
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
    countIf(has(o.kinds, 'shown') AND NOT hasAny(o.kinds, ['success', 'failure', 'withdrawn', 'expired', 'superseded'])) AS open,
    decided - shown AS unshown,
    if(decided = 0, NULL, shown / decided) AS nudge_send_rate,
    if(shown = 0, NULL, clicked / shown) AS nudge_open_rate,
    if(shown = 0, NULL, dismissed / shown) AS nudge_dismiss_rate,
    if(success + failure = 0, NULL, success / (success + failure)) AS nudge_conversion_rate,
    o.experiment_group AS experiment_group,
    countIf(has(o.kinds, 'shown') AND NOT hasAny(o.kinds, ['success', 'failure'])) - open AS voided
FROM
(
    -- The digest of both names, because texts of any length are slow to group by.
    SELECT any(a.tenant) AS tenant_id, anyIf(a.trigger, a.decided) AS trigger, anyIf(a.arm, a.decided) AS arm,
        anyIf(a.experiment_group, a.decided) AS experiment_group, max(a.decided) AS is_decided, groupUniqArray(a.kind) AS kinds
    FROM
    (
        SELECT tenant_id AS tenant, decision_id, trigger, arm, experiment_group, true AS decided, '' AS kind FROM decisions WHERE outcome = 'decided'
        UNION ALL SELECT tenant_id, decision_id, '', '', '', false, toString(kind) FROM outcomes
    ) AS a
    GROUP BY sipHash128(a.tenant, a.decision_id)
) AS o
WHERE o.is_decided
GROUP BY tenant_id, trigger, experiment_group, arm
ORDER BY tenant_id, trigger, experiment_group, arm;

ALTER TABLE guidance_performance
    MODIFY COMMENT 'Results of guidance by trigger, group and arm, over all decisions that chose an arm. Each decision counts once. Compare arms within a trigger and group: steps are not equally easy upon each trigger, and the rules always take the first eligible arm.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN decided 'decisions that chose the arm',
    COMMENT COLUMN shown 'decisions that the app displayed',
    COMMENT COLUMN clicked 'decisions whose guidance was clicked',
    COMMENT COLUMN dismissed 'decisions whose guidance was dismissed',
    COMMENT COLUMN success 'decisions whose step was completed within the attribution window',
    COMMENT COLUMN failure 'decisions whose attribution window closed without it',
    COMMENT COLUMN open 'decisions that were shown and whose attribution window is open: neither success, failure nor voided so far',
    COMMENT COLUMN unshown 'decided - shown: not shown so far, or expired, withdrawn or superseded before',
    COMMENT COLUMN nudge_send_rate 'shown / decided, 0 to 1; NULL without a decision',
    COMMENT COLUMN nudge_open_rate 'clicked / shown, 0 to 1; NULL where nothing was shown',
    COMMENT COLUMN nudge_dismiss_rate 'dismissed / shown, 0 to 1; NULL where nothing was shown',
    COMMENT COLUMN nudge_conversion_rate 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one',
    COMMENT COLUMN experiment_group 'group of the users of these decisions: adaptive (the bandit chose) or rules (the first eligible arm)',
    COMMENT COLUMN voided 'decisions that were shown and ended without success or failure: the step was completed before that, the user was merged or deleted, or the step is gone. shown = success + failure + open + voided';

ALTER TABLE outcomes COMMENT COLUMN kind 'an exposure (shown, clicked, dismissed) or the end: success, failure, expired, withdrawn or superseded. One that was shown and then withdrawn is neither success nor failure';
ALTER TABLE outcomes_final COMMENT COLUMN kind 'an exposure (shown, clicked, dismissed) or the end: success, failure, expired, withdrawn or superseded. One that was shown and then withdrawn is neither success nor failure';

-- While a catalog only observes no group is drawn, and its decisions say holdout. So the group of a user must be the same in every decision from
-- the beginning of the onboarding on, under a catalog that guides. Rows of one decision that stand twice have the same group, so no FINAL.
CREATE OR REPLACE VIEW experiment_allocation_consistency AS
SELECT
    p.tenant_id AS tenant_id,
    count() AS people,
    countIf(d.groups = [toString(p.experiment_group)]) AS consistent,
    consistent / people AS experiment_allocation_consistency
FROM
(
    SELECT tenant_id, user_id, groupUniqArray(toString(experiment_group)) AS groups
    FROM decisions
    WHERE experiment_group != 'existing' AND (tenant_id, catalog_version) NOT IN (SELECT tenant_id, catalog_version FROM catalogs WHERE holdout >= 1)
    GROUP BY tenant_id, user_id
) AS d
INNER JOIN counted_people AS p ON p.tenant_id = d.tenant_id AND p.user_id = d.user_id
GROUP BY tenant_id
ORDER BY tenant_id;

ALTER TABLE experiment_allocation_consistency
    MODIFY COMMENT 'Metric `experiment_allocation_consistency`: share of the users with decisions who had their group in every one. It must be 1. Decisions under a catalog that only observed do not count: no group is drawn under it.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN people 'users who begin the onboarding, with at least one decision or non-decision from then on under a catalog that guides',
    COMMENT COLUMN consistent 'users in whose decisions only the group of `people` occurs',
    COMMENT COLUMN experiment_allocation_consistency 'consistent / `people`, 0 to 1';

-- The clock of a device may be ahead. The age of a table follows from log time, which no device can move; people and step_metrics_1m have none, and
-- are written together with events and step_progress.
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
    UNION ALL SELECT 'arm_posteriors', count(), max(updated_at) FROM arm_posteriors
    UNION ALL SELECT 'dead_letters', count(), max(log_time) FROM dead_letters
)
ORDER BY table_name;

ALTER TABLE freshness
    MODIFY COMMENT 'The age of the newest row of each table whose rows have a time that no device can move: log time, or one that is not after it. After a bounded run over old events it is the age of that input.',
    COMMENT COLUMN table_name 'table',
    COMMENT COLUMN newest_at 'time of its newest row, UTC; NULL for an empty table',
    COMMENT COLUMN lag_seconds 'age of its newest row in seconds; NULL for an empty table';

ALTER TABLE outcomes COMMENT COLUMN occurred_at 'when it happened, UTC: an exposure and success by the clock of the app, but not after log time; the end of the window for failure; else log time';
ALTER TABLE outcomes_final COMMENT COLUMN occurred_at 'when it happened, UTC: an exposure and success by the clock of the app, but not after log time; the end of the window for failure; else log time';
ALTER TABLE step_metrics_1m COMMENT COLUMN minute 'minute in which it happened, UTC: by the clock of the app for event and completed, else as in the table that it counts';
ALTER TABLE step_metrics_1m_final COMMENT COLUMN minute 'minute in which it happened, UTC: by the clock of the app for event and completed, else as in the table that it counts';
ALTER TABLE step_metrics COMMENT COLUMN minute 'minute in which it happened, UTC: by the clock of the app for event and completed, else as in the table that it counts';
ALTER TABLE person_timeline COMMENT COLUMN at 'when it happened, UTC: the clock of the app for events, progress, exposures and success, else log time';
ALTER TABLE step_progress
    COMMENT COLUMN first_seen_at 'first event at the step by the clock of the app, UTC',
    COMMENT COLUMN last_seen_at 'newest event at the step by the clock of the app, UTC',
    COMMENT COLUMN completed_at 'completion of the step by the clock of the app, UTC';
ALTER TABLE step_progress_final
    COMMENT COLUMN first_seen_at 'first event at the step by the clock of the app, UTC',
    COMMENT COLUMN last_seen_at 'newest event at the step by the clock of the app, UTC',
    COMMENT COLUMN completed_at 'completion of the step by the clock of the app, UTC';
ALTER TABLE people
    COMMENT COLUMN first_seen_at 'first event by the clock of the app, UTC',
    COMMENT COLUMN signup_at 'sign-up by the clock of the app, UTC',
    COMMENT COLUMN activated_at 'activation by the clock of the app, UTC';
ALTER TABLE people_final
    COMMENT COLUMN first_seen_at 'first event by the clock of the app, UTC',
    COMMENT COLUMN signup_at 'sign-up by the clock of the app, UTC',
    COMMENT COLUMN activated_at 'activation by the clock of the app, UTC';
ALTER TABLE counted_people
    COMMENT COLUMN first_seen_at 'first event by the clock of the app, UTC',
    COMMENT COLUMN signup_at 'sign-up by the clock of the app, UTC',
    COMMENT COLUMN activated_at 'activation by the clock of the app, UTC';

-- The user that a visitor became. Ids that name each other belong together, whichever of them named the other: so a visitor is the first user
-- that named it, else the user of an id that it named or that named it. Where a merge was refused, the visitor is a person of its own.
CREATE OR REPLACE VIEW users_of_visitors AS
WITH
    merged AS (SELECT tenant_id, user_id FROM people_final WHERE experiment_group = 'merged'),
    named AS
    (
        SELECT tenant_id, JSONExtractString(payload, 'previousId') AS one, user_id AS other, log_time, timestamp
        FROM events
        WHERE event_type = 'identity_merged' AND status = 'applied' AND JSONHas(payload, 'previousId')
    ),
    direct AS
    (
        SELECT tenant_id, one AS visitor_id, argMin(other, (log_time, timestamp)) AS user_id
        FROM named
        WHERE (tenant_id, one) IN merged AND (tenant_id, other) NOT IN merged
        GROUP BY tenant_id, visitor_id
    )
SELECT tenant_id, visitor_id, user_id FROM direct
UNION ALL
SELECT n.tenant_id AS tenant_id, n.id AS visitor_id, argMin(d.user_id, (n.log_time, n.timestamp)) AS user_id
FROM
(
    SELECT tenant_id, one AS id, other AS next, log_time, timestamp FROM named
    UNION ALL
    SELECT tenant_id, other AS id, one AS next, log_time, timestamp FROM named
) AS n
INNER JOIN direct AS d ON d.tenant_id = n.tenant_id AND d.visitor_id = n.next
WHERE (n.tenant_id, n.id) IN merged AND (n.tenant_id, n.id) NOT IN (SELECT tenant_id, visitor_id FROM direct)
GROUP BY tenant_id, visitor_id;

CREATE OR REPLACE VIEW non_decisions_by_reason AS
SELECT
    d.tenant_id AS tenant_id, d.reason AS reason, d.trigger AS trigger, uniqExact(d.decision_id) AS non_decisions,
    uniqExact(if(v.user_id = '', d.user_id, v.user_id)) AS people
FROM decisions AS d
LEFT JOIN users_of_visitors AS v ON v.tenant_id = d.tenant_id AND v.visitor_id = d.user_id
WHERE d.outcome = 'declined'
GROUP BY tenant_id, reason, trigger
ORDER BY tenant_id, non_decisions DESC, reason, trigger;

CREATE OR REPLACE VIEW stuck_signals_by_trigger AS
SELECT s.tenant_id AS tenant_id, s.trigger AS trigger, count() AS signals, uniqExact(if(v.user_id = '', s.user_id, v.user_id)) AS people
FROM stuck_signals_final AS s
LEFT JOIN users_of_visitors AS v ON v.tenant_id = s.tenant_id AND v.visitor_id = s.user_id
GROUP BY tenant_id, trigger
ORDER BY tenant_id, signals DESC, trigger;

CREATE OR REPLACE VIEW stuck_signals_by_step AS
SELECT
    s.tenant_id AS tenant_id, s.path_id AS path_id, s.step_id AS step_id, s.trigger AS trigger, count() AS signals,
    uniqExact(if(v.user_id = '', s.user_id, v.user_id)) AS people
FROM stuck_signals_final AS s
LEFT JOIN users_of_visitors AS v ON v.tenant_id = s.tenant_id AND v.visitor_id = s.user_id
GROUP BY tenant_id, path_id, step_id, trigger
ORDER BY tenant_id, path_id, step_id, signals DESC, trigger;

ALTER TABLE users_of_visitors
    MODIFY COMMENT 'Visitors who signed in, and as which user. Who counts users counts such a visitor as that user. A visitor is not in it where the user is known by way of two more ids only, or the event of the merge is gone, which a retention may have deleted.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN visitor_id 'id of the visitor before they signed in',
    COMMENT COLUMN user_id 'id of the user as the app sent it, also where the visitor became that user by way of one other visitor';

ALTER TABLE non_decisions_by_reason
    MODIFY COMMENT 'Why nothing was decided, the most frequent reason first.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN reason 'why nothing was decided',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN non_decisions 'non-decisions',
    COMMENT COLUMN people 'users, each counted once; a visitor who signed in counts as that user';

ALTER TABLE stuck_signals_by_step
    MODIFY COMMENT 'Alarms by step and kind.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN signals 'stuck signals',
    COMMENT COLUMN people 'users, each counted once; a visitor who signed in counts as that user';

ALTER TABLE stuck_signals_by_trigger
    MODIFY COMMENT 'Alarms by kind.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN signals 'stuck signals',
    COMMENT COLUMN people 'users, each counted once; a visitor who signed in counts as that user';

-- An exposure without an id that is from more than five minutes before the decision belongs to an earlier one (CLOCK_SKEW in
-- state/decision/attribution.py). An id that is null is none.
CREATE OR REPLACE VIEW exposures_ignored_by_reason AS
SELECT
    e.tenant_id AS tenant_id,
    if(JSONType(e.payload, 'recommendationId') != 'Null', 'unknown_recommendation', 'no_current_recommendation') AS reason,
    count() AS events,
    uniqExact(if(v.user_id = '', e.user_id, v.user_id)) AS people,
    argMax(e.user_id, (e.log_time, e.event_id)) AS example_user_id,
    argMax(e.event_id, (e.log_time, e.event_id)) AS example_event_id
FROM (
    SELECT * FROM
    (
        SELECT tenant_id, user_id, event_id, payload, status, timestamp, log_time FROM events
        WHERE event_type IN ('recommendation_shown', 'recommendation_clicked', 'recommendation_dismissed', 'tooltip_dismiss')
            AND (
                JSONType(payload, 'recommendationId') = 'Null'
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
LEFT JOIN users_of_visitors AS v ON v.tenant_id = e.tenant_id AND v.visitor_id = e.user_id
WHERE JSONType(e.payload, 'recommendationId') != 'Null' OR r.ui_component IN ('', 'none') OR r.expires_at <= e.log_time
    OR e.timestamp < r.created_at - INTERVAL 5 MINUTE
GROUP BY tenant_id, reason
ORDER BY tenant_id, reason;

ALTER TABLE exposures_ignored_by_reason
    MODIFY COMMENT 'Exposure events that match no recommendation. If there are any, check the app.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN reason '`unknown_recommendation` (an id that was not issued to this user) or `no_current_recommendation` (no id, and nothing was current, or the event is from more than five minutes before that was decided)',
    COMMENT COLUMN events 'exposure events',
    COMMENT COLUMN people 'users, each counted once; a visitor who signed in counts as that user',
    COMMENT COLUMN example_user_id 'user of the newest of them',
    COMMENT COLUMN example_event_id 'event id of the newest of them';
