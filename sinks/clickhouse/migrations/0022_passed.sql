-- Who went on without a step has not stopped there: an optional step, one of several that lead to the same, or one that is done later. What observing
-- shows counts like this (evaluation/observed.py).

-- The funnel: the progress of people on their current path. Rows of an earlier path of a person do not count.
-- A person's funnel ends at activation. A step that becomes current at activation or later is not part of it, and not completing it is
-- no drop-off. The columns activated_before and completed_after_activation count such people.
--   reached:  people for whom the step is or was open (not locked) before activation
--   passed:   reached, not completed so far, and the person completed a later step (where the order does not matter), went on to one, or activated
--   step_completion_rate = completed / reached; NULL for a step that is not reached before activation
--   drop_off_rate        = neither completed nor passed so far / reached
--   median_hours:        from the step first being current to its completion; a step that was completed before it became current does
--                        not count
--   activated_before:    people who activated before the step became current, or for whom it did not become current
--   completed_after_activation: those of them who completed the step afterwards
CREATE OR REPLACE VIEW funnel_by_step AS
WITH
    s.status = 'completed' AS done,
    s.activated_at IS NOT NULL AND ifNull(s.current_since_at >= s.activated_at, true) AND ifNull(s.completed_at > s.activated_at, true) AS after
SELECT
    s.tenant_id AS tenant_id,
    s.path_id AS path_id,
    s.position AS position,
    s.step_id AS step_id,
    countIf(NOT after AND s.status != 'locked') AS reached,
    countIf(NOT after AND done) AS completed,
    if(reached = 0, NULL, completed / reached) AS step_completion_rate,
    if(reached = 0, NULL, (reached - completed - passed) / reached) AS drop_off_rate,
    if(countIf(NOT after AND done AND s.current_since_at IS NOT NULL) = 0, NULL, quantileExactInclusiveIf(0.5)(
        greatest(0, dateDiff('millisecond', assumeNotNull(s.current_since_at), assumeNotNull(s.completed_at))) / 3600000,
        NOT after AND done AND s.current_since_at IS NOT NULL
    )) AS median_hours,
    countIf(after) AS activated_before,
    countIf(after AND done) AS completed_after_activation,
    countIf(NOT after AND s.status = 'current' AND s.left_at IS NOT NULL) AS passed
FROM path_steps AS s
GROUP BY tenant_id, path_id, position, step_id
ORDER BY tenant_id, path_id, position;

-- Steps by drop-off before activation, the worst step first. A person who works on a step counts as dropped off there until they
-- complete it or go on without it.
CREATE OR REPLACE VIEW drop_off_rate_by_step AS
SELECT tenant_id, path_id, position, step_id, reached, reached - completed - passed AS stopped_here, drop_off_rate, passed
FROM funnel_by_step
ORDER BY tenant_id, drop_off_rate DESC, stopped_here DESC;

ALTER TABLE funnel_by_step
    MODIFY COMMENT 'The funnel: the progress of users on their current path, until activation. For each tenant, path and step.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN position 'place of the step in the path, from 1',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN reached 'users for whom the step is or was open before activation',
    COMMENT COLUMN completed 'of those, users who completed it',
    COMMENT COLUMN step_completion_rate 'completed / reached, 0 to 1; NULL where nobody reached it',
    COMMENT COLUMN drop_off_rate '(reached - completed - passed) / reached, 0 to 1; NULL where nobody reached it',
    COMMENT COLUMN median_hours 'median hours from the step becoming current to its completion; NULL without one',
    COMMENT COLUMN activated_before 'users who activated before the step became current, or for whom it did not',
    COMMENT COLUMN completed_after_activation 'of those, users who completed it afterwards',
    COMMENT COLUMN passed 'of those who reached it, users who have not completed it, and completed a later step, went on to one or activated; in a path of strict order, completing a later one does not count';

ALTER TABLE drop_off_rate_by_step
    MODIFY COMMENT 'Metric `drop_off_rate_by_step`: steps by drop-off before activation, the worst first. A user who works on a step counts as dropped off there until they complete it or go on without it.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN position 'place of the step in the path, from 1',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN reached 'users for whom the step is or was open before activation',
    COMMENT COLUMN stopped_here 'of those, users who have neither completed nor passed it',
    COMMENT COLUMN drop_off_rate '`stopped_here` / reached, 0 to 1; NULL where nobody reached it',
    COMMENT COLUMN passed 'of those who reached it, users who have not completed it, and completed a later step, went on to one or activated; in a path of strict order, completing a later one does not count';
