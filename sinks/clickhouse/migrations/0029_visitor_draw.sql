-- As whom the group of a user was drawn. The times of a merge and of the first decision do not tell it where they are equal, as in one batch of
-- events, nor where one visitor named another, which gives no group.
ALTER TABLE people ADD COLUMN IF NOT EXISTS visitor_draw Nullable(Float64) DEFAULT NULL;

ALTER TABLE people COMMENT COLUMN visitor_draw 'the draw of the visitor as whom the group was drawn, whom the first merge of the user named before guidance was considered: it tells which visitor, and names nobody. -1 where the group was drawn under their own id, NULL in rows of releases before this column';

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
    COMMENT COLUMN visitor_draw 'the draw of the visitor as whom the group was drawn, whom the first merge of the user named before guidance was considered: it tells which visitor, and names nobody. -1 where the group was drawn under their own id, NULL in rows of releases before this column';

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
    COMMENT COLUMN visitor_draw 'the draw of the visitor as whom the group was drawn, whom the first merge of the user named before guidance was considered: it tells which visitor, and names nobody. -1 where the group was drawn under their own id, NULL in rows of releases before this column';
