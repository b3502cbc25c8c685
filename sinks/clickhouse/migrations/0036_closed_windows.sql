-- A success is written when it happens, a failure only when the attribution window closes. Among the newest decisions only successes have ended, and
-- to count them would make every rate too high. So a decision is a success or a failure only after its window, that of its catalog, has closed by
-- the newest log time of the tenant, as in `onramp evaluate` (evaluation/logged.py). Before that it is open. Where no event of the tenant is stored
-- any more, what is stored is old, and every window has closed.

-- What became of each decision, in one row. Grouped by the tenant itself, so that a filter by tenant goes below the grouping, and by a digest of the
-- decision, because texts of any length are slow to group by.
CREATE OR REPLACE VIEW decision_results AS
SELECT
    d.tenant_id AS tenant_id,
    d.decision_id AS decision_id,
    d.is_decided AS is_decided,
    d.trigger AS trigger,
    d.arm AS arm,
    d.experiment_group AS experiment_group,
    has(d.kinds, 'shown') AS shown,
    has(d.kinds, 'clicked') AS clicked,
    has(d.kinds, 'dismissed') AS dismissed,
    if(shown, d.first_shown_at + toIntervalMillisecond(if(c.attribution_window_ms = 0, 86400000, c.attribution_window_ms)), NULL) AS closes_at,
    multiIf(
        NOT shown, '',
        hasAny(d.kinds, ['success', 'failure']), multiIf(ifNull(closes_at > n.newest_at, false), 'open', has(d.kinds, 'success'), 'success', 'failure'),
        hasAny(d.kinds, ['withdrawn', 'expired', 'superseded']), 'voided',
        'open'
    ) AS result
FROM
(
    SELECT a.tenant AS tenant_id, any(a.decision) AS decision_id, max(a.decided) AS is_decided, anyIf(a.trigger, a.decided) AS trigger,
        anyIf(a.arm, a.decided) AS arm, anyIf(a.experiment_group, a.decided) AS experiment_group,
        anyIf(a.catalog_version, a.decided) AS catalog_version, groupUniqArray(a.kind) AS kinds, minIf(a.at, a.kind = 'shown') AS first_shown_at
    FROM
    (
        SELECT tenant_id AS tenant, decision_id AS decision, trigger, arm, experiment_group, catalog_version, true AS decided, '' AS kind,
            toDateTime64(0, 3, 'UTC') AS at
        FROM decisions
        WHERE outcome = 'decided'
        UNION ALL SELECT tenant_id, decision_id, '', '', '', '', false, toString(kind), occurred_at FROM outcomes
    ) AS a
    GROUP BY a.tenant, sipHash128(a.decision)
) AS d
LEFT JOIN (SELECT tenant_id, catalog_version, attribution_window_ms FROM catalogs FINAL) AS c
    ON c.tenant_id = d.tenant_id AND c.catalog_version = d.catalog_version
LEFT JOIN (SELECT tenant_id, toNullable(max(log_time)) AS newest_at FROM events GROUP BY tenant_id) AS n ON n.tenant_id = d.tenant_id;

ALTER TABLE decision_results
    MODIFY COMMENT 'What became of each decision that chose an arm, for the views that sum up successes. A decision whose row is gone has its outcomes here.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN decision_id 'id of the decision',
    COMMENT COLUMN is_decided 'whether the row of the decision is stored; without it, its trigger, arm and group are empty',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN experiment_group 'group of the user: adaptive (the bandit chose) or rules (the first eligible arm)',
    COMMENT COLUMN shown 'whether the app displayed it',
    COMMENT COLUMN clicked 'whether its guidance was clicked',
    COMMENT COLUMN dismissed 'whether its guidance was dismissed',
    COMMENT COLUMN closes_at 'when its attribution window closes, UTC: that of its catalog, a day where the catalog is not known, after it was first shown; NULL where it was not shown',
    COMMENT COLUMN result 'success or failure once its window has closed, by the newest log time of the tenant; open before that, also where the step is completed already; voided where it ended otherwise; empty where it was not shown';

CREATE OR REPLACE VIEW guidance_performance AS
SELECT
    r.tenant_id AS tenant_id,
    r.trigger AS trigger,
    r.arm AS arm,
    count() AS decided,
    countIf(r.shown) AS shown,
    countIf(r.clicked) AS clicked,
    countIf(r.dismissed) AS dismissed,
    countIf(r.result = 'success') AS success,
    countIf(r.result = 'failure') AS failure,
    countIf(r.result = 'open') AS open,
    decided - shown AS unshown,
    if(decided = 0, NULL, shown / decided) AS nudge_send_rate,
    if(shown = 0, NULL, clicked / shown) AS nudge_open_rate,
    if(shown = 0, NULL, dismissed / shown) AS nudge_dismiss_rate,
    if(success + failure = 0, NULL, success / (success + failure)) AS nudge_conversion_rate,
    r.experiment_group AS experiment_group,
    countIf(r.result = 'voided') AS voided
