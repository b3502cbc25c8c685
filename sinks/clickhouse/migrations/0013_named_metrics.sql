-- Metrics by the names that the wider system uses, and unit costs. Live ones are recorded by Prometheus (docs/metrics.md).
-- drop_off_rate_by_step is among the business views.

CREATE OR REPLACE VIEW onboarding_start_rate AS
SELECT tenant_id, people, started, onboarding_start_rate FROM activation;

CREATE OR REPLACE VIEW activation_rate AS
SELECT tenant_id, people, activated, activation_rate FROM activation;

CREATE OR REPLACE VIEW time_to_activation_p50_hours AS
SELECT tenant_id, activated, time_to_activation_p50_hours FROM activation;

CREATE OR REPLACE VIEW step_completion_rate AS
SELECT tenant_id, path_id, position, step_id, reached, completed, step_completion_rate FROM funnel_by_step;

CREATE OR REPLACE VIEW nudge_send_rate AS
SELECT g.tenant_id AS tenant_id, sum(g.decided) AS decided, sum(g.shown) AS shown, if(decided = 0, NULL, shown / decided) AS nudge_send_rate
FROM guidance_performance AS g
GROUP BY tenant_id
ORDER BY tenant_id;

CREATE OR REPLACE VIEW nudge_open_rate AS
SELECT g.tenant_id AS tenant_id, sum(g.shown) AS shown, sum(g.clicked) AS clicked, if(shown = 0, NULL, clicked / shown) AS nudge_open_rate
FROM guidance_performance AS g
GROUP BY tenant_id
ORDER BY tenant_id;

CREATE OR REPLACE VIEW nudge_conversion_rate AS
SELECT
    g.tenant_id AS tenant_id,
    sum(g.success) AS success,
    sum(g.failure) AS failure,
    if(success + failure = 0, NULL, success / (success + failure)) AS nudge_conversion_rate
FROM guidance_performance AS g
GROUP BY tenant_id
ORDER BY tenant_id;

-- Calls that a model answered. Answers from the cache and guidance by templates are no inference.
CREATE OR REPLACE VIEW ml_inference_latency_p95_ms AS
SELECT tenant_id, count() AS inferences, quantileExactInclusive(0.95)(latency_ms) AS ml_inference_latency_p95_ms
FROM llm_calls_final
WHERE source = 'call' AND model != ''
GROUP BY tenant_id
ORDER BY tenant_id;

-- The group of a user must be the same in every decision. Rows of one decision that stand twice have the same group, so no FINAL.
CREATE OR REPLACE VIEW experiment_allocation_consistency AS
SELECT
    p.tenant_id AS tenant_id,
    count() AS people,
    countIf(d.groups = [toString(p.experiment_group)]) AS consistent,
    consistent / people AS experiment_allocation_consistency
FROM (SELECT tenant_id, user_id, groupUniqArray(toString(experiment_group)) AS groups FROM decisions GROUP BY tenant_id, user_id) AS d
INNER JOIN counted_people AS p ON p.tenant_id = d.tenant_id AND p.user_id = d.user_id
GROUP BY tenant_id
ORDER BY tenant_id;

-- What models cost by tenant. It is the only cost that Onramp knows: servers are not in it.
CREATE OR REPLACE VIEW model_costs AS
SELECT tenant_id, sum(cost_micros) / 1000000 AS cost_dollars, countIf(source = 'call' AND model != '') AS inferences
FROM llm_calls_final
GROUP BY tenant_id
ORDER BY tenant_id;

CREATE OR REPLACE VIEW cost_per_user_dollars AS
SELECT p.tenant_id AS tenant_id, p.people AS people, c.cost_dollars AS cost_dollars, cost_dollars / people AS cost_per_user_dollars
FROM (SELECT tenant_id, count() AS people FROM counted_people GROUP BY tenant_id) AS p
LEFT JOIN model_costs AS c ON c.tenant_id = p.tenant_id
ORDER BY tenant_id;

CREATE OR REPLACE VIEW cost_per_1000_events_dollars AS
SELECT e.tenant_id AS tenant_id, e.events AS events, c.cost_dollars AS cost_dollars, 1000 * cost_dollars / events AS cost_per_1000_events_dollars
FROM (SELECT tenant_id, count() AS events FROM events_final GROUP BY tenant_id) AS e
LEFT JOIN model_costs AS c ON c.tenant_id = e.tenant_id
ORDER BY tenant_id;

CREATE OR REPLACE VIEW cost_per_1000_inferences_dollars AS
SELECT tenant_id, inferences, cost_dollars, if(inferences = 0, NULL, 1000 * cost_dollars / inferences) AS cost_per_1000_inferences_dollars
FROM model_costs
ORDER BY tenant_id;

