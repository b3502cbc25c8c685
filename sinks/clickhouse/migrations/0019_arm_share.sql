-- How often each arm was chosen among the decisions of its trigger, and how often the policy meant to choose it: the mean of its probability over
-- all of them, 0 where it was not eligible. Both add up to 1. The mean over the decisions that chose it would be too high, since an arm is chosen
-- where it is wanted. The bandit and the rules are two policies.
CREATE OR REPLACE VIEW arm_share AS
SELECT
    d.tenant_id AS tenant_id,
    d.trigger AS trigger,
    toLowCardinality(each) AS arm,
    d.chosen.2[indexOf(d.chosen.1, each)] AS decisions,
    decisions / d.total AS share,
    d.meant.2[indexOf(d.meant.1, each)] / d.total AS mean_propensity,
    d.experiment_group AS experiment_group
FROM
(
    SELECT tenant_id, trigger, experiment_group, count() AS total, sumMap([arm], [toUInt64(1)]) AS chosen, sumMap(arms, propensities) AS meant
    FROM decisions_final
    WHERE outcome = 'decided'
    GROUP BY tenant_id, trigger, experiment_group
) AS d
ARRAY JOIN arrayDistinct(arrayConcat(d.chosen.1, d.meant.1)) AS each
ORDER BY tenant_id, trigger, experiment_group, arm;

ALTER TABLE arm_share
    MODIFY COMMENT 'How often each arm was chosen among the decisions of its trigger and group, and how often the policy meant to. A row may have no decision: the arm was eligible, and never drawn.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN decisions 'decisions that chose the arm',
    COMMENT COLUMN share 'decisions / all decisions of the trigger and group, 0 to 1',
    COMMENT COLUMN mean_propensity 'mean probability, 0 to 1, of the arm over all decisions of the trigger and group, 0 where it was not eligible; the rows of a trigger and group add up to 1',
    COMMENT COLUMN experiment_group 'group of the users of these decisions: adaptive (the bandit chose) or rules (the first eligible arm)';