FROM decision_results AS r
WHERE r.is_decided
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
    COMMENT COLUMN success 'decisions whose attribution window has closed, with the step completed in it',
    COMMENT COLUMN failure 'decisions whose attribution window has closed without it',
    COMMENT COLUMN open 'decisions that were shown and whose attribution window is open, whether the step is completed or not; and those without a known end',
    COMMENT COLUMN unshown 'decided - shown: not shown so far, or expired, withdrawn or superseded before',
    COMMENT COLUMN nudge_send_rate 'shown / decided, 0 to 1; NULL without a decision',
    COMMENT COLUMN nudge_open_rate 'clicked / shown, 0 to 1; NULL where nothing was shown',
    COMMENT COLUMN nudge_dismiss_rate 'dismissed / shown, 0 to 1; NULL where nothing was shown',
    COMMENT COLUMN nudge_conversion_rate 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one',
    COMMENT COLUMN experiment_group 'group of the users of these decisions: adaptive (the bandit chose) or rules (the first eligible arm)',
    COMMENT COLUMN voided 'decisions that were shown and ended without success or failure: the step was completed before that, the user was merged or deleted, or the step is gone. shown = success + failure + open + voided';

ALTER TABLE nudge_conversion_rate
    COMMENT COLUMN success 'decisions whose attribution window has closed, with the step completed in it',
    COMMENT COLUMN failure 'decisions whose attribution window has closed without it';

CREATE OR REPLACE VIEW llm_prompts AS
SELECT
    l.tenant_id AS tenant_id,
    l.prompt_version AS prompt_version,
    count() AS decisions,
    countIf(l.status = 'improved') AS improved,
    countIf(r.shown) AS shown,
    countIf(r.result = 'success') AS success,
    countIf(r.result = 'failure') AS failure,
    improved / decisions AS improved_rate,
    if(success + failure = 0, NULL, success / (success + failure)) AS success_rate,
    sum(l.cost_micros) / 1000000 AS cost_dollars,
    countIf(r.result = 'open') AS open
FROM (SELECT * FROM llm_calls_final WHERE experiment = 'model') AS l
LEFT JOIN decision_results AS r ON r.tenant_id = l.tenant_id AND r.decision_id = l.decision_id
GROUP BY tenant_id, prompt_version
ORDER BY tenant_id, prompt_version;

ALTER TABLE llm_prompts
    MODIFY COMMENT 'The versions of the prompt against each other. A decision counts for the version that was drawn.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN prompt_version 'version of the prompt that was drawn',
    COMMENT COLUMN decisions 'decisions, each counted once',
    COMMENT COLUMN improved 'decisions for which a text was sent',
    COMMENT COLUMN shown 'decisions that the app displayed',
    COMMENT COLUMN success 'decisions whose attribution window has closed, with the step completed in it',
    COMMENT COLUMN failure 'decisions whose attribution window has closed without it',
    COMMENT COLUMN improved_rate 'improved / decisions, 0 to 1',
    COMMENT COLUMN success_rate 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one',
    COMMENT COLUMN cost_dollars 'cost of the calls in dollars, as the settings price tokens',
    COMMENT COLUMN open 'decisions that were shown and whose attribution window is open, whether the step is completed or not; and those without a known end';

CREATE OR REPLACE VIEW model_against_template AS
SELECT
    l.tenant_id AS tenant_id,
    l.experiment AS experiment,
    count() AS decisions,
    countIf(l.status = 'improved') AS improved,
    countIf(r.shown) AS shown,
    countIf(r.result = 'success') AS success,
    countIf(r.result = 'failure') AS failure,
    shown / decisions AS shown_rate,
    if(success + failure = 0, NULL, success / (success + failure)) AS success_rate,
    sum(l.cost_micros) / 1000000 AS cost_dollars,
    countIf(r.result = 'open') AS open
FROM (SELECT * FROM llm_calls_final WHERE experiment IN ('model', 'template')) AS l
LEFT JOIN decision_results AS r ON r.tenant_id = l.tenant_id AND r.decision_id = l.decision_id
GROUP BY tenant_id, experiment
ORDER BY tenant_id, experiment;

ALTER TABLE model_against_template
    MODIFY COMMENT 'Is a text of a model worth more than the template? By intention to treat: a decision counts for what it was drawn for, whichever text was shown.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN experiment 'model or template: what the decision was drawn for',
    COMMENT COLUMN decisions 'decisions, each counted once',
    COMMENT COLUMN improved 'decisions for which a text was sent',
    COMMENT COLUMN shown 'decisions that the app displayed, with the text or with the template',
    COMMENT COLUMN success 'decisions whose attribution window has closed, with the step completed in it',
    COMMENT COLUMN failure 'decisions whose attribution window has closed without it',
    COMMENT COLUMN shown_rate 'shown / decisions, 0 to 1',
    COMMENT COLUMN success_rate 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one',
    COMMENT COLUMN cost_dollars 'cost of the calls in dollars, as the settings price tokens',
    COMMENT COLUMN open 'decisions that were shown and whose attribution window is open, whether the step is completed or not; and those without a known end';
