-- What each table, view and column holds, in the database itself. docs/tables.md is written from it by `make tables`.
-- A view that a later migration creates again loses its comments: that migration repeats them.

ALTER TABLE arm_posteriors
    MODIFY COMMENT 'The posterior of each arm in each context after each fit. Written by the step choose. Newest fit: `arm_posteriors_latest`. A row that was delivered twice counts once in `arm_posteriors_final`.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN context '* for the arm as a whole, else step|segment',
    COMMENT COLUMN alpha 'first parameter of the Beta distribution: successes, with the prior',
    COMMENT COLUMN beta 'second parameter of the Beta distribution: failures, with the prior',
    COMMENT COLUMN updates 'outcomes that the learner has counted',
    COMMENT COLUMN updated_at 'log time of the fit, UTC',
    COMMENT COLUMN version 'version of the fit; each fit keeps its rows';

ALTER TABLE arm_stops
    MODIFY COMMENT 'Arms that were stopped for harm. Written by the step choose. Newest row of a key: `arm_stops_final`, or argMax by version.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN arm_version 'version of the arm in the catalog; a changed arm begins anew',
    COMMENT COLUMN confidence 'probability, 0 to 1, that the arm harms',
    COMMENT COLUMN margin 'difference of success rates beyond which an arm counts as harmful',
    COMMENT COLUMN rate 'estimated success rate of the arm, 0 to 1',
    COMMENT COLUMN others_rate 'that of the other arms, 0 to 1',
    COMMENT COLUMN outcomes 'outcomes of the arm that were counted',
    COMMENT COLUMN stopped_at 'log time of the stop, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE catalogs
    MODIFY COMMENT 'What each version of the catalog promised of the experiment. Written by the step choose with the first decision under it. Newest row of a key: `catalogs_final`, or argMax by version.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN catalog_version 'version of the catalog',
    COMMENT COLUMN holdout 'share of users without guidance, 0 to 1',
    COMMENT COLUMN rules 'share of users guided by rules alone, 0 to 1',
    COMMENT COLUMN exploration_floor 'least probability of each eligible arm, 0 to 1',
    COMMENT COLUMN attribution_window_ms 'attribution window in milliseconds',
    COMMENT COLUMN template_share 'share of decisions that keep their template, 0 to 1; -1 where the catalog has no wording',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE dead_letters
    MODIFY COMMENT 'One row for each message that was rejected. Written by the step decode. Newest row of a key: `dead_letters_final`, or argMax by version.',
    COMMENT COLUMN dead_letter_id 'topic, partition and offset of the message',
    COMMENT COLUMN reason 'why it was rejected, in one word; docs/events.md lists them',
    COMMENT COLUMN detail 'why it was rejected, in a sentence',
    COMMENT COLUMN topic 'topic or file of the message',
    COMMENT COLUMN source_partition 'partition of the input from which the message came',
    COMMENT COLUMN source_offset 'offset of the message in its partition',
    COMMENT COLUMN raw 'first 4 KiB of the message, undecodable bytes replaced; empty where nobody could tell whom it names',
    COMMENT COLUMN log_time 'when the log stored the message, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN user_ids 'whom the whole message names; a deletion finds the row by them',
    COMMENT COLUMN tenant_ids 'tenants that it names; a message that names none may be of anybody';

ALTER TABLE decisions
    MODIFY COMMENT 'One row for each decision about guidance, or for the reason why there was none. Written by the steps choose (decided) and track (declined). Newest row of a key: `decisions_final`, or argMax by version.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN decision_id 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN segment 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    COMMENT COLUMN outcome 'decided (an arm was chosen) or declined (it was not; see reason)',
    COMMENT COLUMN reason 'why no decision was made; empty for outcome decided',
    COMMENT COLUMN arm 'arm that was drawn; empty for outcome declined',
    COMMENT COLUMN propensity 'probability, 0 to 1, with which the arm was drawn; 0 for outcome declined',
    COMMENT COLUMN arms 'every eligible arm; empty for outcome declined',
    COMMENT COLUMN propensities 'probability of each of them, 0 to 1, in the same order',
    COMMENT COLUMN learner_version 'version of the posterior that was used',
    COMMENT COLUMN catalog_version 'version of the catalog that was in force',
    COMMENT COLUMN decided_at 'log time of the decision, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive; it never changes. A visitor who became a user has merged',
    COMMENT COLUMN parameters_version 'version of the step statistics that was used; 0 before the first was learned';

ALTER TABLE events
    MODIFY COMMENT 'One row for each accepted event of a user, also for those that were not applied. Written by the step track. Newest row of a key: `events_final`, or argMax by version.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN event_id 'id of the event; a repeated event has the same',
    COMMENT COLUMN session_id 'session of the app, as the app sent it; may be empty',
    COMMENT COLUMN event_type 'type of the event; docs/events.md lists them',
    COMMENT COLUMN name 'name of the event, as track calls have one; may be empty',
    COMMENT COLUMN payload 'fields of the event beside the columns, as JSON',
    COMMENT COLUMN status 'applied, or why it was not: late, deleted or merged',
    COMMENT COLUMN timestamp 'when it happened by the clock of the app, UTC',
    COMMENT COLUMN log_time 'when the log stored the event, UTC',
    COMMENT COLUMN source_partition 'partition of the input from which the message came',
    COMMENT COLUMN source_offset 'offset of the message in its partition',
    COMMENT COLUMN traceparent 'W3C trace context of the message; empty without one',
    COMMENT COLUMN version 'version of the user when the event was applied, 0 for an event that was not: the largest is the newest';

