-- Who came while the catalog only observed had no group drawn at the start. Only those who came back when guiding had begun got one, the others
-- stayed in the holdout: it would be a group of users who never came back, and guidance would look as if it brought the others back.

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
        dateDiff('millisecond', assumeNotNull(coalesce(signup_at, first_seen_at, activated_at)), assumeNotNull(activated_at)) / 3600000,
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

ALTER TABLE experiment_groups
    MODIFY COMMENT 'Activation by group and by intention to treat. Left out, in all groups alike: who began while guidance was paused or outside of the ramp. Where the shares of the groups changed, the rates pool users drawn by different shares, and their difference is no effect: `onramp report` compares within the same shares.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive. Not to be compared with these: observing for users who came while the catalog only observed, and existing for users who do not begin the onboarding, by `starts` of the catalog',
    COMMENT COLUMN people 'users of the group, without those who began while guidance was off for them',
    COMMENT COLUMN activated 'users who reached activation',
    COMMENT COLUMN activation_rate 'activated / `people`, 0 to 1',
    COMMENT COLUMN standard_error 'standard error of `activation_rate`',
    COMMENT COLUMN time_to_activation_p50_hours 'median hours from sign-up (else first event) to activation, of activated users; NULL without one';

-- Which user a visitor became. What was decided about the visitor counts for the user in the comparison of the groups (evaluation/effect.py). A
-- visitor belongs to the first user that names it. Rows of one event that stand twice say the same, so no FINAL.
CREATE OR REPLACE VIEW merged_visitors AS
SELECT tenant_id, JSONExtractString(payload, 'previousId') AS visitor_id, argMin(user_id, timestamp) AS user_id
FROM events
WHERE event_type = 'identity_merged' AND status = 'applied' AND JSONHas(payload, 'previousId')
GROUP BY tenant_id, visitor_id;

ALTER TABLE merged_visitors
    MODIFY COMMENT 'Which user a visitor became: the first that named the visitor. Whether the merge was refused is not known here: the visitor in `people` is then not merged.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN visitor_id 'id of the visitor before they signed in',
    COMMENT COLUMN user_id 'id of the user as the app sent it; of a visitor where one visitor named another';

ALTER TABLE people COMMENT COLUMN guidance_at_signup 'what held for guidance when the user began: at the sign-up; at the first event where guidance was considered before it (unless the onboarding begins with the sign-up) or there is none. on, `guidance_paused` or `outside_ramp`, whatever the group';
ALTER TABLE people_final COMMENT COLUMN guidance_at_signup 'what held for guidance when the user began: at the sign-up; at the first event where guidance was considered before it (unless the onboarding begins with the sign-up) or there is none. on, `guidance_paused` or `outside_ramp`, whatever the group';
ALTER TABLE counted_people COMMENT COLUMN guidance_at_signup 'what held for guidance when the user began: at the sign-up; at the first event where guidance was considered before it (unless the onboarding begins with the sign-up) or there is none. on, `guidance_paused` or `outside_ramp`, whatever the group';
