-- The history of a user has the steps of the path in force, by the catalog that the user last met, once each; and when the path changed. Rows of
-- earlier paths, and of steps that left the path, stay in the table step_progress: they say from what it changed.
--
-- All rows of a path are written when a user comes to it, and none of the path before after that. So in the order of versions the path of the rows
-- changes where the path of the user did. It changed with the newest new traits between the two rows, or with the catalog; else at the first row of
-- the new path. Where a user came back to a path, the rows from before are gone, and so is that change.

-- A filter by user reaches the rows before the newest of each key is taken, because the user of a key never changes. With FINAL it would come after,
-- and tables that are not sorted by user would be read as a whole.
CREATE OR REPLACE VIEW person_timeline AS
SELECT tenant_id, user_id, at, kind, what, path_id, step_id, trigger, reason, arm, propensity, decision_id, detail, version, rank, place
FROM
(
    SELECT
        toString(tenant_id) AS tenant_id, user_id, timestamp AS at, 'event' AS kind,
        if(name = '', toString(event_type), concat(event_type, ' ', name)) AS what,
        '' AS path_id, '' AS step_id, '' AS trigger, if(status = 'applied', '', toString(status)) AS reason, '' AS arm,
        CAST(NULL AS Nullable(Float64)) AS propensity, '' AS decision_id, payload AS detail, version, 1 AS rank,
        source_offset AS place
    FROM events_final

    UNION ALL
    SELECT tenant_id, user_id, entry.1, 'progress', entry.2, entry.3, entry.4, '', '', '', NULL, '', entry.5, entry.6, 2, entry.7
    FROM
    (
        WITH
            arrayFilter(s -> s.2 = path_now AND s.1 >= met, steps) AS in_force,
            arrayPopBack(paths) AS befores,
            arrayPopFront(paths) AS afters,
            arrayFilter((c, i) -> i = 1 OR c.3 != causes[i - 1].3, causes, arrayEnumerate(causes)) AS changes, -- apps send the same traits again
            arrayMap((b, a) -> arrayLast(c -> c.1 > b.1 AND c.1 <= a.1, changes), befores, afters) AS caused
        SELECT tenant_id, user_id, arrayJoin(arrayConcat(
            arrayMap(
                s -> (s.6, 'reached', s.2, s.3, concat('step ', toString(s.4)), s.1, 1),
                arrayFilter(s -> s.6 > toDateTime64(0, 3, 'UTC'), in_force)
            ),
            arrayMap(
                s -> (s.7, 'completed', s.2, s.3, concat('step ', toString(s.4), s.5), s.1, 0),
                arrayFilter(s -> s.7 > toDateTime64(0, 3, 'UTC'), in_force)
            ),
            arrayMap(
                (b, a, c) -> (if(c.1 > 0, c.2, a.3), 'path_changed', a.2, '', concat('from ', if(b.2 = '', 'none', b.2)), a.1, -1),
                arrayFilter((b, a) -> b.2 != a.2, befores, afters),
                arrayFilter((a, b) -> b.2 != a.2, afters, befores),
                arrayFilter((c, b, a) -> b.2 != a.2, caused, befores, afters)
            )
        )) AS entry
        FROM
        (
            SELECT
                tenant_id, user_id,
                argMaxIf(path, version, of IN ('step', 'user')) AS path_now,
                maxIf(version, of = 'catalog') AS met,
                arraySort(groupArrayIf((version, path, at), of IN ('step', 'user'))) AS paths,
                arraySort(groupArrayIf((version, at, figures), of IN ('traits', 'catalog'))) AS causes,
                groupArrayIf((version, path, step, position, figures, since, done), of = 'step') AS steps
            FROM
            (
                SELECT
                    toString(tenant_id) AS tenant_id, user_id, if(step_id = '', 'catalog', 'step') AS of, version, toString(path_id) AS path,
                    toString(step_id) AS step, position, updated_at AS at, current_since_at AS since, completed_at AS done,
                    concat(
                        ', ', toString(attempts), if(attempts = 1, ' attempt, ', ' attempts, '), toString(errors), if(errors = 1, ' error', ' errors')
                    ) AS figures
                FROM step_progress FINAL

                UNION ALL
                SELECT
                    toString(tenant_id), user_id, 'user', version, toString(path_id), '', 0, last_active_at, toDateTime64(0, 3, 'UTC'),
                    toDateTime64(0, 3, 'UTC'), ''
                FROM people FINAL

                UNION ALL
                SELECT
                    toString(tenant_id), user_id, 'traits', version, '', '', 0, timestamp, toDateTime64(0, 3, 'UTC'), toDateTime64(0, 3, 'UTC'),
                    JSONExtractRaw(payload, 'traits')
                FROM events FINAL
                WHERE event_type IN ('signup', 'identify') AND status = 'applied'
            )
            GROUP BY tenant_id, user_id
        )
    )

    UNION ALL
    SELECT
        toString(tenant_id), user_id, detected_at, 'signal', toString(trigger),
        toString(path_id), toString(step_id), toString(trigger), '', '', NULL, '', evidence, version, 3, 0
    FROM
    (
        SELECT x.tenant_id AS tenant_id, x.user_id AS user_id, x.signal_id AS signal_id, max(x.version) AS version,
            argMax(x.trigger, x.version) AS trigger,
            argMax(x.path_id, x.version) AS path_id,
            argMax(x.step_id, x.version) AS step_id,
            argMax(x.evidence, x.version) AS evidence,
            argMax(x.detected_at, x.version) AS detected_at
        FROM stuck_signals AS x GROUP BY tenant_id, user_id, signal_id
    )

    UNION ALL
    SELECT
        toString(tenant_id), user_id, decided_at, if(outcome = 'decided', 'decision', 'non_decision'),
        if(outcome = 'decided', toString(arm), toString(reason)),
        toString(path_id), toString(step_id), toString(trigger), toString(reason), toString(arm),
        if(outcome = 'decided', propensity, NULL), decision_id,
        if(outcome = 'decided', arrayStringConcat(arrayMap((a, p) -> concat(a, ' ', toString(round(p, 3))), arms, propensities), ', '), ''),
        version, 4, 0
    FROM
    (
        SELECT x.tenant_id AS tenant_id, x.user_id AS user_id, x.decision_id AS decision_id, max(x.version) AS version,
            argMax(x.trigger, x.version) AS trigger,
            argMax(x.path_id, x.version) AS path_id,
            argMax(x.step_id, x.version) AS step_id,
            argMax(x.outcome, x.version) AS outcome,
            argMax(x.reason, x.version) AS reason,
            argMax(x.arm, x.version) AS arm,
            argMax(x.propensity, x.version) AS propensity,
            argMax(x.arms, x.version) AS arms,
            argMax(x.propensities, x.version) AS propensities,
            argMax(x.decided_at, x.version) AS decided_at
        FROM decisions AS x GROUP BY tenant_id, user_id, decision_id
    )

    UNION ALL
    SELECT
        toString(tenant_id), user_id, created_at, 'recommendation', toString(ui_component),
        toString(path_id), toString(step_id), toString(trigger), toString(reason), toString(arm), propensity, decision_id, message, version, 5,
        if(source = 'template', 0, 2)
    FROM recommendations_final

    UNION ALL
    SELECT
        toString(tenant_id), user_id, asked_at, 'wording', toString(status),
        toString(path_id), toString(step_id), toString(trigger), toString(reason), toString(arm), NULL, decision_id,
        toJSONString(CAST(
            (toString(prompt_version), toString(model), toString(source), latency_ms, attempts, input_tokens, output_tokens, cost_micros,
             JSONExtract(checks, 'Array(Array(String))')),
            'Tuple(promptVersion String, model String, source String, latencyMs UInt32, attempts UInt32, inputTokens UInt32,
                outputTokens UInt32, costMicros Float64, checks Array(Array(String)))'
        )),
        version, 5, 1
    FROM
    (
        SELECT x.tenant_id AS tenant_id, x.user_id AS user_id, x.decision_id AS decision_id, max(x.version) AS version,
            argMax(x.trigger, x.version) AS trigger,
            argMax(x.path_id, x.version) AS path_id,
            argMax(x.step_id, x.version) AS step_id,
            argMax(x.arm, x.version) AS arm,
            argMax(x.status, x.version) AS status,
            argMax(x.reason, x.version) AS reason,
            argMax(x.prompt_version, x.version) AS prompt_version,
            argMax(x.model, x.version) AS model,
            argMax(x.source, x.version) AS source,
            argMax(x.latency_ms, x.version) AS latency_ms,
            argMax(x.attempts, x.version) AS attempts,
            argMax(x.input_tokens, x.version) AS input_tokens,
            argMax(x.output_tokens, x.version) AS output_tokens,
            argMax(x.cost_micros, x.version) AS cost_micros,
            argMax(x.checks, x.version) AS checks,
            argMax(x.asked_at, x.version) AS asked_at
        FROM llm_calls AS x GROUP BY tenant_id, user_id, decision_id
    )

    UNION ALL
    SELECT
        toString(tenant_id), user_id, occurred_at, 'outcome', toString(kind),
        toString(path_id), toString(step_id), toString(trigger), '', toString(arm), NULL, decision_id, '', version, 6,
        toInt64(indexOf(['shown', 'clicked', 'dismissed'], toString(kind)) + if(kind IN ('shown', 'clicked', 'dismissed'), 0, 4))
    FROM
    (
        SELECT x.tenant_id AS tenant_id, x.user_id AS user_id, x.decision_id AS decision_id, x.kind AS kind, max(x.version) AS version,
            argMax(x.trigger, x.version) AS trigger,
            argMax(x.path_id, x.version) AS path_id,
            argMax(x.step_id, x.version) AS step_id,
            argMax(x.arm, x.version) AS arm,
            argMax(x.occurred_at, x.version) AS occurred_at
        FROM outcomes AS x GROUP BY tenant_id, user_id, decision_id, kind
    )
)
ORDER BY tenant_id, user_id, at, version, rank, place, what;