ALTER TABLE guidance_switches
    MODIFY COMMENT 'Who paused, resumed or ramped guidance, when and why. Written by the step switches. Newest row of a key: `guidance_switches_final`, or argMax by version.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN switch_id 'id of the switch',
    COMMENT COLUMN action 'pause, resume or ramp',
    COMMENT COLUMN share 'share of users, 0 to 1, that may be guided; 1 for actions other than ramp',
    COMMENT COLUMN switched_by 'who switched',
    COMMENT COLUMN because 'why, in their words',
    COMMENT COLUMN switched_at 'by the clock of who switched, UTC',
    COMMENT COLUMN in_force_at 'log time from which it holds, the earliest of all partitions, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE llm_calls
    MODIFY COMMENT 'One row for each decision that a model could have worded, also where none was asked. Rejected texts are not in it. Written by the step enrich. Newest row of a key: `llm_calls_final`, or argMax by version.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN decision_id 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN status 'improved (a text was sent to Redis) or kept (the template stayed; see reason)',
    COMMENT COLUMN reason 'why the template stayed; empty for status improved',
    COMMENT COLUMN source 'call, cache, coalesced (the running call of another decision), or empty where no model was asked',
    COMMENT COLUMN scope 'shared (one text serves all users of a place) or personal (one user); empty where no model was asked',
    COMMENT COLUMN experiment 'model or template for decisions that took part in the comparison of the two, else empty',
    COMMENT COLUMN cache_key 'key of the answer in the cache: what was asked; empty where no model was asked',
    COMMENT COLUMN prompt_version 'version of the prompt that was drawn',
    COMMENT COLUMN model 'name of the model that answered; empty where none did',
    COMMENT COLUMN input_tokens 'tokens of the prompts of the call',
    COMMENT COLUMN output_tokens 'tokens of its answers',
    COMMENT COLUMN cost_micros 'cost of the call in millionths of a dollar; 0 for cache and coalesced',
    COMMENT COLUMN latency_ms 'milliseconds from the request to the answer, retries included',
    COMMENT COLUMN attempts 'requests to the model server; 0 where the call ended before the first',
    COMMENT COLUMN confidence 'how sure the author of the text is of it, 0 to 1',
    COMMENT COLUMN checks 'JSON: a list of [check, reason]; the reason is empty where the check passed',
    COMMENT COLUMN unfilled_hash 'digest of the text before its slots were filled; empty without a text',
    COMMENT COLUMN validation_hash 'digest of the text as sent, like that of the recommendation; empty without a text',
    COMMENT COLUMN asked_at 'log time at which the text was wanted, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE outcomes
    MODIFY COMMENT 'One row for each exposure of a decision and for its end. Written by the step choose. Newest row of a key: `outcomes_final`, or argMax by version.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN decision_id 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    COMMENT COLUMN kind 'an exposure (shown, clicked, dismissed) or the end: success, failure, expired, withdrawn or superseded',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN segment 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN occurred_at 'log time at which it happened, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE people
    MODIFY COMMENT 'One row for each user or visitor. The time 1970-01-01 means that it has not happened. Written by the step track upon each change. Newest row of a key: `people_final`, or argMax by version.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN path_id 'current path of the user',
    COMMENT COLUMN segment 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive; it never changes. A visitor who became a user has merged',
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
    COMMENT COLUMN avg_session_duration 'mean length of a session in seconds',
    COMMENT COLUMN engagement_score 'activity of the user, 0 to 100',
    COMMENT COLUMN first_seen_at 'first event, UTC',
    COMMENT COLUMN signup_at 'sign-up, UTC',
    COMMENT COLUMN last_active_at 'newest event, UTC',
    COMMENT COLUMN activated_at 'activation, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN guidance_at_signup 'what held for guidance at the sign-up: on, `guidance_paused` or `outside_ramp`, whatever the group';

ALTER TABLE recommendations
    MODIFY COMMENT 'One row for each version of a record that the app reads in Redis. Written by the steps compose (template) and enrich (text of a model). Newest row of a key: `recommendations_final`, or argMax by version.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN decision_id 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    COMMENT COLUMN recommendation_id 'signed id that the app sends back with exposure events',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN propensity 'probability, 0 to 1, with which the arm was drawn',
    COMMENT COLUMN message 'text that the user reads',
    COMMENT COLUMN ui_component 'how the app displays it: tooltip, modal, `sidebar_hint`, `email_trigger`; none withdraws the guidance',
    COMMENT COLUMN deep_link 'link in the app to the step',
    COMMENT COLUMN confidence 'how sure the author of the text is of it, 0 to 1',
    COMMENT COLUMN source 'who wrote the text: template, llm (a call) or cache (an answer of before)',
    COMMENT COLUMN prompt_version 'version of the prompt; empty where no model wrote the text',
    COMMENT COLUMN validation_hash 'digest of message, UI component and link, with which a reader verifies that the text was not changed',
    COMMENT COLUMN trace_id 'trace of the message that caused it; empty without one',
    COMMENT COLUMN reason 'why it was withdrawn; empty for guidance',
    COMMENT COLUMN created_at 'log time at which it was decided, UTC',
    COMMENT COLUMN expires_at 'when it stops being current, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE schema_migrations
    MODIFY COMMENT 'The migrations that were applied to this database. Written by migrate at the start of the job. Newest row of a version: FINAL.',
    COMMENT COLUMN version 'number of the migration',
    COMMENT COLUMN name 'name of its file',
    COMMENT COLUMN checksum 'SHA-256 of the file',
    COMMENT COLUMN applied_at 'when it was applied, UTC';

ALTER TABLE step_metrics_1m
    MODIFY COMMENT 'Parts of figures by minute, step, metric and label. They add up. Written by the step facts. A part that was delivered twice counts once in `step_metrics_1m_final`; the sums are in `step_metrics`.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN minute 'minute of log time, UTC',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN metric 'what is counted: completed, signal, decision, `non_decision`, event, or a kind of outcome',
    COMMENT COLUMN label 'refines the metric (trigger, reason, event type); may be empty',
    COMMENT COLUMN count 'part of the figure of the minute: add up all rows of a minute',
    COMMENT COLUMN partial_id 'place of the part in the spool: the same at every delivery';

