-- By `starts` in the catalog some users do not begin the onboarding. Their group is `existing`. Funnel and activation are of those who begin:
-- the others would be in a funnel only where they completed a step, and would count as activated or not for what they did long before.

-- All people who begin the onboarding. A visitor who signed in counts as that user.
CREATE OR REPLACE VIEW counted_people AS
SELECT * FROM people_final WHERE experiment_group NOT IN ('merged', 'existing');

-- By intention to treat: each person counts in their assigned group, with or without guidance. Left out, in every group alike: who signed up
-- while guidance was paused, or outside of the share that might be guided. That was known before anything became of them. Who does not begin the
-- onboarding is a group of its own, which is not drawn and not to be compared with the others.
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
FROM people_final
WHERE experiment_group != 'merged' AND guidance_at_signup NOT IN ('guidance_paused', 'outside_ramp')
GROUP BY tenant_id, experiment_group
ORDER BY tenant_id, experiment_group;

-- Features for models, one row for each person, also for those who do not begin the onboarding. time_since_signup is in hours up to the newest
-- log time (live: about now), at least 0.
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
FROM people_final
WHERE experiment_group != 'merged';

-- The group of a user must be the same in every decision from the beginning of the onboarding on. Rows of one decision that stand twice have the
-- same group, so no FINAL.
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
    WHERE experiment_group != 'existing'
    GROUP BY tenant_id, user_id
) AS d
INNER JOIN counted_people AS p ON p.tenant_id = d.tenant_id AND p.user_id = d.user_id
GROUP BY tenant_id
ORDER BY tenant_id;

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
    COMMENT COLUMN avg_session_duration 'mean length of a session in seconds',
    COMMENT COLUMN engagement_score 'activity of the user, 0 to 100',
    COMMENT COLUMN first_seen_at 'first event, UTC',
    COMMENT COLUMN signup_at 'sign-up, UTC',
    COMMENT COLUMN last_active_at 'newest event, UTC',
    COMMENT COLUMN activated_at 'activation, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN guidance_at_signup 'what held for guidance at the sign-up, or without one at the first event: on, `guidance_paused` or `outside_ramp`, whatever the group',
    COMMENT COLUMN entered_under 'version of the catalog under which the user began, whose shares drew the group; joins `catalogs`. Empty for users from before this column';

ALTER TABLE experiment_groups
    MODIFY COMMENT 'Activation by group and by intention to treat. Left out, in all groups alike: who signed up while guidance was paused or outside of the ramp.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive; or existing for users who do not begin the onboarding, by `starts` of the catalog, who are not to be compared with the others',
    COMMENT COLUMN people 'users of the group, without those who signed up while guidance was off for them',
    COMMENT COLUMN activated 'users who reached activation',
    COMMENT COLUMN activation_rate 'activated / `people`, 0 to 1',
    COMMENT COLUMN standard_error 'standard error of `activation_rate`',
    COMMENT COLUMN time_to_activation_p50_hours 'median hours from sign-up (else first event) to activation, of activated users; NULL without one';

ALTER TABLE experiment_allocation_consistency
    MODIFY COMMENT 'Metric `experiment_allocation_consistency`: share of the users with decisions who had their group in every one. It must be 1.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN people 'users who begin the onboarding, with at least one decision or non-decision from then on',
    COMMENT COLUMN consistent 'users in whose decisions only the group of `people` occurs',
    COMMENT COLUMN experiment_allocation_consistency 'consistent / `people`, 0 to 1';

ALTER TABLE features
    MODIFY COMMENT 'Features for models. One row for each user.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN user_persona 'trait persona as the app sent it; empty where unknown',
    COMMENT COLUMN signup_source 'where the user signed up from, as the app sent it; empty where unknown',
    COMMENT COLUMN engagement_score 'activity of the user, 0 to 100',
    COMMENT COLUMN company_size 'trait companySize as the app sent it; empty where unknown',
    COMMENT COLUMN use_case 'trait useCase as the app sent it; empty where unknown',
    COMMENT COLUMN time_since_signup 'hours from sign-up to the newest log time, at least 0; NULL before sign-up',
    COMMENT COLUMN steps_completed 'steps of the current path that are completed',
    COMMENT COLUMN session_count 'sessions so far',
    COMMENT COLUMN avg_session_duration 'mean length of a session in seconds';

ALTER TABLE decisions COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive, drawn once and kept; existing while the user does not begin the onboarding, by `starts` of the catalog. A visitor who became a user has merged';
ALTER TABLE decisions_final COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive, drawn once and kept; existing while the user does not begin the onboarding, by `starts` of the catalog. A visitor who became a user has merged';
ALTER TABLE people COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive, drawn once and kept; existing while the user does not begin the onboarding, by `starts` of the catalog. A visitor who became a user has merged';
ALTER TABLE people_final COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive, drawn once and kept; existing while the user does not begin the onboarding, by `starts` of the catalog. A visitor who became a user has merged';
ALTER TABLE activation COMMENT COLUMN people 'users who begin the onboarding, each counted once';
ALTER TABLE activation_by_cohort COMMENT COLUMN people 'users who begin the onboarding, each counted once';
ALTER TABLE activation_rate COMMENT COLUMN people 'users who begin the onboarding, each counted once';
ALTER TABLE onboarding_start_rate COMMENT COLUMN people 'users who begin the onboarding, each counted once';
ALTER TABLE cost_per_user_dollars COMMENT COLUMN people 'users who begin the onboarding, each counted once';
ALTER TABLE path_steps MODIFY COMMENT 'The steps of the path on which each user is now who begins the onboarding, and how users got on from them. A user at a step from `current_since_at` until it is completed or left, before activation, is an episode.';