ALTER TABLE person_timeline
    MODIFY COMMENT 'Everything known of a user, in order; of progress, that of the path in force. Filter by `tenant_id` and `user_id`.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN at 'when it happened, UTC: the clock of the app for events, progress, exposures and success, else log time',
    COMMENT COLUMN kind 'event, progress, signal, decision, `non_decision`, recommendation, wording or outcome',
    COMMENT COLUMN what 'event type and name, reached, completed or `path_changed`, trigger, arm, reason, UI component, improved or kept, or the outcome',
    COMMENT COLUMN path_id 'path of the catalog; empty for events; of `path_changed` the new one',
    COMMENT COLUMN step_id 'step of the catalog; empty for events and `path_changed`',
    COMMENT COLUMN trigger 'what asked for guidance; empty for events and progress',
    COMMENT COLUMN reason 'why; empty where there is nothing to say',
    COMMENT COLUMN arm 'arm; empty for rows without one',
    COMMENT COLUMN propensity 'probability, 0 to 1, with which the arm was drawn; NULL for other rows',
    COMMENT COLUMN decision_id 'id of the decision; empty for rows without one',
    COMMENT COLUMN detail 'payload, evidence, text or figures of the row; of `path_changed` the path before',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN rank 'order of kinds of one moment and version',
    COMMENT COLUMN place 'order within a rank';