ALTER TABLE step_progress
    MODIFY COMMENT 'The progress of a user on one step of a path. The time 1970-01-01 means that it has not happened. Written by the step track upon each change. Newest row of a key: `step_progress_final`, or argMax by version.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN position 'place of the step in the path, from 1',
    COMMENT COLUMN status 'locked (not reached), current (is or was) or completed',
    COMMENT COLUMN attempts 'attempts at the step as of `updated_at`',
    COMMENT COLUMN errors 'errors at the step as of `updated_at`',
    COMMENT COLUMN first_seen_at 'first event at the step, UTC',
    COMMENT COLUMN last_seen_at 'newest event at the step, UTC',
    COMMENT COLUMN current_since_at 'when the step became current, UTC; stays unset for a step completed ahead of its turn',
    COMMENT COLUMN completed_at 'completion of the step, UTC',
    COMMENT COLUMN updated_at 'log time as of which counts and times are, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE step_statistics
    MODIFY COMMENT 'What was learned about each step under each version of the parameters. Written by the step estimate. In force: `step_statistics_latest`. A row that was delivered twice counts once in `step_statistics_final`.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN step_id 'step of the catalog, or * for the detector as a whole',
    COMMENT COLUMN parameters_version 'version under which these parameters were published',
    COMMENT COLUMN horizon_ms 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    COMMENT COLUMN median_ms 'median milliseconds from the step becoming current to its completion',
    COMMENT COLUMN completion_share 'share, 0 to 1, that completed or left the step within the horizon',
    COMMENT COLUMN episodes 'episodes (a user at a step) that have ended',
    COMMENT COLUMN curve_ms 'times of the survival curve in milliseconds since the step became current',
    COMMENT COLUMN survival 'for each of those times the share, 0 to 1, that has not completed the step',
    COMMENT COLUMN weights 'JSON, on the row * only: operating point of the alarms and the weight of evidence beside time alone',
    COMMENT COLUMN learned_at 'log time at which it was learned, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE stuck_scores
    MODIFY COMMENT 'What was said about each held-out user who still waited at a share of the horizon of their step. Written by the step track. Newest row of a key: `stuck_scores_final`, or argMax by version.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN share 'share of the horizon, 0 to 1, that the user had waited',
    COMMENT COLUMN score 'estimated probability, 0 to 1, that the user will neither complete nor leave the step within the horizon',
    COMMENT COLUMN time_alone 'share, 0 to 1, of stuck users among those who waited as long at this step before',
    COMMENT COLUMN horizon_ms 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    COMMENT COLUMN judged_at 'log time of the judgement, UTC',
    COMMENT COLUMN parameters_version 'version of the step statistics that was used; 0 before the first was learned',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE stuck_signals
    MODIFY COMMENT 'One row for each alarm that a user is stuck. Written by the step track. Newest row of a key: `stuck_signals_final`, or argMax by version.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN signal_id 'id of the signal',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN evidence 'JSON: the evidence, and what each part of it added to the score',
    COMMENT COLUMN detected_at 'log time of the alarm, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN score 'estimated probability, 0 to 1, that the user will not complete the step within its horizon without help',
    COMMENT COLUMN parameters_version 'version of the step statistics that was used; 0 before the first was learned';

ALTER TABLE activation
    MODIFY COMMENT 'Start, activation and median time to it. For each tenant.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN people 'users, each counted once',
    COMMENT COLUMN started 'users who worked on at least one step of any path',
    COMMENT COLUMN activated 'users who reached activation',
    COMMENT COLUMN onboarding_start_rate 'started / `people`, 0 to 1',
    COMMENT COLUMN activation_rate 'activated / `people`, 0 to 1',
    COMMENT COLUMN time_to_activation_p50_hours 'median hours from sign-up (else first event) to activation, of activated users; NULL without one';

ALTER TABLE activation_by_cohort
    MODIFY COMMENT 'Activation by week of sign-up, path and persona.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN signup_week 'Monday of the week of the sign-up, UTC',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN user_persona 'trait persona as the app sent it; empty where unknown',
    COMMENT COLUMN people 'users, each counted once',
    COMMENT COLUMN activated 'users who reached activation',
    COMMENT COLUMN activation_rate 'activated / `people`, 0 to 1',
    COMMENT COLUMN time_to_activation_p50_hours 'median hours from sign-up (else first event) to activation, of activated users; NULL without one';

ALTER TABLE arm_posteriors_final
    MODIFY COMMENT 'The newest row of each key of `arm_posteriors` (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN context '* for the arm as a whole, else step|segment',
    COMMENT COLUMN alpha 'first parameter of the Beta distribution: successes, with the prior',
    COMMENT COLUMN beta 'second parameter of the Beta distribution: failures, with the prior',
    COMMENT COLUMN updates 'outcomes that the learner has counted',
    COMMENT COLUMN updated_at 'log time of the fit, UTC',
    COMMENT COLUMN version 'version of the fit; each fit keeps its rows';

ALTER TABLE arm_posteriors_latest
    MODIFY COMMENT 'The posterior of the newest fit that changed it. For each tenant, trigger, arm and context.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN context '* for the arm as a whole, else step|segment',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN alpha 'first parameter of the Beta distribution: successes, with the prior',
    COMMENT COLUMN beta 'second parameter of the Beta distribution: failures, with the prior',
    COMMENT COLUMN mean 'alpha / (alpha + beta): estimated success rate, 0 to 1',
    COMMENT COLUMN weight 'alpha + beta: pseudo-observations after discounting',
    COMMENT COLUMN updates 'outcomes that the learner has counted',
    COMMENT COLUMN updated_at 'log time of the fit, UTC',
    COMMENT COLUMN version 'version of the fit; each fit keeps its rows';

ALTER TABLE arm_share
    MODIFY COMMENT 'How often each arm was chosen among the decisions of its trigger, and how often the policy meant to.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN decisions 'decisions that chose the arm',
    COMMENT COLUMN share 'decisions / all decisions of the trigger, 0 to 1',
    COMMENT COLUMN mean_propensity 'mean probability, 0 to 1, with which the policy meant to choose it';

