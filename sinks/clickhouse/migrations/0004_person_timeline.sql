-- The history of a person, in order. Filter by tenant_id and user_id.
--   kind: event · progress · signal · decision · non_decision · recommendation · outcome
--   what: the event type (and name), `reached` or `completed`, the trigger, the arm, the reason, the UI component, the outcome
-- Rows of the same time are in causal order: an event (in the order of the input), its progress, signals, decisions.
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
    SELECT
        toString(tenant_id), user_id, assumeNotNull(current_since_at), 'progress', 'reached',
        toString(path_id), toString(step_id), '', '', '', NULL, '', concat('step ', toString(position)), version, 2, 1
    FROM step_progress_final
    WHERE current_since_at IS NOT NULL

    UNION ALL
    SELECT
        toString(tenant_id), user_id, assumeNotNull(completed_at), 'progress', 'completed',
        toString(path_id), toString(step_id), '', '', '', NULL, '',
        concat('step ', toString(position), ', ', toString(attempts), ' attempts, ', toString(errors), ' errors'), version, 2, 0
    FROM step_progress_final
    WHERE completed_at IS NOT NULL

    UNION ALL
    SELECT
        toString(tenant_id), user_id, detected_at, 'signal', toString(trigger),
        toString(path_id), toString(step_id), toString(trigger), '', '', NULL, '', evidence, version, 3, 0
    FROM stuck_signals_final

    UNION ALL
    SELECT
        toString(tenant_id), user_id, decided_at, if(outcome = 'decided', 'decision', 'non_decision'),
        if(outcome = 'decided', toString(arm), toString(reason)),
        toString(path_id), toString(step_id), toString(trigger), toString(reason), toString(arm),
        if(outcome = 'decided', propensity, NULL), decision_id,
        if(outcome = 'decided', arrayStringConcat(arrayMap((a, p) -> concat(a, ' ', toString(round(p, 3))), arms, propensities), ', '), ''),
        version, 4, 0
    FROM decisions_final

    UNION ALL
    SELECT
        toString(tenant_id), user_id, created_at, 'recommendation', toString(ui_component),
        toString(path_id), toString(step_id), toString(trigger), toString(reason), toString(arm), propensity, decision_id, message, version, 5, 0
    FROM recommendations_final

    UNION ALL
    SELECT
        toString(tenant_id), user_id, occurred_at, 'outcome', toString(kind),
        toString(path_id), toString(step_id), toString(trigger), '', toString(arm), NULL, decision_id, '', version, 6,
        toInt64(indexOf(['shown', 'clicked', 'dismissed'], toString(kind)) + if(kind IN ('shown', 'clicked', 'dismissed'), 0, 4))
    FROM outcomes_final
)
ORDER BY tenant_id, user_id, at, version, rank, place, what;
