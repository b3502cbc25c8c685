-- By which catalog the group of a user was drawn: groups are compared, and their sizes checked, within one set of promised shares. A user from
-- before this column has the catalog of their first decision.
ALTER TABLE people ADD COLUMN IF NOT EXISTS entered_under LowCardinality(String) DEFAULT '';

-- Where nobody leaves a step by completing a later one. Rows from before this column have none.
ALTER TABLE catalogs ADD COLUMN IF NOT EXISTS strict_paths Array(String) DEFAULT [];

CREATE OR REPLACE VIEW catalogs_final AS SELECT * FROM catalogs FINAL;

-- The same view as before, with the new column.
CREATE OR REPLACE VIEW people_final AS
SELECT * REPLACE (
    nullIf(first_seen_at, toDateTime64(0, 3, 'UTC')) AS first_seen_at,
    nullIf(signup_at, toDateTime64(0, 3, 'UTC')) AS signup_at,
    nullIf(last_active_at, toDateTime64(0, 3, 'UTC')) AS last_active_at,
    nullIf(activated_at, toDateTime64(0, 3, 'UTC')) AS activated_at
)
FROM people FINAL;

ALTER TABLE people
    COMMENT COLUMN guidance_at_signup 'what held for guidance at the sign-up, or without one at the first event: on, `guidance_paused` or `outside_ramp`, whatever the group',
    COMMENT COLUMN entered_under 'version of the catalog under which the user began, whose shares drew the group; joins `catalogs`. Empty for users from before this column';

ALTER TABLE catalogs
    MODIFY COMMENT 'What each version of the catalog promised of the experiment. Written by the step choose when somebody meets it for the first time. Newest row of a key: `catalogs_final`, or argMax by version.',
    COMMENT COLUMN holdout 'share of users without guidance, 0 to 1; 1 where the catalog only observes',
    COMMENT COLUMN strict_paths 'paths where the order of the steps matters';

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
    COMMENT COLUMN strict_paths 'paths where the order of the steps matters';

ALTER TABLE people_final
    MODIFY COMMENT 'The newest row of each key of `people` (FINAL). Times that have not happened are NULL.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN path_id 'current path of the user',
    COMMENT COLUMN segment 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive; it never changes. A visitor who became a user has merged',
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
    COMMENT COLUMN avg_session_duration 'mean length of a session in seconds',
    COMMENT COLUMN engagement_score 'activity of the user, 0 to 100',
    COMMENT COLUMN first_seen_at 'first event, UTC',
    COMMENT COLUMN signup_at 'sign-up, UTC',
    COMMENT COLUMN last_active_at 'newest event, UTC',
    COMMENT COLUMN activated_at 'activation, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN guidance_at_signup 'what held for guidance at the sign-up, or without one at the first event: on, `guidance_paused` or `outside_ramp`, whatever the group',
    COMMENT COLUMN entered_under 'version of the catalog under which the user began, whose shares drew the group; joins `catalogs`. Empty for users from before this column';
