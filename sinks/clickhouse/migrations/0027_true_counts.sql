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
