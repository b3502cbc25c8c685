-- As whom a row of people counts. The views found the user of a visitor by the events of merges. Those do not tell which merges the job refused,
-- and name nobody who had no event; the job knows both.
ALTER TABLE people ADD COLUMN IF NOT EXISTS person_key String DEFAULT '' CODEC(ZSTD(1));

ALTER TABLE people COMMENT COLUMN person_key 'the stream key, a keyed digest, under which the user counts: the own one, and of a visitor who signed in that of the user. It names nobody. Empty in rows of releases before this column';

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
    COMMENT COLUMN visitor_draw 'the draw of the visitor as whom the group was drawn, whom the first merge of the user named before guidance was considered: it tells which visitor, and names nobody. -1 where the group was drawn under their own id, NULL in rows of releases before this column',
    COMMENT COLUMN person_key 'the stream key, a keyed digest, under which the user counts: the own one, and of a visitor who signed in that of the user. It names nobody. Empty in rows of releases before this column';

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
    COMMENT COLUMN visitor_draw 'the draw of the visitor as whom the group was drawn, whom the first merge of the user named before guidance was considered: it tells which visitor, and names nobody. -1 where the group was drawn under their own id, NULL in rows of releases before this column',
    COMMENT COLUMN person_key 'the stream key, a keyed digest, under which the user counts: the own one, and of a visitor who signed in that of the user. It names nobody. Empty in rows of releases before this column';

-- The visitor and the user have the same key. A visitor has none in rows of earlier releases, nor has the user until their next session; and
-- the keys are others after a change of ONRAMP_SECRET.
CREATE OR REPLACE VIEW visitors_by_key AS
SELECT tenant_id, arrayJoin(visitors) AS visitor_id, user_id
FROM
(
    SELECT tenant_id, groupArrayIf(id, experiment_group = 'merged') AS visitors, anyIf(id, experiment_group != 'merged') AS user_id
    FROM (SELECT tenant_id, user_id AS id, experiment_group, if(person_key = '', user_id, person_key) AS key FROM people FINAL
        WHERE experiment_group = 'merged' OR person_key IN (SELECT person_key FROM people WHERE experiment_group = 'merged' AND person_key != ''))
    GROUP BY tenant_id, key
);

ALTER TABLE visitors_by_key
    MODIFY COMMENT 'Visitors who signed in, and as which user, by the `person_key` of both in `people`. `users_of_visitors` also has those that are not known so.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN visitor_id 'id of the visitor before they signed in',
    COMMENT COLUMN user_id 'id of the user as the app sent it; of a visitor where visitors named each other and none signed in. Empty where no user has the key of the visitor';

-- By the key, else by the events: ids that name each other belong together, whichever of them named the other. So a visitor is the first user
-- that named it, else the user of an id that it named or that named it. That the job refused a merge is not known there. The events are
-- not read where no visitor is left.
CREATE OR REPLACE VIEW users_of_visitors AS
WITH
    merged AS (SELECT tenant_id, user_id FROM people FINAL WHERE experiment_group = 'merged'),
    others AS (SELECT tenant_id, visitor_id FROM visitors_by_key WHERE user_id = ''),
    named AS
    (
        SELECT tenant_id, JSONExtractString(payload, 'previousId') AS one, user_id AS other, log_time, timestamp
        FROM events
        WHERE event_type = 'identity_merged' AND status IN ('applied', 'merged', 'late') AND JSONHas(payload, 'previousId')
    ),
    direct AS
    (
        SELECT n.tenant_id AS tenant_id, n.one AS visitor_id, n.other AS user_id, n.log_time AS log_time, n.timestamp AS timestamp
        FROM named AS n
        INNER JOIN others AS o ON o.tenant_id = n.tenant_id AND o.visitor_id = n.one
        WHERE (n.tenant_id, n.other) NOT IN merged
    )
SELECT tenant_id, visitor_id, user_id FROM visitors_by_key WHERE user_id != ''
UNION ALL
SELECT tenant_id, visitor_id, argMin(user_id, at) AS user_id
FROM
(
    SELECT tenant_id, visitor_id, user_id, (0, log_time, timestamp) AS at FROM direct
    UNION ALL
    SELECT n.tenant_id, n.id, d.user_id, (1, n.log_time, n.timestamp)
    FROM
    (
        SELECT tenant_id, one AS id, other AS next, log_time, timestamp FROM named
        UNION ALL
        SELECT tenant_id, other AS id, one AS next, log_time, timestamp FROM named
    ) AS n
    INNER JOIN others AS o ON o.tenant_id = n.tenant_id AND o.visitor_id = n.id
    INNER JOIN
    (
        SELECT tenant_id, visitor_id, user_id FROM visitors_by_key WHERE user_id != ''
        UNION ALL
        SELECT tenant_id, visitor_id, argMin(user_id, (log_time, timestamp)) FROM direct GROUP BY tenant_id, visitor_id
    ) AS d ON d.tenant_id = n.tenant_id AND d.visitor_id = n.next
)
GROUP BY tenant_id, visitor_id;

ALTER TABLE users_of_visitors
    MODIFY COMMENT 'Visitors who signed in, and as which user. Who counts users counts such a visitor as that user. It is known by `person_key` of `people`. Where rows of earlier releases have none, it follows from the events of merges; a visitor is then not in it where the user is known by way of two more ids only, or the event of the merge is gone, which a retention may have deleted.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN visitor_id 'id of the visitor before they signed in',
    COMMENT COLUMN user_id 'id of the user as the app sent it; of a visitor where visitors named each other and none signed in';

-- The user is known by the key, else it is the first that named the visitor, in the order of the log. Rows of one event that stand twice say the
-- same, so no FINAL. The comparison of the groups needs merged_at only for users whose rows are older than visitor_draw: so the user has no
-- key either, and the event is the only source.
CREATE OR REPLACE VIEW merged_visitors AS
SELECT
    toLowCardinality(if(k.user_id = '', e.tenant_id, k.tenant_id)) AS tenant_id,
    if(k.user_id = '', e.visitor_id, k.visitor_id) AS visitor_id,
    if(k.user_id = '', e.first_user, k.user_id) AS user_id,
    arrayReduce('minOrNull', arrayMap(each -> each.2, arrayFilter(each -> each.1 = k.user_id OR k.user_id = '', e.merges))) AS merged_at
FROM
(
    SELECT tenant_id, JSONExtractString(payload, 'previousId') AS visitor_id, argMin(user_id, (log_time, timestamp)) AS first_user,
        groupUniqArray((user_id, log_time)) AS merges
    FROM events
    WHERE event_type = 'identity_merged' AND status IN ('applied', 'merged', 'late') AND JSONHas(payload, 'previousId')
    GROUP BY tenant_id, visitor_id
) AS e
FULL OUTER JOIN (SELECT * FROM visitors_by_key WHERE user_id != '') AS k ON k.tenant_id = e.tenant_id AND k.visitor_id = e.visitor_id;

ALTER TABLE merged_visitors
    MODIFY COMMENT 'Which user a visitor became: by `person_key` of `people`, else the first that named the visitor. In the second case it is not known whether the merge was refused: the visitor in `people` is then not merged.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN visitor_id 'id of the visitor before they signed in',
    COMMENT COLUMN user_id 'id of the user as the app sent it; of a visitor where one visitor named another',
    COMMENT COLUMN merged_at 'log time of the event by which the user named the visitor, UTC; NULL where the visitor became the user by way of another id, or the event is gone';
