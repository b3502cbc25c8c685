-- Where a user came to a step as a visitor, before signing in: the row of the user begins when that of the visitor does. The visitor's keeps when the
-- step became current as the events came. The user's is by the time of the events: the last completion of the visitor before, else its first event.
CREATE OR REPLACE VIEW steps_of_visitors AS
SELECT v.tenant_id AS tenant_id, v.visitor_id AS visitor_id, any(v.user_id) AS user_id, toLowCardinality(v.step_id) AS step_id,
    min(v.since) AS since_at
FROM
(
    SELECT m.tenant_id AS tenant_id, m.visitor_id AS visitor_id, m.user_id AS user_id, step_id, since,
        arrayMax(arrayMap((other, done) -> if(other != step_id AND done BETWEEN p.first_seen_at AND since, done, p.first_seen_at), s.steps, s.dones))
            AS since_by_time
    FROM users_of_visitors AS m
    INNER JOIN
    (
        SELECT tenant_id, user_id, groupArray(step_id) AS steps, groupArray(current_since_at) AS sinces, groupArray(completed_at) AS dones
        FROM step_progress FINAL
        WHERE (tenant_id, user_id) IN (SELECT tenant_id, user_id FROM people WHERE experiment_group = 'merged')
        GROUP BY tenant_id, user_id
    ) AS s ON s.tenant_id = m.tenant_id AND s.user_id = m.visitor_id
    INNER JOIN (SELECT tenant_id, user_id, first_seen_at FROM people FINAL WHERE experiment_group = 'merged') AS p
        ON p.tenant_id = m.tenant_id AND p.user_id = m.visitor_id
    ARRAY JOIN s.steps AS step_id, s.sinces AS since
    WHERE since > toDateTime64(0, 3, 'UTC')
) AS v
INNER JOIN (SELECT tenant_id, user_id, step_id, current_since_at FROM step_progress FINAL) AS u
    ON u.tenant_id = v.tenant_id AND u.user_id = v.user_id AND u.step_id = v.step_id
WHERE u.current_since_at IN (v.since, v.since_by_time)
GROUP BY tenant_id, visitor_id, step_id;

ALTER TABLE steps_of_visitors
    MODIFY COMMENT 'Steps that a user came to as a visitor, before signing in: the beginning of the step is that of the visitor.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN visitor_id 'id of the visitor before they signed in',
    COMMENT COLUMN user_id 'id of the user as the app sent it',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN since_at 'when the step became current for the visitor, UTC';