ALTER TABLE arm_stops_final
    MODIFY COMMENT 'The newest row of each key of `arm_stops` (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN arm_version 'version of the arm in the catalog; a changed arm begins anew',
    COMMENT COLUMN confidence 'probability, 0 to 1, that the arm harms',
    COMMENT COLUMN margin 'difference of success rates beyond which an arm counts as harmful',
    COMMENT COLUMN rate 'estimated success rate of the arm, 0 to 1',
    COMMENT COLUMN others_rate 'that of the other arms, 0 to 1',
    COMMENT COLUMN outcomes 'outcomes of the arm that were counted',
    COMMENT COLUMN stopped_at 'log time of the stop, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE catalogs_final
    MODIFY COMMENT 'The newest row of each key of catalogs (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN catalog_version 'version of the catalog',
    COMMENT COLUMN holdout 'share of users without guidance, 0 to 1',
    COMMENT COLUMN rules 'share of users guided by rules alone, 0 to 1',
    COMMENT COLUMN exploration_floor 'least probability of each eligible arm, 0 to 1',
    COMMENT COLUMN attribution_window_ms 'attribution window in milliseconds',
    COMMENT COLUMN template_share 'share of decisions that keep their template, 0 to 1; -1 where the catalog has no wording',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE counted_people
    MODIFY COMMENT 'All users. A visitor who signed in counts as that user. Times that have not happened are NULL.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN path_id 'current path of the user',
    COMMENT COLUMN segment 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive; it never changes. A visitor who became a user has merged',
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
    COMMENT COLUMN avg_session_duration 'mean length of a session in seconds',
    COMMENT COLUMN engagement_score 'activity of the user, 0 to 100',
    COMMENT COLUMN first_seen_at 'first event, UTC',
    COMMENT COLUMN signup_at 'sign-up, UTC',
    COMMENT COLUMN last_active_at 'newest event, UTC',
    COMMENT COLUMN activated_at 'activation, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN guidance_at_signup 'what held for guidance at the sign-up: on, `guidance_paused` or `outside_ramp`, whatever the group';

ALTER TABLE dead_letters_by_reason
    MODIFY COMMENT 'Rejected messages by reason and topic, the most frequent first.',
    COMMENT COLUMN reason 'why they were rejected, in one word',
    COMMENT COLUMN topic 'topic or file of the message',
    COMMENT COLUMN messages 'rejected messages',
    COMMENT COLUMN first_at 'log time of the oldest, UTC',
    COMMENT COLUMN last_at 'log time of the newest, UTC';

ALTER TABLE dead_letters_final
    MODIFY COMMENT 'The newest row of each key of `dead_letters` (FINAL).',
    COMMENT COLUMN dead_letter_id 'topic, partition and offset of the message',
    COMMENT COLUMN reason 'why it was rejected, in one word; docs/events.md lists them',
    COMMENT COLUMN detail 'why it was rejected, in a sentence',
    COMMENT COLUMN topic 'topic or file of the message',
    COMMENT COLUMN source_partition 'partition of the input from which the message came',
    COMMENT COLUMN source_offset 'offset of the message in its partition',
    COMMENT COLUMN raw 'first 4 KiB of the message, undecodable bytes replaced; empty where nobody could tell whom it names',
    COMMENT COLUMN log_time 'when the log stored the message, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN user_ids 'whom the whole message names; a deletion finds the row by them',
    COMMENT COLUMN tenant_ids 'tenants that it names; a message that names none may be of anybody';

ALTER TABLE decisions_final
    MODIFY COMMENT 'The newest row of each key of decisions (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN decision_id 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN segment 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    COMMENT COLUMN outcome 'decided (an arm was chosen) or declined (it was not; see reason)',
    COMMENT COLUMN reason 'why no decision was made; empty for outcome decided',
    COMMENT COLUMN arm 'arm that was drawn; empty for outcome declined',
    COMMENT COLUMN propensity 'probability, 0 to 1, with which the arm was drawn; 0 for outcome declined',
    COMMENT COLUMN arms 'every eligible arm; empty for outcome declined',
    COMMENT COLUMN propensities 'probability of each of them, 0 to 1, in the same order',
    COMMENT COLUMN learner_version 'version of the posterior that was used',
    COMMENT COLUMN catalog_version 'version of the catalog that was in force',
    COMMENT COLUMN decided_at 'log time of the decision, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive; it never changes. A visitor who became a user has merged',
    COMMENT COLUMN parameters_version 'version of the step statistics that was used; 0 before the first was learned';

ALTER TABLE drop_off_rate_by_step
    MODIFY COMMENT 'Metric `drop_off_rate_by_step`: steps by drop-off before activation, the worst first. A user who works on a step counts as dropped off there until they complete it.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN position 'place of the step in the path, from 1',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN reached 'users for whom the step is or was open before activation',
    COMMENT COLUMN stopped_here 'of those, users who have not completed it',
    COMMENT COLUMN drop_off_rate '`stopped_here` / reached, 0 to 1; NULL where nobody reached it';

ALTER TABLE events_final
    MODIFY COMMENT 'The newest row of each key of events (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN event_id 'id of the event; a repeated event has the same',
    COMMENT COLUMN session_id 'session of the app, as the app sent it; may be empty',
    COMMENT COLUMN event_type 'type of the event; docs/events.md lists them',
    COMMENT COLUMN name 'name of the event, as track calls have one; may be empty',
    COMMENT COLUMN payload 'fields of the event beside the columns, as JSON',
    COMMENT COLUMN status 'applied, or why it was not: late, deleted or merged',
    COMMENT COLUMN timestamp 'when it happened by the clock of the app, UTC',
    COMMENT COLUMN log_time 'when the log stored the event, UTC',
    COMMENT COLUMN source_partition 'partition of the input from which the message came',
    COMMENT COLUMN source_offset 'offset of the message in its partition',
    COMMENT COLUMN traceparent 'W3C trace context of the message; empty without one',
    COMMENT COLUMN version 'version of the user when the event was applied, 0 for an event that was not: the largest is the newest';

