-- A filter by tenant could not go below the grouping by a digest of the tenant and the decision, so the views about one tenant's guidance and prompts
-- read the decisions of all tenants.

-- The same view as before, grouped by the tenant itself. Still a digest of the decision, because texts of any length are slow to group by.
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
