-- A visitor that is merged after the user began was drawn in a group of its own, and to sign in with it may be an effect of guidance. So the
-- comparison of the groups must know when a visitor was merged.

-- Which user a visitor became, and when. What was decided about the visitor counts for the user in the comparison of the groups, if the user has
-- the visitor's group (evaluation/effect.py). A visitor belongs to the first user that names it, in the order of the log. Rows of one event that
-- stand twice say the same, so no FINAL.
CREATE OR REPLACE VIEW merged_visitors AS
SELECT
    tenant_id,
    JSONExtractString(payload, 'previousId') AS visitor_id,
    argMin(user_id, (log_time, timestamp)) AS user_id,
    min(log_time) AS merged_at
FROM events
WHERE event_type = 'identity_merged' AND status = 'applied' AND JSONHas(payload, 'previousId')
GROUP BY tenant_id, visitor_id;

ALTER TABLE merged_visitors
    MODIFY COMMENT 'Which user a visitor became: the first that named the visitor. Whether the merge was refused is not known here: the visitor in `people` is then not merged.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN visitor_id 'id of the visitor before they signed in',
    COMMENT COLUMN user_id 'id of the user as the app sent it; of a visitor where one visitor named another',
    COMMENT COLUMN merged_at 'log time of the merge, UTC';

ALTER TABLE people COMMENT COLUMN guidance_at_signup 'what held for guidance when the user began: at the sign-up; at the first event where guidance was considered under this id before it (unless the onboarding begins with the sign-up) or there is none. on, `guidance_paused` or `outside_ramp`, whatever the group. For a user who was considered as a visitor, `onramp report` takes that of the visitor';
ALTER TABLE people_final COMMENT COLUMN guidance_at_signup 'what held for guidance when the user began: at the sign-up; at the first event where guidance was considered under this id before it (unless the onboarding begins with the sign-up) or there is none. on, `guidance_paused` or `outside_ramp`, whatever the group. For a user who was considered as a visitor, `onramp report` takes that of the visitor';
ALTER TABLE counted_people COMMENT COLUMN guidance_at_signup 'what held for guidance when the user began: at the sign-up; at the first event where guidance was considered under this id before it (unless the onboarding begins with the sign-up) or there is none. on, `guidance_paused` or `outside_ramp`, whatever the group. For a user who was considered as a visitor, `onramp report` takes that of the visitor';
ALTER TABLE experiment_groups MODIFY COMMENT 'Activation by group and by intention to treat. Left out, in all groups alike: who began while guidance was paused or outside of the ramp, by `guidance_at_signup`. Where the shares of the groups changed, the rates pool users drawn by different shares, and their difference is no effect: `onramp report` compares within the same shares.';
