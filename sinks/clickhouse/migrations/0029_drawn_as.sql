-- As whom the group of a user was drawn. The times of a merge and of the first decision do not tell it where they are equal, as in one batch of
-- events, nor where one visitor named another, which gives no group.
ALTER TABLE people ADD COLUMN IF NOT EXISTS drawn_as LowCardinality(String) DEFAULT '';

ALTER TABLE people COMMENT COLUMN drawn_as 'as whom the user''s group was drawn: `user`, under their own id; or `visitor`, under that of the visitor whom their first merge named before guidance was considered for them. Empty in rows of releases before this column';

-- The same views as before, with the new column.
CREATE OR REPLACE VIEW people_final AS
SELECT * REPLACE (
    nullIf(first_seen_at, toDateTime64(0, 3, 'UTC')) AS first_seen_at,
    nullIf(signup_at, toDateTime64(0, 3, 'UTC')) AS signup_at,
    nullIf(last_active_at, toDateTime64(0, 3, 'UTC')) AS last_active_at,
    nullIf(activated_at, toDateTime64(0, 3, 'UTC')) AS activated_at
)
FROM people FINAL;

CREATE OR REPLACE VIEW counted_people AS
SELECT * FROM people_final WHERE experiment_group NOT IN ('merged', 'existing');

ALTER TABLE people_final
    MODIFY COMMENT 'The newest row of each key of `people` (FINAL). Times that have not happened are NULL.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN path_id 'current path of the user',
    COMMENT COLUMN segment 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive, drawn once and kept; existing while the user does not begin the onboarding, by `starts` of the catalog. A visitor who became a user has merged',
    COMMENT COLUMN user_persona 'trait persona as the app sent it; empty where unknown',
    COMMENT COLUMN use_case 'trait useCase as the app sent it; empty where unknown',
    COMMENT COLUMN company_size 'trait companySize as the app sent it; empty where unknown',
    COMMENT COLUMN signup_source 'where the user signed up from, as the app sent it; empty where unknown',
    COMMENT COLUMN tier 'tier of the user at the product; empty where unknown',
    COMMENT COLUMN locale 'language of the user as the app sent it; empty where unknown',
    COMMENT COLUMN guidance 'false for a user who opted out of guidance',
    COMMENT COLUMN steps_completed 'steps of the current path that are completed',
    COMMENT COLUMN steps_total 'steps of the current path',
    COMMENT COLUMN session_count 'sessions so far',
    COMMENT COLUMN avg_session_duration 'mean length in seconds of the sessions that have ended: all but the newest; 0 before the second begins',
    COMMENT COLUMN engagement_score 'activity of the user, 0 to 100',
    COMMENT COLUMN first_seen_at 'first event by the clock of the app, UTC',
    COMMENT COLUMN signup_at 'sign-up by the clock of the app, UTC',
    COMMENT COLUMN last_active_at 'newest event as of this row, by the clock of the app, UTC: in the newest session. A row is written when a session begins or something else in it changes, not with each event; the newest of all is in `events`',
    COMMENT COLUMN activated_at 'activation by the clock of the app, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN guidance_at_signup 'what held for guidance when the user began: at the sign-up; at the first event where guidance was considered under this id before it (unless the onboarding begins with the sign-up) or there is none. on, `guidance_paused` or `outside_ramp`, whatever the group. For a user who was considered as a visitor, `onramp report` takes that of the visitor',
    COMMENT COLUMN entered_under 'version of the catalog under which the user began, whose shares drew the group; joins `catalogs`. Empty for users from before this column',
    COMMENT COLUMN drawn_as 'as whom the user''s group was drawn: `user`, under their own id; or `visitor`, under that of the visitor whom their first merge named before guidance was considered for them. Empty in rows of releases before this column';

ALTER TABLE counted_people
    MODIFY COMMENT 'All users who begin the onboarding, by `starts` of the catalog. A visitor who signed in counts as that user. Times that have not happened are NULL.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN path_id 'current path of the user',
    COMMENT COLUMN segment 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive, drawn once and kept; existing while the user does not begin the onboarding, by `starts` of the catalog. A visitor who became a user has merged',
    COMMENT COLUMN user_persona 'trait persona as the app sent it; empty where unknown',
    COMMENT COLUMN use_case 'trait useCase as the app sent it; empty where unknown',
    COMMENT COLUMN company_size 'trait companySize as the app sent it; empty where unknown',
    COMMENT COLUMN signup_source 'where the user signed up from, as the app sent it; empty where unknown',
    COMMENT COLUMN tier 'tier of the user at the product; empty where unknown',
    COMMENT COLUMN locale 'language of the user as the app sent it; empty where unknown',
    COMMENT COLUMN guidance 'false for a user who opted out of guidance',
    COMMENT COLUMN steps_completed 'steps of the current path that are completed',
    COMMENT COLUMN steps_total 'steps of the current path',
    COMMENT COLUMN session_count 'sessions so far',
    COMMENT COLUMN avg_session_duration 'mean length in seconds of the sessions that have ended: all but the newest; 0 before the second begins',
    COMMENT COLUMN engagement_score 'activity of the user, 0 to 100',
    COMMENT COLUMN first_seen_at 'first event by the clock of the app, UTC',
    COMMENT COLUMN signup_at 'sign-up by the clock of the app, UTC',
    COMMENT COLUMN last_active_at 'newest event as of this row, by the clock of the app, UTC: in the newest session. A row is written when a session begins or something else in it changes, not with each event; the newest of all is in `events`',
    COMMENT COLUMN activated_at 'activation by the clock of the app, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN guidance_at_signup 'what held for guidance when the user began: at the sign-up; at the first event where guidance was considered under this id before it (unless the onboarding begins with the sign-up) or there is none. on, `guidance_paused` or `outside_ramp`, whatever the group. For a user who was considered as a visitor, `onramp report` takes that of the visitor',
    COMMENT COLUMN entered_under 'version of the catalog under which the user began, whose shares drew the group; joins `catalogs`. Empty for users from before this column',
    COMMENT COLUMN drawn_as 'as whom the user''s group was drawn: `user`, under their own id; or `visitor`, under that of the visitor whom their first merge named before guidance was considered for them. Empty in rows of releases before this column';

-- Which of a user's merges was the first, where several have one log time.
CREATE OR REPLACE VIEW merged_visitors AS
SELECT
    tenant_id,
    JSONExtractString(payload, 'previousId') AS visitor_id,
    argMin(user_id, (log_time, timestamp)) AS user_id,
    min(log_time) AS merged_at,
    argMin(version, (log_time, timestamp)) AS version
FROM events
WHERE event_type = 'identity_merged' AND status = 'applied' AND JSONHas(payload, 'previousId')
GROUP BY tenant_id, visitor_id;

ALTER TABLE merged_visitors
    MODIFY COMMENT 'Which user a visitor became: the first that named the visitor. Whether the merge was refused is not known here: the visitor in `people` is then not merged.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN visitor_id 'id of the visitor before they signed in',
    COMMENT COLUMN user_id 'id of the user as the app sent it; of a visitor where one visitor named another',
    COMMENT COLUMN merged_at 'log time of the merge, UTC',
    COMMENT COLUMN version 'version of the user when the merge was applied: orders the merges of one user';
