-- The arms of the bandit and those of the rules, which always take the first eligible arm, have rows of their own. Their sums are as before.

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
    countIf(has(o.kinds, 'shown') AND NOT hasAny(o.kinds, ['success', 'failure'])) AS open,
    decided - shown AS unshown,
    if(decided = 0, NULL, shown / decided) AS nudge_send_rate,
    if(shown = 0, NULL, clicked / shown) AS nudge_open_rate,
    if(shown = 0, NULL, dismissed / shown) AS nudge_dismiss_rate,
    if(success + failure = 0, NULL, success / (success + failure)) AS nudge_conversion_rate,
    o.experiment_group AS experiment_group
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
    COMMENT COLUMN open 'decisions that were shown and whose attribution window is open',
    COMMENT COLUMN unshown 'decided - shown: not shown so far, expired, withdrawn or superseded',
    COMMENT COLUMN nudge_send_rate 'shown / decided, 0 to 1; NULL without a decision',
    COMMENT COLUMN nudge_open_rate 'clicked / shown, 0 to 1; NULL where nothing was shown',
    COMMENT COLUMN nudge_dismiss_rate 'dismissed / shown, 0 to 1; NULL where nothing was shown',
    COMMENT COLUMN nudge_conversion_rate 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one',
    COMMENT COLUMN experiment_group 'group of the users of these decisions: adaptive (the bandit chose) or rules (the first eligible arm)';