ALTER TABLE experiment_groups
    MODIFY COMMENT 'Activation by group and by intention to treat. Left out, in all groups alike: who signed up while guidance was paused or outside of the ramp.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive; it never changes. A visitor who became a user has merged',
    COMMENT COLUMN people 'users of the group, without those who signed up while guidance was off for them',
    COMMENT COLUMN activated 'users who reached activation',
    COMMENT COLUMN activation_rate 'activated / `people`, 0 to 1',
    COMMENT COLUMN standard_error 'standard error of `activation_rate`',
    COMMENT COLUMN time_to_activation_p50_hours 'median hours from sign-up (else first event) to activation, of activated users; NULL without one';

ALTER TABLE exposures_ignored_by_reason
    MODIFY COMMENT 'Exposure events that match no recommendation. If there are any, check the app.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN reason '`unknown_recommendation` (an id that was not issued to this user) or `no_current_recommendation` (no id, and nothing was current)',
    COMMENT COLUMN events 'exposure events',
    COMMENT COLUMN people 'users, each counted once',
    COMMENT COLUMN example_user_id 'user of the newest of them',
    COMMENT COLUMN example_event_id 'event id of the newest of them';

ALTER TABLE features
    MODIFY COMMENT 'Features for models. One row for each user.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN user_persona 'trait persona as the app sent it; empty where unknown',
    COMMENT COLUMN signup_source 'where the user signed up from, as the app sent it; empty where unknown',
    COMMENT COLUMN engagement_score 'activity of the user, 0 to 100',
    COMMENT COLUMN company_size 'trait companySize as the app sent it; empty where unknown',
    COMMENT COLUMN use_case 'trait useCase as the app sent it; empty where unknown',
    COMMENT COLUMN time_since_signup 'hours from sign-up to the newest log time, at least 0; NULL before sign-up',
    COMMENT COLUMN steps_completed 'steps of the current path that are completed',
    COMMENT COLUMN session_count 'sessions so far',
    COMMENT COLUMN avg_session_duration 'mean length of a session in seconds';

ALTER TABLE freshness
    MODIFY COMMENT 'The age of the newest row of each table. After a bounded run over old events it is the age of that input.',
    COMMENT COLUMN table_name 'table',
    COMMENT COLUMN newest_at 'time of its newest row, UTC; NULL for an empty table',
    COMMENT COLUMN lag_seconds 'age of its newest row in seconds; NULL for an empty table';

ALTER TABLE funnel_by_step
    MODIFY COMMENT 'The funnel: the progress of users on their current path, until activation. For each tenant, path and step.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN position 'place of the step in the path, from 1',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN reached 'users for whom the step is or was open before activation',
    COMMENT COLUMN completed 'of those, users who completed it',
    COMMENT COLUMN step_completion_rate 'completed / reached, 0 to 1; NULL where nobody reached it',
    COMMENT COLUMN drop_off_rate '(reached - completed) / reached, 0 to 1; NULL where nobody reached it',
    COMMENT COLUMN median_hours 'median hours from the step becoming current to its completion; NULL without one',
    COMMENT COLUMN activated_before 'users who activated before the step became current, or for whom it did not',
    COMMENT COLUMN completed_after_activation 'of those, users who completed it afterwards';

ALTER TABLE guidance_performance
    MODIFY COMMENT 'Results of guidance by trigger and arm, over all decisions that chose an arm. Each decision counts once.',
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
    COMMENT COLUMN nudge_conversion_rate 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one';

ALTER TABLE guidance_state
    MODIFY COMMENT 'What holds now for each tenant that ever switched guidance.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN paused '1 while guidance is paused',
    COMMENT COLUMN ramp_share 'share of users, 0 to 1, that may be guided',
    COMMENT COLUMN since_at 'log time of the newest switch, UTC';