ALTER TABLE activation_rate
    MODIFY COMMENT 'Metric `activation_rate`: share of users who reached activation.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN people 'users, each counted once',
    COMMENT COLUMN activated 'users who reached activation',
    COMMENT COLUMN activation_rate 'activated / `people`, 0 to 1';

ALTER TABLE cost_per_1000_events_dollars
    MODIFY COMMENT 'Unit cost: what models cost for 1,000 accepted events. Servers are not in it.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN events 'accepted events, each counted once',
    COMMENT COLUMN cost_dollars 'cost of the calls in dollars, as the settings price tokens',
    COMMENT COLUMN cost_per_1000_events_dollars '1000 times `cost_dollars` / events in dollars';

ALTER TABLE cost_per_1000_inferences_dollars
    MODIFY COMMENT 'Unit cost: what 1,000 calls that a model answered cost. Calls without an answer add to the cost, not to the number.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN inferences 'calls that a model answered',
    COMMENT COLUMN cost_dollars 'cost of the calls in dollars, as the settings price tokens',
    COMMENT COLUMN cost_per_1000_inferences_dollars '1000 times `cost_dollars` / inferences in dollars; NULL without an inference';

ALTER TABLE cost_per_user_dollars
    MODIFY COMMENT 'Unit cost: what models cost for a user. Servers are not in it.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN people 'users, each counted once',
    COMMENT COLUMN cost_dollars 'cost of the calls in dollars, as the settings price tokens',
    COMMENT COLUMN cost_per_user_dollars '`cost_dollars` / `people` in dollars';

ALTER TABLE experiment_allocation_consistency
    MODIFY COMMENT 'Metric `experiment_allocation_consistency`: share of the users with decisions who had their group in every one. It must be 1.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN people 'users with at least one decision or non-decision',
    COMMENT COLUMN consistent 'users in whose decisions only the group of `people` occurs',
    COMMENT COLUMN experiment_allocation_consistency 'consistent / `people`, 0 to 1';

ALTER TABLE ml_inference_latency_p95_ms
    MODIFY COMMENT 'Metric `ml_inference_latency_p95_ms`: 95th percentile of the time of a call that a model answered.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN inferences 'calls that a model answered',
    COMMENT COLUMN ml_inference_latency_p95_ms '95th percentile in milliseconds, retries included';

ALTER TABLE model_costs
    MODIFY COMMENT 'What models cost. It is the only cost that Onramp knows: servers are not in it. For each tenant.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN cost_dollars 'cost of all calls in dollars, as the settings price tokens',
    COMMENT COLUMN inferences 'calls that a model answered';

ALTER TABLE nudge_conversion_rate
    MODIFY COMMENT 'Metric `nudge_conversion_rate`: share of the displayed decisions with a closed window whose step was completed in it. By trigger and arm: `guidance_performance`.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN success 'decisions whose step was completed within the attribution window',
    COMMENT COLUMN failure 'decisions whose attribution window closed without it',
    COMMENT COLUMN nudge_conversion_rate 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one';

ALTER TABLE nudge_open_rate
    MODIFY COMMENT 'Metric `nudge_open_rate`: share of the displayed decisions that were clicked. By trigger and arm: `guidance_performance`.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN shown 'decisions that the app displayed',
    COMMENT COLUMN clicked 'decisions whose guidance was clicked',
    COMMENT COLUMN nudge_open_rate 'clicked / shown, 0 to 1; NULL where nothing was shown';

ALTER TABLE nudge_send_rate
    MODIFY COMMENT 'Metric `nudge_send_rate`: share of the decisions for an arm that the app displayed. By trigger and arm: `guidance_performance`.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN decided 'decisions that chose an arm',
    COMMENT COLUMN shown 'decisions that the app displayed',
    COMMENT COLUMN nudge_send_rate 'shown / decided, 0 to 1; NULL without a decision';

ALTER TABLE onboarding_start_rate
    MODIFY COMMENT 'Metric `onboarding_start_rate`: share of users who worked on at least one step.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN people 'users, each counted once',
    COMMENT COLUMN started 'users who worked on at least one step of any path',
    COMMENT COLUMN onboarding_start_rate 'started / `people`, 0 to 1';

ALTER TABLE step_completion_rate
    MODIFY COMMENT 'Metric `step_completion_rate`: share of the users who reached a step before activation and completed it.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN position 'place of the step in the path, from 1',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN reached 'users for whom the step is or was open before activation',
    COMMENT COLUMN completed 'of those, users who completed it',
    COMMENT COLUMN step_completion_rate 'completed / reached, 0 to 1; NULL where nobody reached it';

ALTER TABLE time_to_activation_p50_hours
    MODIFY COMMENT 'Metric `time_to_activation_p50_hours`: median hours from sign-up (else first event) to activation.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN activated 'users who reached activation',
    COMMENT COLUMN time_to_activation_p50_hours 'median hours from sign-up (else first event) to activation, of activated users; NULL without one';