ALTER TABLE guidance_switches_final
    MODIFY COMMENT 'The newest row of each key of `guidance_switches` (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN switch_id 'id of the switch',
    COMMENT COLUMN action 'pause, resume or ramp',
    COMMENT COLUMN share 'share of users, 0 to 1, that may be guided; 1 for actions other than ramp',
    COMMENT COLUMN switched_by 'who switched',
    COMMENT COLUMN because 'why, in their words',
    COMMENT COLUMN switched_at 'by the clock of who switched, UTC',
    COMMENT COLUMN in_force_at 'log time from which it holds, the earliest of all partitions, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE llm_asked
    MODIFY COMMENT 'The decisions for which a model was asked, or its answer was looked for. Rows of `llm_calls_final`.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN decision_id 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN status 'improved (a text was sent to Redis) or kept (the template stayed; see reason)',
    COMMENT COLUMN reason 'why the template stayed; empty for status improved',
    COMMENT COLUMN source 'call, cache, coalesced (the running call of another decision), or empty where no model was asked',
    COMMENT COLUMN scope 'shared (one text serves all users of a place) or personal (one user); empty where no model was asked',
    COMMENT COLUMN experiment 'model or template for decisions that took part in the comparison of the two, else empty',
    COMMENT COLUMN cache_key 'key of the answer in the cache: what was asked; empty where no model was asked',
    COMMENT COLUMN prompt_version 'version of the prompt that was drawn',
    COMMENT COLUMN model 'name of the model that answered; empty where none did',
    COMMENT COLUMN input_tokens 'tokens of the prompts of the call',
    COMMENT COLUMN output_tokens 'tokens of its answers',
    COMMENT COLUMN cost_micros 'cost of the call in millionths of a dollar; 0 for cache and coalesced',
    COMMENT COLUMN latency_ms 'milliseconds from the request to the answer, retries included',
    COMMENT COLUMN attempts 'requests to the model server; 0 where the call ended before the first',
    COMMENT COLUMN confidence 'how sure the author of the text is of it, 0 to 1',
    COMMENT COLUMN checks 'JSON: a list of [check, reason]; the reason is empty where the check passed',
    COMMENT COLUMN unfilled_hash 'digest of the text before its slots were filled; empty without a text',
    COMMENT COLUMN validation_hash 'digest of the text as sent, like that of the recommendation; empty without a text',
    COMMENT COLUMN asked_at 'log time at which the text was wanted, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE llm_calls_final
    MODIFY COMMENT 'The newest row of each key of `llm_calls` (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN decision_id 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN status 'improved (a text was sent to Redis) or kept (the template stayed; see reason)',
    COMMENT COLUMN reason 'why the template stayed; empty for status improved',
    COMMENT COLUMN source 'call, cache, coalesced (the running call of another decision), or empty where no model was asked',
    COMMENT COLUMN scope 'shared (one text serves all users of a place) or personal (one user); empty where no model was asked',
    COMMENT COLUMN experiment 'model or template for decisions that took part in the comparison of the two, else empty',
    COMMENT COLUMN cache_key 'key of the answer in the cache: what was asked; empty where no model was asked',
    COMMENT COLUMN prompt_version 'version of the prompt that was drawn',
    COMMENT COLUMN model 'name of the model that answered; empty where none did',
    COMMENT COLUMN input_tokens 'tokens of the prompts of the call',
    COMMENT COLUMN output_tokens 'tokens of its answers',
    COMMENT COLUMN cost_micros 'cost of the call in millionths of a dollar; 0 for cache and coalesced',
    COMMENT COLUMN latency_ms 'milliseconds from the request to the answer, retries included',
    COMMENT COLUMN attempts 'requests to the model server; 0 where the call ended before the first',
    COMMENT COLUMN confidence 'how sure the author of the text is of it, 0 to 1',
    COMMENT COLUMN checks 'JSON: a list of [check, reason]; the reason is empty where the check passed',
    COMMENT COLUMN unfilled_hash 'digest of the text before its slots were filled; empty without a text',
    COMMENT COLUMN validation_hash 'digest of the text as sent, like that of the recommendation; empty without a text',
    COMMENT COLUMN asked_at 'log time at which the text was wanted, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE llm_cost_per_activation
    MODIFY COMMENT 'What models cost by day, from the first day with a row on. The cost of a user who activates, not of what a text achieved.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN day 'day, UTC',
    COMMENT COLUMN asked 'decisions for which a text of a model was looked for',
    COMMENT COLUMN calls 'of those, decisions whose call went to the model',
    COMMENT COLUMN improved 'of those, decisions for which a text was written',
    COMMENT COLUMN cost_dollars 'cost of the calls in dollars, as the settings price tokens',
    COMMENT COLUMN activations 'adaptive users who activated on that day',
    COMMENT COLUMN cost_per_activation '`cost_dollars` / activations in dollars; NULL without an activation';

ALTER TABLE llm_hit_rate
    MODIFY COMMENT 'How often an answer served again. Shared texts only.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN asked 'decisions for which a shared text was looked for',
    COMMENT COLUMN hits 'of those, answered from the cache or by a running call',
    COMMENT COLUMN from_cache 'answered from the cache',
    COMMENT COLUMN coalesced 'answered by the running call of another decision',
    COMMENT COLUMN calls 'calls to the model',
    COMMENT COLUMN hit_rate 'hits / asked, 0 to 1',
    COMMENT COLUMN distinct_keys 'different things that were asked',
    COMMENT COLUMN mean_cost_dollars 'mean cost of a call in dollars; NULL without a call',
    COMMENT COLUMN saved_dollars 'hits times `mean_cost_dollars`; NULL without a call';

ALTER TABLE llm_prompts
    MODIFY COMMENT 'The versions of the prompt against each other. A decision counts for the version that was drawn.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN prompt_version 'version of the prompt that was drawn',
    COMMENT COLUMN decisions 'decisions, each counted once',
    COMMENT COLUMN improved 'decisions for which a text was written',
    COMMENT COLUMN shown 'decisions that the app displayed',
    COMMENT COLUMN success 'decisions whose step was completed within the attribution window',
    COMMENT COLUMN failure 'decisions whose attribution window closed without it',
    COMMENT COLUMN improved_rate 'improved / decisions, 0 to 1',
    COMMENT COLUMN success_rate 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one',
    COMMENT COLUMN cost_dollars 'cost of the calls in dollars, as the settings price tokens';

ALTER TABLE llm_rejections
    MODIFY COMMENT 'The checks that texts of a model, or the input of their prompts, failed, the most frequent first.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN check 'check that failed',
    COMMENT COLUMN reason 'why it failed',
    COMMENT COLUMN rejected 'decisions at which this check failed for this reason',
    COMMENT COLUMN kept 'of those, where the template stayed in the end',
    COMMENT COLUMN checked 'decisions at which this check was made',
    COMMENT COLUMN share 'rejected / checked, 0 to 1';

ALTER TABLE model_against_template
    MODIFY COMMENT 'Is a text of a model worth more than the template? By intention to treat.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN experiment 'model or template: what the decision was drawn for',
    COMMENT COLUMN decisions 'decisions, each counted once',
    COMMENT COLUMN improved 'decisions for which a text was written',
    COMMENT COLUMN shown 'decisions that the app displayed',
    COMMENT COLUMN success 'decisions whose step was completed within the attribution window',
    COMMENT COLUMN failure 'decisions whose attribution window closed without it',
    COMMENT COLUMN shown_rate 'shown / decisions, 0 to 1',
    COMMENT COLUMN success_rate 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one',
    COMMENT COLUMN cost_dollars 'cost of the calls in dollars, as the settings price tokens';

ALTER TABLE non_decisions_by_reason
    MODIFY COMMENT 'Why nothing was decided, the most frequent reason first.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN reason 'why nothing was decided',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN non_decisions 'non-decisions',
    COMMENT COLUMN people 'users, each counted once';

ALTER TABLE outcomes_final
    MODIFY COMMENT 'The newest row of each key of outcomes (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN decision_id 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    COMMENT COLUMN kind 'an exposure (shown, clicked, dismissed) or the end: success, failure, expired, withdrawn or superseded',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN segment 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN occurred_at 'log time at which it happened, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE people_final
    MODIFY COMMENT 'The newest row of each key of `people` (FINAL). Times that have not happened are NULL.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN path_id 'current path of the user',
    COMMENT COLUMN segment 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    COMMENT COLUMN experiment_group 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive; it never changes. A visitor who became a user has merged',
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
    COMMENT COLUMN avg_session_duration 'mean length of a session in seconds',
    COMMENT COLUMN engagement_score 'activity of the user, 0 to 100',
    COMMENT COLUMN first_seen_at 'first event, UTC',
    COMMENT COLUMN signup_at 'sign-up, UTC',
    COMMENT COLUMN last_active_at 'newest event, UTC',
    COMMENT COLUMN activated_at 'activation, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN guidance_at_signup 'what held for guidance at the sign-up: on, `guidance_paused` or `outside_ramp`, whatever the group';

ALTER TABLE person_timeline
    MODIFY COMMENT 'Everything known of a user, in order. Filter by `tenant_id` and `user_id`.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN at 'when it happened, UTC: the clock of the app for events, else log time',
    COMMENT COLUMN kind 'event, progress, signal, decision, `non_decision`, recommendation, wording or outcome',
    COMMENT COLUMN what 'event type and name, reached or completed, trigger, arm, reason, UI component, improved or kept, or the outcome',
    COMMENT COLUMN path_id 'path of the catalog; empty for events',
    COMMENT COLUMN step_id 'step of the catalog; empty for events',
    COMMENT COLUMN trigger 'what asked for guidance; empty for events and progress',
    COMMENT COLUMN reason 'why; empty where there is nothing to say',
    COMMENT COLUMN arm 'arm; empty for rows without one',
    COMMENT COLUMN propensity 'probability, 0 to 1, with which the arm was drawn; NULL for other rows',
    COMMENT COLUMN decision_id 'id of the decision; empty for rows without one',
    COMMENT COLUMN detail 'payload, evidence, text or figures of the row',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN rank 'order of kinds of one moment and version',
    COMMENT COLUMN place 'order within a rank';

ALTER TABLE recommendations_final
    MODIFY COMMENT 'The newest row of each key of recommendations (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN decision_id 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    COMMENT COLUMN recommendation_id 'signed id that the app sends back with exposure events',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN propensity 'probability, 0 to 1, with which the arm was drawn',
    COMMENT COLUMN message 'text that the user reads',
    COMMENT COLUMN ui_component 'how the app displays it: tooltip, modal, `sidebar_hint`, `email_trigger`; none withdraws the guidance',
    COMMENT COLUMN deep_link 'link in the app to the step',
    COMMENT COLUMN confidence 'how sure the author of the text is of it, 0 to 1',
    COMMENT COLUMN source 'who wrote the text: template, llm (a call) or cache (an answer of before)',
    COMMENT COLUMN prompt_version 'version of the prompt; empty where no model wrote the text',
    COMMENT COLUMN validation_hash 'digest of message, UI component and link, with which a reader verifies that the text was not changed',
    COMMENT COLUMN trace_id 'trace of the message that caused it; empty without one',
    COMMENT COLUMN reason 'why it was withdrawn; empty for guidance',
    COMMENT COLUMN created_at 'log time at which it was decided, UTC',
    COMMENT COLUMN expires_at 'when it stops being current, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE step_metrics
    MODIFY COMMENT 'Figures of each minute: by step, metric and label.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN minute 'minute of log time, UTC',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN metric 'what is counted: completed, signal, decision, `non_decision`, event, or a kind of outcome',
    COMMENT COLUMN label 'refines the metric (trigger, reason, event type); may be empty',
    COMMENT COLUMN total 'figure of the minute';

ALTER TABLE step_metrics_1m_final
    MODIFY COMMENT 'The newest row of each key of `step_metrics_1m` (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN minute 'minute of log time, UTC',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN metric 'what is counted: completed, signal, decision, `non_decision`, event, or a kind of outcome',
    COMMENT COLUMN label 'refines the metric (trigger, reason, event type); may be empty',
    COMMENT COLUMN count 'part of the figure of the minute: add up all rows of a minute',
    COMMENT COLUMN partial_id 'place of the part in the spool: the same at every delivery';

ALTER TABLE step_progress_final
    MODIFY COMMENT 'The newest row of each key of `step_progress` (FINAL). Times that have not happened are NULL.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN position 'place of the step in the path, from 1',
    COMMENT COLUMN status 'locked (not reached), current (is or was) or completed',
    COMMENT COLUMN attempts 'attempts at the step as of `updated_at`',
    COMMENT COLUMN errors 'errors at the step as of `updated_at`',
    COMMENT COLUMN first_seen_at 'first event at the step, UTC',
    COMMENT COLUMN last_seen_at 'newest event at the step, UTC',
    COMMENT COLUMN current_since_at 'when the step became current, UTC; stays unset for a step completed ahead of its turn',
    COMMENT COLUMN completed_at 'completion of the step, UTC',
    COMMENT COLUMN updated_at 'log time as of which counts and times are, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE step_statistics_final
    MODIFY COMMENT 'The newest row of each key of `step_statistics` (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN step_id 'step of the catalog, or * for the detector as a whole',
    COMMENT COLUMN parameters_version 'version under which these parameters were published',
    COMMENT COLUMN horizon_ms 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    COMMENT COLUMN median_ms 'median milliseconds from the step becoming current to its completion',
    COMMENT COLUMN completion_share 'share, 0 to 1, that completed or left the step within the horizon',
    COMMENT COLUMN episodes 'episodes (a user at a step) that have ended',
    COMMENT COLUMN curve_ms 'times of the survival curve in milliseconds since the step became current',
    COMMENT COLUMN survival 'for each of those times the share, 0 to 1, that has not completed the step',
    COMMENT COLUMN weights 'JSON, on the row * only: operating point of the alarms and the weight of evidence beside time alone',
    COMMENT COLUMN learned_at 'log time at which it was learned, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE step_statistics_latest
    MODIFY COMMENT 'The parameters in force. One row for each step.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN step_id 'step of the catalog, or * for the detector as a whole',
    COMMENT COLUMN parameters_version 'version under which these parameters were published',
    COMMENT COLUMN horizon_ms 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    COMMENT COLUMN median_ms 'median milliseconds from the step becoming current to its completion',
    COMMENT COLUMN completion_share 'share, 0 to 1, that completed or left the step within the horizon',
    COMMENT COLUMN episodes 'episodes (a user at a step) that have ended',
    COMMENT COLUMN curve_ms 'times of the survival curve in milliseconds since the step became current',
    COMMENT COLUMN survival 'for each of those times the share, 0 to 1, that has not completed the step',
    COMMENT COLUMN weights 'JSON, on the row * only: operating point of the alarms and the weight of evidence beside time alone',
    COMMENT COLUMN learned_at 'log time at which it was learned, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE stuck_episodes
    MODIFY COMMENT 'Episodes of held-out users, who get no guidance: a user at a step since it became current. Younger ones than the horizon are not in it.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN since_at 'when the step became current, UTC',
    COMMENT COLUMN horizon_ms 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    COMMENT COLUMN completed_after_ms 'milliseconds from then to the completion; NULL without one',
    COMMENT COLUMN stuck '1 if the step was not completed within the horizon',
    COMMENT COLUMN alarmed '1 if there was an alarm',
    COMMENT COLUMN trigger 'kind of the first alarm; empty without one',
    COMMENT COLUMN alarm_after_ms 'milliseconds from `since_at` to the first alarm; NULL without one',
    COMMENT COLUMN score 'score of the first alarm, 0 to 1; NULL without one',
    COMMENT COLUMN matched '1 if the episode was stuck and the alarm came within half of the horizon';

ALTER TABLE stuck_scorecard
    MODIFY COMMENT 'The operating point of the alarms: the precision that the catalog asks for, and what is reached.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN asked_precision 'precision that the catalog asks for, 0 to 1',
    COMMENT COLUMN precision 'precision that past users say is reached, 0 to 1',
    COMMENT COLUMN recall 'recall there, 0 to 1',
    COMMENT COLUMN reachable '1 if the asked precision is in reach; else alarms are raised at the best one in reach',
    COMMENT COLUMN early_threshold 'score from which an alarm is raised before the last look at a user; NULL for never',
    COMMENT COLUMN threshold 'score from which an alarm is raised at the last look; NULL for never',
    COMMENT COLUMN episodes 'episodes from which it was learned',
    COMMENT COLUMN learned_at 'log time at which it was learned, UTC';

ALTER TABLE stuck_scorecard_by_step
    MODIFY COMMENT 'The quality of the alarms by step, measured on held-out users.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN episodes 'episodes of held-out users that are older than the horizon',
    COMMENT COLUMN stuck_people 'of those, episodes that were stuck',
    COMMENT COLUMN alarms 'episodes with an alarm; the first one counts',
    COMMENT COLUMN matched_alarms 'alarms that were right: the user was stuck, and the alarm came within half of the horizon',
    COMMENT COLUMN precision '`matched_alarms` / alarms, 0 to 1; NULL without an alarm',
    COMMENT COLUMN recall '`matched_alarms` / `stuck_people`, 0 to 1; NULL without a stuck episode',
    COMMENT COLUMN recovered_alone 'share, 0 to 1, of the alarms after which the user completed the step within the horizon without guidance',
    COMMENT COLUMN lead_hours 'median hours from the alarm to the horizon, of matched alarms; NULL without one';

ALTER TABLE stuck_scorecard_by_trigger
    MODIFY COMMENT 'The quality of the alarms by kind. An episode without an alarm has no kind, so there is no recall.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'kind of the first alarm of the episode',
    COMMENT COLUMN alarms 'episodes with an alarm; the first one counts',
    COMMENT COLUMN matched_alarms 'alarms that were right: the user was stuck, and the alarm came within half of the horizon',
    COMMENT COLUMN precision '`matched_alarms` / alarms, 0 to 1',
    COMMENT COLUMN found '`matched_alarms` / all stuck episodes, 0 to 1; NULL without one',
    COMMENT COLUMN mean_score 'mean score of the alarms, 0 to 1',
    COMMENT COLUMN recovered_alone 'share, 0 to 1, of the alarms after which the user completed the step within the horizon without guidance',
    COMMENT COLUMN lead_hours 'median hours from the alarm to the horizon, of matched alarms; NULL without one';

ALTER TABLE stuck_scores_final
    MODIFY COMMENT 'The newest row of each key of `stuck_scores` (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN share 'share of the horizon, 0 to 1, that the user had waited',
    COMMENT COLUMN score 'estimated probability, 0 to 1, that the user will neither complete nor leave the step within the horizon',
    COMMENT COLUMN time_alone 'share, 0 to 1, of stuck users among those who waited as long at this step before',
    COMMENT COLUMN horizon_ms 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    COMMENT COLUMN judged_at 'log time of the judgement, UTC',
    COMMENT COLUMN parameters_version 'version of the step statistics that was used; 0 before the first was learned',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE stuck_signals_by_step
    MODIFY COMMENT 'Alarms by step and kind.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN signals 'stuck signals',
    COMMENT COLUMN people 'users, each counted once';

ALTER TABLE stuck_signals_by_trigger
    MODIFY COMMENT 'Alarms by kind.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN signals 'stuck signals',
    COMMENT COLUMN people 'users, each counted once';

ALTER TABLE stuck_signals_final
    MODIFY COMMENT 'The newest row of each key of `stuck_signals` (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN signal_id 'id of the signal',
    COMMENT COLUMN user_id 'id of the user as the app sent it, or of a visitor before they signed in',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN evidence 'JSON: the evidence, and what each part of it added to the score',
    COMMENT COLUMN detected_at 'log time of the alarm, UTC',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest',
    COMMENT COLUMN score 'estimated probability, 0 to 1, that the user will not complete the step within its horizon without help',
    COMMENT COLUMN parameters_version 'version of the step statistics that was used; 0 before the first was learned';
