-- What the migrations make, for an empty database. Written by `make tables`.

CREATE TABLE IF NOT EXISTS arm_posteriors
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `context` String COMMENT '* for the arm as a whole, else step|segment',
    `alpha` Float64 COMMENT 'first parameter of the Beta distribution: successes, with the prior',
    `beta` Float64 COMMENT 'second parameter of the Beta distribution: failures, with the prior',
    `updates` UInt64 COMMENT 'outcomes that the learner has counted',
    `updated_at` DateTime64(3, 'UTC') COMMENT 'log time of the fit, UTC',
    `version` UInt64 COMMENT 'version of the fit; each fit keeps its rows'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, trigger, arm, context, version)
COMMENT 'The posterior of each arm in each context after each fit. Written by the step choose. Newest fit: `arm_posteriors_latest`. A row that was delivered twice counts once in `arm_posteriors_final`.';

CREATE TABLE IF NOT EXISTS arm_stops
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `arm_version` LowCardinality(String) COMMENT 'version of the arm in the catalog; a changed arm begins anew',
    `confidence` Float64 COMMENT 'probability, 0 to 1, that the arm harms',
    `margin` Float64 COMMENT 'difference of success rates beyond which an arm counts as harmful',
    `rate` Float64 COMMENT 'estimated success rate of the arm, 0 to 1',
    `others_rate` Float64 COMMENT 'that of the other arms, 0 to 1',
    `outcomes` Float64 COMMENT 'outcomes of the arm that were counted',
    `stopped_at` DateTime64(3, 'UTC') COMMENT 'log time of the stop, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, trigger, arm, arm_version)
COMMENT 'Arms that were stopped for harm. Written by the step choose. Newest row of a key: `arm_stops_final`, or argMax by version.';

CREATE TABLE IF NOT EXISTS catalogs
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `catalog_version` LowCardinality(String) COMMENT 'version of the catalog',
    `holdout` Float64 COMMENT 'share of users without guidance, 0 to 1; 1 where the catalog only observes',
    `rules` Float64 COMMENT 'share of users guided by rules alone, 0 to 1',
    `exploration_floor` Float64 COMMENT 'least probability of each eligible arm, 0 to 1',
    `attribution_window_ms` UInt64 COMMENT 'attribution window in milliseconds',
    `template_share` Float64 COMMENT 'share of decisions that keep their template, 0 to 1; -1 where the catalog has no wording',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `strict_paths` Array(String) DEFAULT [] COMMENT 'paths where the order of the steps matters',
    `steps_without_alarms` Array(String) DEFAULT [] COMMENT 'steps at which nobody raises an alarm, by `alarms: false`'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, catalog_version)
COMMENT 'What each version of the catalog promised of the experiment. Written by the step choose when somebody meets it for the first time. Newest row of a key: `catalogs_final`, or argMax by version.';

CREATE TABLE IF NOT EXISTS dead_letters
(
    `dead_letter_id` String COMMENT 'topic, partition and offset of the message',
    `reason` LowCardinality(String) COMMENT 'why it was rejected, in one word; docs/events.md lists them',
    `detail` String COMMENT 'why it was rejected, in a sentence',
    `topic` LowCardinality(String) COMMENT 'topic or file of the message',
    `source_partition` Int32 COMMENT 'partition of the input from which the message came',
    `source_offset` Int64 COMMENT 'offset of the message in its partition',
    `raw` String COMMENT 'first 4 KiB of the message, undecodable bytes replaced; empty where nobody could tell whom it names',
    `log_time` DateTime64(3, 'UTC') COMMENT 'when the log stored the message, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `user_ids` Array(String) COMMENT 'whom the whole message and its key name; a deletion finds the row by them',
    `tenant_ids` Array(String) COMMENT 'its tenant, default where it leaves that out; where no sender can be read, all that it names; empty: nobody can tell'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY dead_letter_id
COMMENT 'One row for each message that was rejected. Written by the step decode. Newest row of a key: `dead_letters_final`, or argMax by version.';

CREATE TABLE IF NOT EXISTS decisions
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `decision_id` String COMMENT 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `segment` LowCardinality(String) COMMENT 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    `outcome` LowCardinality(String) COMMENT 'decided (an arm was chosen) or declined (it was not; see reason)',
    `reason` LowCardinality(String) COMMENT 'why no decision was made; empty for outcome decided',
    `arm` LowCardinality(String) COMMENT 'arm that was drawn; empty for outcome declined',
    `propensity` Float64 COMMENT 'probability, 0 to 1, with which the arm was drawn; 0 for outcome declined',
    `arms` Array(LowCardinality(String)) COMMENT 'every eligible arm; empty for outcome declined',
    `propensities` Array(Float64) COMMENT 'probability of each of them, 0 to 1, in the same order',
    `learner_version` UInt64 COMMENT 'version of the posterior that was used',
    `catalog_version` LowCardinality(String) COMMENT 'version of the catalog that was in force',
    `decided_at` DateTime64(3, 'UTC') COMMENT 'log time of the decision, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `experiment_group` LowCardinality(String) DEFAULT 'adaptive' COMMENT 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive, drawn once and kept; existing while the user does not begin the onboarding, by `starts` of the catalog. A visitor who became a user has merged',
    `parameters_version` UInt64 DEFAULT 0 COMMENT 'version of the step statistics that was used; 0 before the first was learned',
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, decision_id)
COMMENT 'One row for each decision about guidance, or for the reason why there was none. Written by the steps choose (decided) and track (declined). Newest row of a key: `decisions_final`, or argMax by version.';

CREATE TABLE IF NOT EXISTS events
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `event_id` String COMMENT 'id of the event; a repeated event has the same',
    `session_id` String COMMENT 'session of the app, as the app sent it; may be empty',
    `event_type` LowCardinality(String) COMMENT 'type of the event; docs/events.md lists them',
    `name` LowCardinality(String) COMMENT 'name of the event, as track calls have one; may be empty',
    `payload` String COMMENT 'fields of the event beside the columns, as JSON',
    `status` LowCardinality(String) COMMENT 'applied, or why it was not: late, deleted or merged',
    `timestamp` DateTime64(3, 'UTC') COMMENT 'when it happened by the clock of the app, UTC',
    `log_time` DateTime64(3, 'UTC') COMMENT 'when the log stored the event, UTC',
    `source_partition` Int32 COMMENT 'partition of the input from which the message came',
    `source_offset` Int64 COMMENT 'offset of the message in its partition',
    `traceparent` String COMMENT 'W3C trace context of the message; empty without one',
    `version` UInt64 COMMENT 'version of the user when the event was applied, 0 for an event that was not: the largest is the newest'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (tenant_id, user_id, event_id)
COMMENT 'One row for each accepted event of a user, also for those that were not applied. Written by the step track. Newest row of a key: `events_final`, or argMax by version.';

CREATE TABLE IF NOT EXISTS guidance_switches
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `switch_id` String COMMENT 'id of the switch',
    `action` LowCardinality(String) COMMENT 'pause, resume or ramp',
    `share` Float64 COMMENT 'share of users, 0 to 1, that may be guided; 1 for actions other than ramp',
    `switched_by` String COMMENT 'who switched',
    `because` String COMMENT 'why, in their words',
    `switched_at` DateTime64(3, 'UTC') COMMENT 'by the clock of who switched, UTC',
    `in_force_at` DateTime64(3, 'UTC') COMMENT 'log time from which it holds, the earliest of all partitions, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, switch_id)
COMMENT 'Who paused, resumed or ramped guidance, when and why. Written by the step switches. Newest row of a key: `guidance_switches_final`, or argMax by version.';

CREATE TABLE IF NOT EXISTS llm_answers
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `decision_id` String COMMENT 'id of the decision that is charged for the call; joins decisions, recommendations, outcomes and `llm_calls`',
    `user_id` String COMMENT 'user of that decision, who need not be the only one whom a shared text serves; the row is erased with them',
    `recommendation_id` String COMMENT 'signed id that the app sends back with exposure events',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `scope` LowCardinality(String) COMMENT 'shared (one text serves all users of a place) or personal (one user)',
    `status` LowCardinality(String) COMMENT 'accepted (the answer passed all checks), rejected (a check refused it), failed (no answer) or cancelled (nobody waited any more)',
    `refused_by` LowCardinality(String) COMMENT 'check that rejected the answer; empty for other statuses, and where a reviewer had rejected the same text before',
    `reason` LowCardinality(String) COMMENT 'why it was rejected, failed or was cancelled; empty for status accepted',
    `prompt_version` LowCardinality(String) COMMENT 'version of the prompt that was drawn',
    `prompt` String COMMENT 'what was sent: the system message, an empty line, the message of the user. Personal data that redaction recognises was taken out' CODEC(ZSTD(1)),
    `answer` String COMMENT 'what the model wrote, at most 20,000 characters; empty unless it was rejected. It may hold personal data' CODEC(ZSTD(1)),
    `model` LowCardinality(String) COMMENT 'name of the model that answered; where none did, the name under which it was asked',
    `input_tokens` UInt32 COMMENT 'tokens of the prompts of the call',
    `output_tokens` UInt32 COMMENT 'tokens of its answers',
    `cost_micros` UInt64 COMMENT 'cost of the call in millionths of a dollar',
    `trace_id` String COMMENT 'id of the trace of the event that led to the decision; empty without one',
    `called_at` DateTime64(3, 'UTC') COMMENT 'when the model was called by the clock of the job, UTC; the days of keeping count from here',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, decision_id)
COMMENT 'One row for each call of a model while ONRAMP_LLM_KEEP_DAYS is set: the prompt, and the answer where it was rejected. Written by the step enrich. Newest row of a key: `llm_answers_final`, or argMax by version.';

CREATE TABLE IF NOT EXISTS llm_calls
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `decision_id` String COMMENT 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `status` LowCardinality(String) COMMENT 'improved (a text was sent to Redis, which refuses it if it comes too late) or kept (the template stayed; see reason)',
    `reason` LowCardinality(String) COMMENT 'why the template stayed; empty for status improved',
    `source` LowCardinality(String) COMMENT 'call, cache, coalesced (the running call of another decision), or empty where no model was asked',
    `scope` LowCardinality(String) COMMENT 'shared (one text serves all users of a place) or personal (one user); empty where no model was asked',
    `experiment` LowCardinality(String) COMMENT 'model or template for decisions that took part in the comparison of the two, else empty',
    `cache_key` String COMMENT 'key of the answer in the cache: what was asked; empty where no model was asked',
    `prompt_version` LowCardinality(String) COMMENT 'version of the prompt that was drawn',
    `model` LowCardinality(String) COMMENT 'name of the model that answered; empty where none did',
    `input_tokens` UInt32 COMMENT 'tokens of the prompts of the call',
    `output_tokens` UInt32 COMMENT 'tokens of its answers',
    `cost_micros` UInt64 COMMENT 'cost of the call in millionths of a dollar; 0 for cache and coalesced',
    `latency_ms` UInt32 COMMENT 'milliseconds from the request to the answer, retries included',
    `attempts` UInt32 COMMENT 'requests to the model server; 0 where the call ended before the first',
    `confidence` Float64 COMMENT 'how sure the author of the text is of it, 0 to 1',
    `checks` String COMMENT 'JSON: a list of [check, reason]; the reason is empty where the check passed',
    `unfilled_hash` String COMMENT 'digest of the text before its slots were filled; empty without a text',
    `validation_hash` String COMMENT 'digest of the text as sent, like that of the recommendation; empty without a text',
    `asked_at` DateTime64(3, 'UTC') COMMENT 'log time at which the text was wanted, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, decision_id)
COMMENT 'One row for each decision that a model could have worded, also where none was asked. Rejected texts are not in it: `llm_answers` has them, where they are kept. Written by the step enrich. Newest row of a key: `llm_calls_final`, or argMax by version.';

CREATE TABLE IF NOT EXISTS outcomes
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `decision_id` String COMMENT 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    `kind` LowCardinality(String) COMMENT 'an exposure (shown, clicked, dismissed) or the end: success, failure, expired, withdrawn or superseded. One that was shown and then withdrawn is neither success nor failure',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `segment` LowCardinality(String) COMMENT 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `occurred_at` DateTime64(3, 'UTC') COMMENT 'when it happened, UTC: an exposure and success by the clock of the app, but not after log time; the end of the window for failure; else log time',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, decision_id, kind)
COMMENT 'One row for each exposure of a decision and for its end. Written by the step choose. Newest row of a key: `outcomes_final`, or argMax by version.';

CREATE TABLE IF NOT EXISTS people
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `path_id` LowCardinality(String) COMMENT 'current path of the user',
    `segment` LowCardinality(String) COMMENT 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    `experiment_group` LowCardinality(String) COMMENT 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive, drawn once and kept; existing while the user does not begin the onboarding, by `starts` of the catalog, and did not under an earlier one or with earlier traits. A visitor who became a user has merged',
    `user_persona` LowCardinality(String) COMMENT 'trait persona as the app sent it; empty where unknown',
    `use_case` LowCardinality(String) COMMENT 'trait useCase as the app sent it; empty where unknown',
    `company_size` LowCardinality(String) COMMENT 'trait companySize as the app sent it; empty where unknown',
    `signup_source` LowCardinality(String) COMMENT 'where the user signed up from, as the app sent it; empty where unknown',
    `tier` LowCardinality(String) COMMENT 'tier of the user at the product; empty where unknown',
    `locale` LowCardinality(String) COMMENT 'language of the user as the app sent it; empty where unknown',
    `guidance` Bool COMMENT 'false for a user who opted out of guidance',
    `steps_completed` UInt32 COMMENT 'steps of the current path that are completed',
    `steps_total` UInt32 COMMENT 'steps of the current path',
    `session_count` UInt32 COMMENT 'sessions so far',
    `avg_session_duration` Float64 COMMENT 'mean length in seconds of the sessions that have ended: all but the newest; 0 before the second begins',
    `engagement_score` Float64 COMMENT 'activity of the user, 0 to 100',
    `first_seen_at` DateTime64(3, 'UTC') COMMENT 'first event by the clock of the app, UTC',
    `signup_at` DateTime64(3, 'UTC') COMMENT 'sign-up by the clock of the app, UTC',
    `last_active_at` DateTime64(3, 'UTC') COMMENT 'newest event as of this row, by the clock of the app, UTC: in the newest session. A row is written when a session begins or something else in it changes, not with each event; the newest of all is in `events`',
    `activated_at` DateTime64(3, 'UTC') COMMENT 'activation by the clock of the app, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `guidance_at_signup` LowCardinality(String) DEFAULT 'on' COMMENT 'what held for guidance when the user began: at the sign-up; at the first event where guidance was considered under this id before it (unless the onboarding begins with the sign-up) or there is none. on, `guidance_paused` or `outside_ramp`, whatever the group. For a user who was considered as a visitor, `onramp report` takes that of the visitor',
    `entered_under` LowCardinality(String) DEFAULT '' COMMENT 'version of the catalog under which the user began, whose shares drew the group; joins `catalogs`. Empty for users from before this column',
    `visitor_draw` Nullable(Float64) DEFAULT NULL COMMENT 'the draw of the visitor as whom the group was drawn, whom the first merge of the user named before guidance was considered: it tells which visitor, and names nobody. -1 where the group was drawn under their own id, NULL in rows of releases before this column',
    `person_key` String DEFAULT '' COMMENT 'the stream key, a keyed digest, under which the user counts: the own one, and of a visitor who signed in that of the user. It names nobody. Empty in rows of releases before this column' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, user_id)
COMMENT 'One row for each user or visitor. The time 1970-01-01 means that it has not happened. Written by the step track upon each change. Newest row of a key: `people_final`, or argMax by version.';

CREATE TABLE IF NOT EXISTS recommendations
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `decision_id` String COMMENT 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    `recommendation_id` String COMMENT 'signed id that the app sends back with exposure events',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `propensity` Float64 COMMENT 'probability, 0 to 1, with which the arm was drawn',
    `message` String COMMENT 'text that was sent for the user to read',
    `ui_component` LowCardinality(String) COMMENT 'how the app displays it: tooltip, modal, `sidebar_hint`, `email_trigger`; none withdraws the guidance',
    `deep_link` String COMMENT 'link in the app to the step',
    `confidence` Float64 COMMENT 'how sure the author of the text is of it, 0 to 1',
    `source` LowCardinality(String) COMMENT 'who wrote the text: template, llm (a call) or cache (an answer of before)',
    `prompt_version` LowCardinality(String) COMMENT 'version of the prompt; empty where no model wrote the text',
    `validation_hash` String COMMENT 'digest of message, UI component and link, with which a reader verifies that the text was not changed',
    `trace_id` String COMMENT 'trace of the message that caused it; empty without one',
    `reason` LowCardinality(String) COMMENT 'why it was withdrawn; empty for guidance',
    `created_at` DateTime64(3, 'UTC') COMMENT 'log time at which it was decided, UTC',
    `expires_at` DateTime64(3, 'UTC') COMMENT 'when it stops being current, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, user_id, version, source)
COMMENT 'One row for each version of a record that was sent to Redis, where the app reads it. A text of a model that came too late was refused there, and its row is here all the same. Written by the steps compose (template) and enrich (text of a model). Newest row of a key: `recommendations_final`, or argMax by version.';

CREATE TABLE IF NOT EXISTS schema_migrations
(
    `version` UInt32 COMMENT 'number of the migration',
    `name` String COMMENT 'name of its file',
    `checksum` String COMMENT 'SHA-256 of the file',
    `applied_at` DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'when it was applied, UTC'
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY version
COMMENT 'The migrations that were applied to this database. Written by migrate at the start of the job. Newest row of a version: FINAL.';

CREATE TABLE IF NOT EXISTS step_metrics_1m
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `minute` DateTime64(3, 'UTC') COMMENT 'minute in which it happened, UTC: by the clock of the app for event and completed, else as in the table that it counts',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `metric` LowCardinality(String) COMMENT 'what is counted: completed (once for each user and step; a visitor\'s are taken back when the user takes them over), signal, decision, `non_decision`, event, or a kind of outcome',
    `label` LowCardinality(String) COMMENT 'refines the metric (trigger, reason, event type); may be empty',
    `count` Int64 COMMENT 'part of the figure of the minute: add up all rows of a minute',
    `partial_id` String COMMENT 'place of the part in the spool: the same at every delivery'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (tenant_id, minute, path_id, step_id, metric, label, partial_id)
COMMENT 'Parts of figures by minute, step, metric and label. They add up. Written by the step facts. A part that was delivered twice counts once in `step_metrics_1m_final`; the sums are in `step_metrics`.';

CREATE TABLE IF NOT EXISTS step_progress
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog; empty in the row without a step',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog; empty in the row that is written when the user meets another catalog',
    `position` Int32 COMMENT 'place of the step in the path, from 1',
    `status` LowCardinality(String) COMMENT 'locked (not reached), current (is or was) or completed; `catalog_changed` in the row without a step',
    `attempts` UInt32 COMMENT 'attempts at the step as of `updated_at`',
    `errors` UInt32 COMMENT 'errors at the step as of `updated_at`',
    `first_seen_at` DateTime64(3, 'UTC') COMMENT 'first event at the step by the clock of the app, UTC',
    `last_seen_at` DateTime64(3, 'UTC') COMMENT 'newest event at the step by the clock of the app, UTC',
    `current_since_at` DateTime64(3, 'UTC') COMMENT 'when the step became current, UTC; earlier where a visitor came to it who is merged later and did it. Unset for a step completed ahead of its turn',
    `completed_at` DateTime64(3, 'UTC') COMMENT 'completion of the step by the clock of the app, UTC',
    `updated_at` DateTime64(3, 'UTC') COMMENT 'log time as of which counts and times are, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `path_order` LowCardinality(String) DEFAULT 'free' COMMENT 'order of the path in the catalog: free, or strict where it matters; free in rows that an older release wrote'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, user_id, path_id, step_id)
COMMENT 'The progress of a user on one step of a path. The time 1970-01-01 means that it has not happened. When a user meets another catalog, a row without path and step is written: what is older is of steps that left the path. Written by the step track upon each change. Newest row of a key: `step_progress_final`, or argMax by version; without steps that left the path: `step_progress_in_force`.';

CREATE TABLE IF NOT EXISTS step_statistics
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog, or * for the detector as a whole',
    `parameters_version` UInt64 COMMENT 'version under which these parameters were published',
    `horizon_ms` Float64 COMMENT 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    `median_ms` Float64 COMMENT 'median milliseconds from the step becoming current to its completion',
    `completion_share` Float64 COMMENT 'share, 0 to 1, that completed or left the step within the horizon',
    `episodes` Float64 COMMENT 'episodes (a user at a step) that have ended',
    `curve_ms` Array(Float64) COMMENT 'times of the survival curve in milliseconds since the step became current',
    `survival` Array(Float64) COMMENT 'for each of those times the share, 0 to 1, that has not completed the step',
    `weights` String COMMENT 'JSON, on the row * only: operating point of the alarms and the weight of evidence beside time alone',
    `learned_at` DateTime64(3, 'UTC') COMMENT 'log time at which it was learned, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, step_id, parameters_version)
COMMENT 'What was learned about each step under each version of the parameters. Written by the step estimate. In force: `step_statistics_latest`. A row that was delivered twice counts once in `step_statistics_final`.';

CREATE TABLE IF NOT EXISTS stuck_scores
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `share` Float64 COMMENT 'share of the horizon, 0 to 1, that the user had waited',
    `score` Float64 COMMENT 'estimated probability, 0 to 1, that the user will neither complete nor leave the step within the horizon',
    `time_alone` Float64 COMMENT 'share, 0 to 1, of stuck users among those who waited as long at this step before',
    `horizon_ms` Float64 COMMENT 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    `judged_at` DateTime64(3, 'UTC') COMMENT 'log time of the judgement, UTC',
    `parameters_version` UInt64 COMMENT 'version of the step statistics that was used; 0 before the first was learned',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, user_id, step_id, share)
COMMENT 'What was said about each held-out user who still waited at a share of the horizon of their step. Written by the step track. Newest row of a key: `stuck_scores_final`, or argMax by version.';

CREATE TABLE IF NOT EXISTS stuck_signals
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `signal_id` String COMMENT 'id of the signal',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `evidence` String COMMENT 'JSON: the evidence, and what each part of it added to the score',
    `detected_at` DateTime64(3, 'UTC') COMMENT 'log time of the alarm, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `score` Float64 DEFAULT 0 COMMENT 'estimated probability, 0 to 1, that the user will not complete the step within its horizon without help',
    `parameters_version` UInt64 DEFAULT 0 COMMENT 'version of the step statistics that was used; 0 before the first was learned',
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, signal_id)
COMMENT 'One row for each alarm that a user is stuck. Written by the step track. Newest row of a key: `stuck_signals_final`, or argMax by version.';

CREATE OR REPLACE VIEW activation
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `people` UInt64 COMMENT 'users who begin the onboarding, or began it under an earlier catalog or with earlier traits, each counted once',
    `started` UInt64 COMMENT 'users who worked on at least one step of any path',
    `activated` UInt64 COMMENT 'users who reached activation',
    `onboarding_start_rate` Float64 COMMENT 'started / `people`, 0 to 1',
    `activation_rate` Float64 COMMENT 'activated / `people`, 0 to 1',
    `time_to_activation_p50_hours` Nullable(Float64) COMMENT 'median hours to activation, of activated users: from the sign-up; from the first event for those without one, or who activated before it; NULL without one'
)
COMMENT 'Start, activation and median time to it. For each tenant.'
AS SELECT
    tenant_id,
    count() AS people,
    countIf((tenant_id, user_id) IN (
        SELECT
            tenant_id,
            user_id
        FROM step_progress
        WHERE first_seen_at > toDateTime64(0, 3, 'UTC')
    )) AS started,
    countIf(activated_at IS NOT NULL) AS activated,
    started / people AS onboarding_start_rate,
    activated / people AS activation_rate,
    if(activated = 0, NULL, quantileExactInclusiveIf(0.5)(dateDiff('millisecond', assumeNotNull(coalesce(if(signup_at <= activated_at, signup_at, NULL), first_seen_at, activated_at)), assumeNotNull(activated_at)) / 3600000, activated_at IS NOT NULL)) AS time_to_activation_p50_hours
FROM counted_people
GROUP BY tenant_id
ORDER BY tenant_id ASC;

CREATE OR REPLACE VIEW activation_by_cohort
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `signup_week` Date COMMENT 'Monday of the week of the sign-up, UTC',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `user_persona` LowCardinality(String) COMMENT 'trait persona as the app sent it; empty where unknown',
    `people` UInt64 COMMENT 'users who begin the onboarding, or began it under an earlier catalog or with earlier traits, each counted once',
    `activated` UInt64 COMMENT 'users who reached activation',
    `activation_rate` Float64 COMMENT 'activated / `people`, 0 to 1',
    `time_to_activation_p50_hours` Nullable(Float64) COMMENT 'median hours to activation, of activated users: from the sign-up; from the first event for those without one, or who activated before it; NULL without one'
)
COMMENT 'Activation by week of sign-up, path and persona.'
AS SELECT
    tenant_id,
    toMonday(assumeNotNull(coalesce(signup_at, first_seen_at, last_active_at))) AS signup_week,
    path_id,
    user_persona,
    count() AS people,
    countIf(activated_at IS NOT NULL) AS activated,
    activated / people AS activation_rate,
    if(activated = 0, NULL, quantileExactInclusiveIf(0.5)(dateDiff('millisecond', assumeNotNull(coalesce(if(signup_at <= activated_at, signup_at, NULL), first_seen_at, activated_at)), assumeNotNull(activated_at)) / 3600000, activated_at IS NOT NULL)) AS time_to_activation_p50_hours
FROM counted_people
WHERE coalesce(signup_at, first_seen_at, last_active_at) IS NOT NULL
GROUP BY
    tenant_id,
    signup_week,
    path_id,
    user_persona
ORDER BY
    tenant_id ASC,
    signup_week ASC,
    path_id ASC,
    user_persona ASC;

CREATE OR REPLACE VIEW activation_rate
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `people` UInt64 COMMENT 'users who begin the onboarding, or began it under an earlier catalog or with earlier traits, each counted once',
    `activated` UInt64 COMMENT 'users who reached activation',
    `activation_rate` Float64 COMMENT 'activated / `people`, 0 to 1'
)
COMMENT 'Metric `activation_rate`: share of users who reached activation.'
AS SELECT
    tenant_id,
    people,
    activated,
    activation_rate
FROM activation;

CREATE OR REPLACE VIEW arm_posteriors_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `context` String COMMENT '* for the arm as a whole, else step|segment',
    `alpha` Float64 COMMENT 'first parameter of the Beta distribution: successes, with the prior',
    `beta` Float64 COMMENT 'second parameter of the Beta distribution: failures, with the prior',
    `updates` UInt64 COMMENT 'outcomes that the learner has counted',
    `updated_at` DateTime64(3, 'UTC') COMMENT 'log time of the fit, UTC',
    `version` UInt64 COMMENT 'version of the fit; each fit keeps its rows'
)
COMMENT 'The newest row of each key of `arm_posteriors` (FINAL).'
AS SELECT *
FROM arm_posteriors
FINAL;

CREATE OR REPLACE VIEW arm_posteriors_latest
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `context` String COMMENT '* for the arm as a whole, else step|segment',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `alpha` Float64 COMMENT 'first parameter of the Beta distribution: successes, with the prior',
    `beta` Float64 COMMENT 'second parameter of the Beta distribution: failures, with the prior',
    `mean` Float64 COMMENT 'alpha / (alpha + beta): estimated success rate, 0 to 1',
    `weight` Float64 COMMENT 'alpha + beta: pseudo-observations after discounting',
    `updates` UInt64 COMMENT 'outcomes that the learner has counted',
    `updated_at` DateTime64(3, 'UTC') COMMENT 'log time of the fit, UTC',
    `version` UInt64 COMMENT 'version of the fit; each fit keeps its rows'
)
COMMENT 'The posterior of the newest fit that changed it. For each tenant, trigger, arm and context.'
AS SELECT
    tenant_id,
    trigger,
    context,
    arm,
    alpha,
    beta,
    alpha / (alpha + beta) AS mean,
    alpha + beta AS weight,
    updates,
    updated_at,
    version
FROM
(
    SELECT *
    FROM arm_posteriors_final
    ORDER BY version DESC
    LIMIT 1 BY
        tenant_id,
        trigger,
        arm,
        context
)
ORDER BY
    tenant_id ASC,
    trigger ASC,
    context ASC,
    arm ASC;

CREATE OR REPLACE VIEW arm_share
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `decisions` UInt64 COMMENT 'decisions that chose the arm',
    `share` Float64 COMMENT 'decisions / all decisions of the trigger and group, 0 to 1',
    `mean_propensity` Float64 COMMENT 'mean probability, 0 to 1, of the arm over all decisions of the trigger and group, 0 where it was not eligible; the rows of a trigger and group add up to 1',
    `experiment_group` LowCardinality(String) COMMENT 'group of the users of these decisions: adaptive (the bandit chose) or rules (the first eligible arm)'
)
COMMENT 'How often each arm was chosen among the decisions of its trigger and group, and how often the policy meant to. A row may have no decision: the arm was eligible, and never drawn.'
AS SELECT
    d.tenant_id AS tenant_id,
    d.trigger AS trigger,
    toLowCardinality(each) AS arm,
    (d.chosen.2)[indexOf(d.chosen.1, each)] AS decisions,
    decisions / d.total AS share,
    ((d.meant.2)[indexOf(d.meant.1, each)]) / d.total AS mean_propensity,
    d.experiment_group AS experiment_group
FROM
(
    SELECT
        tenant_id,
        trigger,
        experiment_group,
        count() AS total,
        sumMap([arm], [toUInt64(1)]) AS chosen,
        sumMap(arms, propensities) AS meant
    FROM decisions_final
    WHERE outcome = 'decided'
    GROUP BY
        tenant_id,
        trigger,
        experiment_group
) AS d
ARRAY JOIN arrayDistinct(arrayConcat(d.chosen.1, d.meant.1)) AS each
ORDER BY
    tenant_id ASC,
    trigger ASC,
    experiment_group ASC,
    arm ASC;

CREATE OR REPLACE VIEW arm_stops_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `arm_version` LowCardinality(String) COMMENT 'version of the arm in the catalog; a changed arm begins anew',
    `confidence` Float64 COMMENT 'probability, 0 to 1, that the arm harms',
    `margin` Float64 COMMENT 'difference of success rates beyond which an arm counts as harmful',
    `rate` Float64 COMMENT 'estimated success rate of the arm, 0 to 1',
    `others_rate` Float64 COMMENT 'that of the other arms, 0 to 1',
    `outcomes` Float64 COMMENT 'outcomes of the arm that were counted',
    `stopped_at` DateTime64(3, 'UTC') COMMENT 'log time of the stop, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
COMMENT 'The newest row of each key of `arm_stops` (FINAL).'
AS SELECT *
FROM arm_stops
FINAL;

CREATE OR REPLACE VIEW catalogs_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `catalog_version` LowCardinality(String) COMMENT 'version of the catalog',
    `holdout` Float64 COMMENT 'share of users without guidance, 0 to 1; 1 where the catalog only observes',
    `rules` Float64 COMMENT 'share of users guided by rules alone, 0 to 1',
    `exploration_floor` Float64 COMMENT 'least probability of each eligible arm, 0 to 1',
    `attribution_window_ms` UInt64 COMMENT 'attribution window in milliseconds',
    `template_share` Float64 COMMENT 'share of decisions that keep their template, 0 to 1; -1 where the catalog has no wording',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `strict_paths` Array(String) COMMENT 'paths where the order of the steps matters',
    `steps_without_alarms` Array(String) COMMENT 'steps at which nobody raises an alarm, by `alarms: false`'
)
COMMENT 'The newest row of each key of catalogs (FINAL).'
AS SELECT *
FROM catalogs
FINAL;

CREATE OR REPLACE VIEW cost_per_1000_events_dollars
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `events` UInt64 COMMENT 'accepted events, each counted once: exact for some ten thousand, then within one per cent',
    `cost_dollars` Float64 COMMENT 'cost of the calls in dollars, as the settings price tokens',
    `cost_per_1000_events_dollars` Float64 COMMENT '1000 times `cost_dollars` / events in dollars'
)
COMMENT 'Unit cost: what models cost for 1,000 accepted events. Servers are not in it.'
AS SELECT
    e.tenant_id AS tenant_id,
    e.events AS events,
    c.cost_dollars AS cost_dollars,
    (1000 * cost_dollars) / events AS cost_per_1000_events_dollars
FROM
(
    SELECT
        tenant_id,
        uniqCombined(17)(user_id, event_id) AS events
    FROM events
    GROUP BY tenant_id
) AS e
LEFT JOIN model_costs AS c ON c.tenant_id = e.tenant_id
ORDER BY tenant_id ASC;

CREATE OR REPLACE VIEW cost_per_1000_inferences_dollars
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `inferences` UInt64 COMMENT 'calls that a model answered',
    `cost_dollars` Float64 COMMENT 'cost of the calls in dollars, as the settings price tokens',
    `cost_per_1000_inferences_dollars` Nullable(Float64) COMMENT '1000 times `cost_dollars` / inferences in dollars; NULL without an inference'
)
COMMENT 'Unit cost: what 1,000 calls that a model answered cost. Calls without an answer add to the cost, not to the number.'
AS SELECT
    tenant_id,
    inferences,
    cost_dollars,
    if(inferences = 0, NULL, (1000 * cost_dollars) / inferences) AS cost_per_1000_inferences_dollars
FROM model_costs
ORDER BY tenant_id ASC;

CREATE OR REPLACE VIEW cost_per_user_dollars
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `people` UInt64 COMMENT 'users who begin the onboarding, each counted once',
    `cost_dollars` Float64 COMMENT 'cost of the calls in dollars, as the settings price tokens',
    `cost_per_user_dollars` Float64 COMMENT '`cost_dollars` / `people` in dollars'
)
COMMENT 'Unit cost: what models cost for a user. Servers are not in it.'
AS SELECT
    p.tenant_id AS tenant_id,
    p.people AS people,
    c.cost_dollars AS cost_dollars,
    cost_dollars / people AS cost_per_user_dollars
FROM
(
    SELECT
        tenant_id,
        count() AS people
    FROM counted_people
    GROUP BY tenant_id
) AS p
LEFT JOIN model_costs AS c ON c.tenant_id = p.tenant_id
ORDER BY tenant_id ASC;

CREATE OR REPLACE VIEW counted_people
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `path_id` LowCardinality(String) COMMENT 'current path of the user',
    `segment` LowCardinality(String) COMMENT 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    `experiment_group` LowCardinality(String) COMMENT 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive, drawn once and kept; existing while the user does not begin the onboarding, by `starts` of the catalog, and did not under an earlier one or with earlier traits. A visitor who became a user has merged',
    `user_persona` LowCardinality(String) COMMENT 'trait persona as the app sent it; empty where unknown',
    `use_case` LowCardinality(String) COMMENT 'trait useCase as the app sent it; empty where unknown',
    `company_size` LowCardinality(String) COMMENT 'trait companySize as the app sent it; empty where unknown',
    `signup_source` LowCardinality(String) COMMENT 'where the user signed up from, as the app sent it; empty where unknown',
    `tier` LowCardinality(String) COMMENT 'tier of the user at the product; empty where unknown',
    `locale` LowCardinality(String) COMMENT 'language of the user as the app sent it; empty where unknown',
    `guidance` Bool COMMENT 'false for a user who opted out of guidance',
    `steps_completed` UInt32 COMMENT 'steps of the current path that are completed',
    `steps_total` UInt32 COMMENT 'steps of the current path',
    `session_count` UInt32 COMMENT 'sessions so far',
    `avg_session_duration` Float64 COMMENT 'mean length in seconds of the sessions that have ended: all but the newest; 0 before the second begins',
    `engagement_score` Float64 COMMENT 'activity of the user, 0 to 100',
    `first_seen_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'first event by the clock of the app, UTC',
    `signup_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'sign-up by the clock of the app, UTC',
    `last_active_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'newest event as of this row, by the clock of the app, UTC: in the newest session. A row is written when a session begins or something else in it changes, not with each event; the newest of all is in `events`',
    `activated_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'activation by the clock of the app, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `guidance_at_signup` LowCardinality(String) COMMENT 'what held for guidance when the user began: at the sign-up; at the first event where guidance was considered under this id before it (unless the onboarding begins with the sign-up) or there is none. on, `guidance_paused` or `outside_ramp`, whatever the group. For a user who was considered as a visitor, `onramp report` takes that of the visitor',
    `entered_under` LowCardinality(String) COMMENT 'version of the catalog under which the user began, whose shares drew the group; joins `catalogs`. Empty for users from before this column',
    `visitor_draw` Nullable(Float64) COMMENT 'the draw of the visitor as whom the group was drawn, whom the first merge of the user named before guidance was considered: it tells which visitor, and names nobody. -1 where the group was drawn under their own id, NULL in rows of releases before this column',
    `person_key` String COMMENT 'the stream key, a keyed digest, under which the user counts: the own one, and of a visitor who signed in that of the user. It names nobody. Empty in rows of releases before this column'
)
COMMENT 'All users who begin the onboarding, by `starts` of the catalog, or began it under an earlier one or with earlier traits. A visitor who signed in counts as that user. Times that have not happened are NULL.'
AS SELECT *
FROM people_final
WHERE experiment_group NOT IN ('merged', 'existing');

CREATE OR REPLACE VIEW dead_letters_by_reason
(
    `reason` LowCardinality(String) COMMENT 'why they were rejected, in one word',
    `topic` LowCardinality(String) COMMENT 'topic or file of the message',
    `messages` UInt64 COMMENT 'rejected messages',
    `first_at` DateTime64(3, 'UTC') COMMENT 'log time of the oldest, UTC',
    `last_at` DateTime64(3, 'UTC') COMMENT 'log time of the newest, UTC'
)
COMMENT 'Rejected messages by reason and topic, the most frequent first.'
AS SELECT
    reason,
    topic,
    count() AS messages,
    min(log_time) AS first_at,
    max(log_time) AS last_at
FROM dead_letters_final
GROUP BY
    reason,
    topic
ORDER BY
    messages DESC,
    reason ASC,
    topic ASC;

CREATE OR REPLACE VIEW dead_letters_final
(
    `dead_letter_id` String COMMENT 'topic, partition and offset of the message',
    `reason` LowCardinality(String) COMMENT 'why it was rejected, in one word; docs/events.md lists them',
    `detail` String COMMENT 'why it was rejected, in a sentence',
    `topic` LowCardinality(String) COMMENT 'topic or file of the message',
    `source_partition` Int32 COMMENT 'partition of the input from which the message came',
    `source_offset` Int64 COMMENT 'offset of the message in its partition',
    `raw` String COMMENT 'first 4 KiB of the message, undecodable bytes replaced; empty where nobody could tell whom it names',
    `log_time` DateTime64(3, 'UTC') COMMENT 'when the log stored the message, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `user_ids` Array(String) COMMENT 'whom the whole message and its key name; a deletion finds the row by them',
    `tenant_ids` Array(String) COMMENT 'its tenant, default where it leaves that out; where no sender can be read, all that it names; empty: nobody can tell'
)
COMMENT 'The newest row of each key of `dead_letters` (FINAL).'
AS SELECT *
FROM dead_letters
FINAL;

CREATE OR REPLACE VIEW decision_results
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `decision_id` String COMMENT 'id of the decision',
    `is_decided` Bool COMMENT 'whether the row of the decision is stored; without it, its trigger, arm and group are empty',
    `trigger` String COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `arm` String COMMENT 'arm of the catalog: one way to guide',
    `experiment_group` String COMMENT 'group of the user: adaptive (the bandit chose) or rules (the first eligible arm)',
    `shown` UInt8 COMMENT 'whether the app displayed it',
    `clicked` UInt8 COMMENT 'whether its guidance was clicked',
    `dismissed` UInt8 COMMENT 'whether its guidance was dismissed',
    `closes_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'when its attribution window closes, UTC: that of its catalog, a day where the catalog is not known, after it was first shown; NULL where it was not shown',
    `result` String COMMENT 'success or failure once its window has closed, by the newest log time of the tenant; open before that, also where the step is completed already; voided where it ended otherwise; empty where it was not shown'
)
COMMENT 'What became of each decision that chose an arm, for the views that sum up successes. A decision whose row is gone has its outcomes here.'
AS SELECT
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
    multiIf(NOT shown, '', hasAny(d.kinds, ['success', 'failure']), multiIf(ifNull(closes_at > n.newest_at, false), 'open', has(d.kinds, 'success'), 'success', 'failure'), hasAny(d.kinds, ['withdrawn', 'expired', 'superseded']), 'voided', 'open') AS result
FROM
(
    SELECT
        a.tenant AS tenant_id,
        any(a.decision) AS decision_id,
        max(a.decided) AS is_decided,
        anyIf(a.trigger, a.decided) AS trigger,
        anyIf(a.arm, a.decided) AS arm,
        anyIf(a.experiment_group, a.decided) AS experiment_group,
        anyIf(a.catalog_version, a.decided) AS catalog_version,
        groupUniqArray(a.kind) AS kinds,
        minIf(a.at, a.kind = 'shown') AS first_shown_at
    FROM
    (
        SELECT
            tenant_id AS tenant,
            decision_id AS decision,
            trigger,
            arm,
            experiment_group,
            catalog_version,
            true AS decided,
            '' AS kind,
            toDateTime64(0, 3, 'UTC') AS at
        FROM decisions
        WHERE outcome = 'decided'
        UNION ALL
        SELECT
            tenant_id,
            decision_id,
            '',
            '',
            '',
            '',
            false,
            toString(kind),
            occurred_at
        FROM outcomes
    ) AS a
    GROUP BY
        a.tenant,
        sipHash128(a.decision)
) AS d
LEFT JOIN
(
    SELECT
        tenant_id,
        catalog_version,
        attribution_window_ms
    FROM catalogs
    FINAL
) AS c ON (c.tenant_id = d.tenant_id) AND (c.catalog_version = d.catalog_version)
LEFT JOIN
(
    SELECT
        tenant_id,
        toNullable(max(log_time)) AS newest_at
    FROM events
    GROUP BY tenant_id
) AS n ON n.tenant_id = d.tenant_id;

CREATE OR REPLACE VIEW decisions_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `decision_id` String COMMENT 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `segment` LowCardinality(String) COMMENT 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    `outcome` LowCardinality(String) COMMENT 'decided (an arm was chosen) or declined (it was not; see reason)',
    `reason` LowCardinality(String) COMMENT 'why no decision was made; empty for outcome decided',
    `arm` LowCardinality(String) COMMENT 'arm that was drawn; empty for outcome declined',
    `propensity` Float64 COMMENT 'probability, 0 to 1, with which the arm was drawn; 0 for outcome declined',
    `arms` Array(LowCardinality(String)) COMMENT 'every eligible arm; empty for outcome declined',
    `propensities` Array(Float64) COMMENT 'probability of each of them, 0 to 1, in the same order',
    `learner_version` UInt64 COMMENT 'version of the posterior that was used',
    `catalog_version` LowCardinality(String) COMMENT 'version of the catalog that was in force',
    `decided_at` DateTime64(3, 'UTC') COMMENT 'log time of the decision, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `experiment_group` LowCardinality(String) COMMENT 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive, drawn once and kept; existing while the user does not begin the onboarding, by `starts` of the catalog. A visitor who became a user has merged',
    `parameters_version` UInt64 COMMENT 'version of the step statistics that was used; 0 before the first was learned'
)
COMMENT 'The newest row of each key of decisions (FINAL).'
AS SELECT *
FROM decisions
FINAL;

CREATE OR REPLACE VIEW drop_off_rate_by_step
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `position` Int32 COMMENT 'newest place of the step in the path, from 1; users who have not met the newest catalog may have it at another one',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `reached` UInt64 COMMENT 'users for whom the step is or was open before activation',
    `stopped_here` Int64 COMMENT 'of those, users who have neither completed nor passed it',
    `drop_off_rate` Nullable(Float64) COMMENT '`stopped_here` / reached, 0 to 1; NULL where nobody reached it',
    `passed` UInt64 COMMENT 'of those who reached it, users who have not completed it, or not before they activated, and completed a later step, went on to one or activated; in a path of strict order, completing a later one does not count'
)
COMMENT 'Metric `drop_off_rate_by_step`: steps by drop-off before activation, the worst first. A user who works on a step counts as dropped off there until they complete it or go on without it.'
AS SELECT
    tenant_id,
    path_id,
    position,
    step_id,
    reached,
    (reached - completed) - passed AS stopped_here,
    drop_off_rate,
    passed
FROM funnel_by_step
ORDER BY
    tenant_id ASC,
    drop_off_rate DESC,
    stopped_here DESC;

CREATE OR REPLACE VIEW events_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `event_id` String COMMENT 'id of the event; a repeated event has the same',
    `session_id` String COMMENT 'session of the app, as the app sent it; may be empty',
    `event_type` LowCardinality(String) COMMENT 'type of the event; docs/events.md lists them',
    `name` LowCardinality(String) COMMENT 'name of the event, as track calls have one; may be empty',
    `payload` String COMMENT 'fields of the event beside the columns, as JSON',
    `status` LowCardinality(String) COMMENT 'applied, or why it was not: late, deleted or merged',
    `timestamp` DateTime64(3, 'UTC') COMMENT 'when it happened by the clock of the app, UTC',
    `log_time` DateTime64(3, 'UTC') COMMENT 'when the log stored the event, UTC',
    `source_partition` Int32 COMMENT 'partition of the input from which the message came',
    `source_offset` Int64 COMMENT 'offset of the message in its partition',
    `traceparent` String COMMENT 'W3C trace context of the message; empty without one',
    `version` UInt64 COMMENT 'version of the user when the event was applied, 0 for an event that was not: the largest is the newest'
)
COMMENT 'The newest row of each key of events (FINAL).'
AS SELECT *
FROM events
FINAL;

CREATE OR REPLACE VIEW experiment_allocation_consistency
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `people` UInt64 COMMENT 'users who begin the onboarding, with at least one decision or non-decision from then on under a catalog that guides',
    `consistent` UInt64 COMMENT 'users in whose decisions only the group of `people` occurs',
    `experiment_allocation_consistency` Float64 COMMENT 'consistent / `people`, 0 to 1'
)
COMMENT 'Metric `experiment_allocation_consistency`: share of the users with decisions who had their group in every one. It must be 1. Decisions under a catalog that only observed do not count: no group is drawn under it.'
AS SELECT
    p.tenant_id AS tenant_id,
    count() AS people,
    countIf(d.groups = [toString(p.experiment_group)]) AS consistent,
    consistent / people AS experiment_allocation_consistency
FROM
(
    SELECT
        tenant_id,
        user_id,
        groupUniqArray(toString(experiment_group)) AS groups
    FROM decisions
    WHERE (experiment_group != 'existing') AND ((tenant_id, catalog_version) NOT IN (
        SELECT
            tenant_id,
            catalog_version
        FROM catalogs
        WHERE holdout >= 1
    ))
    GROUP BY
        tenant_id,
        user_id
) AS d
INNER JOIN counted_people AS p ON (p.tenant_id = d.tenant_id) AND (p.user_id = d.user_id)
GROUP BY tenant_id
ORDER BY tenant_id ASC;

CREATE OR REPLACE VIEW experiment_groups
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `experiment_group` String COMMENT 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive. Not to be compared with these: observing for users who came while the catalog only observed, and existing for users who do not begin the onboarding, by `starts` of the catalog',
    `people` UInt64 COMMENT 'users of the group, without those who began while guidance was off for them',
    `activated` UInt64 COMMENT 'users who reached activation',
    `activation_rate` Float64 COMMENT 'activated / `people`, 0 to 1',
    `standard_error` Float64 COMMENT 'standard error of `activation_rate`',
    `time_to_activation_p50_hours` Nullable(Float64) COMMENT 'median hours to activation, of activated users: from the sign-up; from the first event for those without one, or who activated before it; NULL without one'
)
COMMENT 'Activation by group and by intention to treat. Left out, in all groups alike: who began while guidance was paused or outside of the ramp, by `guidance_at_signup`. Where the shares of the groups changed, the rates pool users drawn by different shares, and their difference is no effect: `onramp report` compares within the same shares. A visitor who signed in counts here as that user only, so guidance that makes visitors sign in changes who counts: `onramp report` counts such visitors in their own group.'
AS SELECT
    tenant_id,
    experiment_group,
    count() AS people,
    countIf(activated_at IS NOT NULL) AS activated,
    activated / people AS activation_rate,
    sqrt((activation_rate * (1 - activation_rate)) / people) AS standard_error,
    if(activated = 0, NULL, quantileExactInclusiveIf(0.5)(dateDiff('millisecond', assumeNotNull(coalesce(if(signup_at <= activated_at, signup_at, NULL), first_seen_at, activated_at)), assumeNotNull(activated_at)) / 3600000, activated_at IS NOT NULL)) AS time_to_activation_p50_hours
FROM
(
    SELECT
        p.tenant_id AS tenant_id,
        p.signup_at AS signup_at,
        p.first_seen_at AS first_seen_at,
        p.activated_at AS activated_at,
        if((p.experiment_group != 'existing') AND (observed.version != ''), 'observing', p.experiment_group) AS experiment_group
    FROM
    (
        SELECT *
        FROM people_final
        WHERE (experiment_group != 'merged') AND (guidance_at_signup NOT IN ('guidance_paused', 'outside_ramp'))
    ) AS p
    LEFT JOIN
    (
        SELECT
            tenant_id AS tenant,
            catalog_version AS version
        FROM catalogs_final
        WHERE holdout >= 1
    ) AS observed ON (observed.tenant = p.tenant_id) AND (observed.version = p.entered_under)
)
GROUP BY
    tenant_id,
    experiment_group
ORDER BY
    tenant_id ASC,
    experiment_group ASC;

CREATE OR REPLACE VIEW exposures_ignored_by_reason
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `reason` String COMMENT '`unknown_recommendation` (an id that was not issued to this user) or `no_current_recommendation` (no id, and nothing was current, or the event is from more than five minutes before that was decided)',
    `events` UInt64 COMMENT 'exposure events',
    `people` UInt64 COMMENT 'users, each counted once; a visitor who signed in counts as that user',
    `example_user_id` String COMMENT 'user of the newest of them',
    `example_event_id` String COMMENT 'event id of the newest of them'
)
COMMENT 'Exposure events that match no recommendation. If there are any, check the app.'
AS SELECT
    e.tenant_id AS tenant_id,
    if(JSONType(e.payload, 'recommendationId') != 'Null', 'unknown_recommendation', 'no_current_recommendation') AS reason,
    count() AS events,
    uniqExact(if(v.user_id = '', e.user_id, v.user_id)) AS people,
    argMax(e.user_id, (e.log_time, e.event_id)) AS example_user_id,
    argMax(e.event_id, (e.log_time, e.event_id)) AS example_event_id
FROM
(
    SELECT *
    FROM
    (
        SELECT
            tenant_id,
            user_id,
            event_id,
            payload,
            status,
            timestamp,
            log_time
        FROM events
        WHERE (event_type IN ('recommendation_shown', 'recommendation_clicked', 'recommendation_dismissed', 'tooltip_dismiss')) AND ((JSONType(payload, 'recommendationId') = 'Null') OR ((tenant_id, user_id, JSONExtractString(payload, 'recommendationId')) NOT IN (
            SELECT
                tenant_id,
                user_id,
                recommendation_id
            FROM recommendations
        )))
        ORDER BY version DESC
        LIMIT 1 BY
            tenant_id,
            user_id,
            event_id
    )
    WHERE status = 'applied'
) AS e
ASOF LEFT JOIN recommendations AS r ON (r.tenant_id = e.tenant_id) AND (r.user_id = e.user_id) AND (e.log_time >= r.created_at)
LEFT JOIN users_of_visitors AS v ON (v.tenant_id = e.tenant_id) AND (v.visitor_id = e.user_id)
WHERE (JSONType(e.payload, 'recommendationId') != 'Null') OR (r.ui_component IN ('', 'none')) OR (r.expires_at <= e.log_time) OR (e.timestamp < (r.created_at - toIntervalMinute(5)))
GROUP BY
    tenant_id,
    reason
ORDER BY
    tenant_id ASC,
    reason ASC;

CREATE OR REPLACE VIEW features
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `user_persona` LowCardinality(String) COMMENT 'trait persona as the app sent it; empty where unknown',
    `signup_source` LowCardinality(String) COMMENT 'where the user signed up from, as the app sent it; empty where unknown',
    `engagement_score` Float64 COMMENT 'activity of the user, 0 to 100',
    `company_size` LowCardinality(String) COMMENT 'trait companySize as the app sent it; empty where unknown',
    `use_case` LowCardinality(String) COMMENT 'trait useCase as the app sent it; empty where unknown',
    `time_since_signup` Nullable(Float64) COMMENT 'hours from sign-up to the newest log time of the tenant, at least 0; NULL before sign-up, and where no event of the tenant is stored',
    `steps_completed` UInt32 COMMENT 'steps of the current path that are completed',
    `session_count` UInt32 COMMENT 'sessions so far',
    `avg_session_duration` Nullable(Float64) COMMENT 'mean length in seconds of the sessions that have ended: all but the newest; NULL before the second begins'
)
COMMENT 'Features for models. One row for each user.'
AS SELECT
    p.tenant_id AS tenant_id,
    p.user_id AS user_id,
    p.user_persona AS user_persona,
    p.signup_source AS signup_source,
    p.engagement_score AS engagement_score,
    p.company_size AS company_size,
    p.use_case AS use_case,
    if((dateDiff('millisecond', p.signup_at, n.newest_at) / 3600000 AS hours) < 0, 0, hours) AS time_since_signup,
    p.steps_completed AS steps_completed,
    p.session_count AS session_count,
    if(p.session_count < 2, NULL, p.avg_session_duration) AS avg_session_duration
FROM people_final AS p
LEFT JOIN
(
    SELECT
        tenant_id,
        toNullable(max(log_time)) AS newest_at
    FROM events
    GROUP BY tenant_id
) AS n ON n.tenant_id = p.tenant_id
WHERE p.experiment_group != 'merged';

CREATE OR REPLACE VIEW freshness
(
    `table_name` String COMMENT 'table',
    `newest_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'time of its newest row, UTC; NULL for an empty table',
    `lag_seconds` Nullable(Float64) COMMENT 'age of its newest row in seconds; NULL for an empty table'
)
COMMENT 'The age of the newest row of each table whose rows have a time that no device can move: log time, or one that is not after it. After a bounded run over old events it is the age of that input.'
AS SELECT
    table_name,
    if(stored = 0, NULL, newest) AS newest_at,
    if(stored = 0, NULL, dateDiff('millisecond', newest, now64(3, 'UTC')) / 1000) AS lag_seconds
FROM
(
    SELECT
        'events' AS table_name,
        count() AS stored,
        max(log_time) AS newest
    FROM events
    UNION ALL
    SELECT
        'decisions',
        count(),
        max(decided_at)
    FROM decisions
    UNION ALL
    SELECT
        'recommendations',
        count(),
        max(created_at)
    FROM recommendations
    UNION ALL
    SELECT
        'outcomes',
        count(),
        max(occurred_at)
    FROM outcomes
    UNION ALL
    SELECT
        'stuck_signals',
        count(),
        max(detected_at)
    FROM stuck_signals
    UNION ALL
    SELECT
        'step_progress',
        count(),
        max(updated_at)
    FROM step_progress
    UNION ALL
    SELECT
        'arm_posteriors',
        count(),
        max(updated_at)
    FROM arm_posteriors
    UNION ALL
    SELECT
        'dead_letters',
        count(),
        max(log_time)
    FROM dead_letters
)
ORDER BY table_name ASC;

CREATE OR REPLACE VIEW funnel_by_step
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `position` Int32 COMMENT 'newest place of the step in the path, from 1; users who have not met the newest catalog may have it at another one',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `reached` UInt64 COMMENT 'users for whom the step is or was open before activation',
    `completed` UInt64 COMMENT 'of those, users who completed it, at activation at the latest',
    `step_completion_rate` Nullable(Float64) COMMENT 'completed / reached, 0 to 1; NULL where nobody reached it',
    `drop_off_rate` Nullable(Float64) COMMENT '(reached - completed - passed) / reached, 0 to 1; NULL where nobody reached it',
    `median_hours` Nullable(Float64) COMMENT 'median hours from the step becoming current to its completion, of `completed`, without those who did it before it became current; NULL without one',
    `activated_before` UInt64 COMMENT 'users who activated before the step became current, or for whom it did not',
    `completed_after_activation` UInt64 COMMENT 'users who completed it after they had activated, whether they had reached it before or not',
    `passed` UInt64 COMMENT 'of those who reached it, users who have not completed it, or not before they activated, and completed a later step, went on to one or activated; in a path of strict order, completing a later one does not count'
)
COMMENT 'The funnel: the progress of users on their current path, until activation. For each tenant, path and step. Steps that left the path do not count for users who met the new catalog.'
AS WITH
    s.status = 'completed' AS done,
    done AND ifNull(s.completed_at > s.activated_at, false) AS late,
    (s.activated_at IS NOT NULL) AND ifNull(s.current_since_at >= s.activated_at, true) AND ((NOT done) OR late) AS after,
    (NOT after) AND done AND (NOT late) AS in_time,
    in_time AND ifNull(s.completed_at >= s.current_since_at, false) AS timed
SELECT
    s.tenant_id AS tenant_id,
    s.path_id AS path_id,
    argMax(s.position, s.updated_at) AS position,
    s.step_id AS step_id,
    countIf((NOT after) AND (s.status != 'locked')) AS reached,
    countIf(in_time) AS completed,
    if(reached = 0, NULL, completed / reached) AS step_completion_rate,
    if(reached = 0, NULL, ((reached - completed) - passed) / reached) AS drop_off_rate,
    if(countIf(timed) = 0, NULL, quantileExactInclusiveIf(0.5)(dateDiff('millisecond', assumeNotNull(s.current_since_at), assumeNotNull(s.completed_at)) / 3600000, timed)) AS median_hours,
    countIf(after) AS activated_before,
    countIf(late) AS completed_after_activation,
    countIf((NOT after) AND ((s.status = 'current') OR late) AND (s.left_at IS NOT NULL)) AS passed
FROM path_steps AS s
GROUP BY
    tenant_id,
    path_id,
    step_id
ORDER BY
    tenant_id ASC,
    path_id ASC,
    position ASC,
    step_id ASC;

CREATE OR REPLACE VIEW guidance_performance
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `trigger` String COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `arm` String COMMENT 'arm of the catalog: one way to guide',
    `decided` UInt64 COMMENT 'decisions that chose the arm',
    `shown` UInt64 COMMENT 'decisions that the app displayed',
    `clicked` UInt64 COMMENT 'decisions whose guidance was clicked',
    `dismissed` UInt64 COMMENT 'decisions whose guidance was dismissed',
    `success` UInt64 COMMENT 'decisions whose attribution window has closed, with the step completed in it',
    `failure` UInt64 COMMENT 'decisions whose attribution window has closed without it',
    `open` UInt64 COMMENT 'decisions that were shown and whose attribution window is open, whether the step is completed or not; and those without a known end',
    `unshown` Int64 COMMENT 'decided - shown: not shown so far, or expired, withdrawn or superseded before',
    `nudge_send_rate` Nullable(Float64) COMMENT 'shown / decided, 0 to 1; NULL without a decision',
    `nudge_open_rate` Nullable(Float64) COMMENT 'clicked / shown, 0 to 1; NULL where nothing was shown',
    `nudge_dismiss_rate` Nullable(Float64) COMMENT 'dismissed / shown, 0 to 1; NULL where nothing was shown',
    `nudge_conversion_rate` Nullable(Float64) COMMENT 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one',
    `experiment_group` String COMMENT 'group of the users of these decisions: adaptive (the bandit chose) or rules (the first eligible arm)',
    `voided` UInt64 COMMENT 'decisions that were shown and ended without success or failure: the step was completed before that, the user was merged or deleted, or the step is gone. shown = success + failure + open + voided'
)
COMMENT 'Results of guidance by trigger, group and arm, over all decisions that chose an arm. Each decision counts once. Compare arms within a trigger and group: steps are not equally easy upon each trigger, and the rules always take the first eligible arm.'
AS SELECT
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
    if((success + failure) = 0, NULL, success / (success + failure)) AS nudge_conversion_rate,
    r.experiment_group AS experiment_group,
    countIf(r.result = 'voided') AS voided
FROM decision_results AS r
WHERE r.is_decided
GROUP BY
    tenant_id,
    trigger,
    experiment_group,
    arm
ORDER BY
    tenant_id ASC,
    trigger ASC,
    experiment_group ASC,
    arm ASC;

CREATE OR REPLACE VIEW guidance_state
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `paused` UInt8 COMMENT '1 while guidance is paused',
    `ramp_share` Float64 COMMENT 'share of users, 0 to 1, that may be guided',
    `since_at` DateTime64(3, 'UTC') COMMENT 'log time of the newest switch, UTC'
)
COMMENT 'What holds now for each tenant that ever switched guidance.'
AS SELECT
    tenant_id,
    argMaxIf(action, (in_force_at, switched_at, switch_id), action != 'ramp') = 'pause' AS paused,
    if(countIf(action = 'ramp') = 0, 1, argMaxIf(share, (in_force_at, switched_at, switch_id), action = 'ramp')) AS ramp_share,
    max(in_force_at) AS since_at
FROM guidance_switches_final
GROUP BY tenant_id
ORDER BY tenant_id ASC;

CREATE OR REPLACE VIEW guidance_switches_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `switch_id` String COMMENT 'id of the switch',
    `action` LowCardinality(String) COMMENT 'pause, resume or ramp',
    `share` Float64 COMMENT 'share of users, 0 to 1, that may be guided; 1 for actions other than ramp',
    `switched_by` String COMMENT 'who switched',
    `because` String COMMENT 'why, in their words',
    `switched_at` DateTime64(3, 'UTC') COMMENT 'by the clock of who switched, UTC',
    `in_force_at` DateTime64(3, 'UTC') COMMENT 'log time from which it holds, the earliest of all partitions, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
COMMENT 'The newest row of each key of `guidance_switches` (FINAL).'
AS SELECT *
FROM guidance_switches
FINAL;

CREATE OR REPLACE VIEW llm_answers_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `decision_id` String COMMENT 'id of the decision that is charged for the call; joins decisions, recommendations, outcomes and `llm_calls`',
    `user_id` String COMMENT 'user of that decision, who need not be the only one whom a shared text serves; the row is erased with them',
    `recommendation_id` String COMMENT 'signed id that the app sends back with exposure events',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `scope` LowCardinality(String) COMMENT 'shared (one text serves all users of a place) or personal (one user)',
    `status` LowCardinality(String) COMMENT 'accepted (the answer passed all checks), rejected (a check refused it), failed (no answer) or cancelled (nobody waited any more)',
    `refused_by` LowCardinality(String) COMMENT 'check that rejected the answer; empty for other statuses, and where a reviewer had rejected the same text before',
    `reason` LowCardinality(String) COMMENT 'why it was rejected, failed or was cancelled; empty for status accepted',
    `prompt_version` LowCardinality(String) COMMENT 'version of the prompt that was drawn',
    `prompt` String COMMENT 'what was sent: the system message, an empty line, the message of the user. Personal data that redaction recognises was taken out',
    `answer` String COMMENT 'what the model wrote, at most 20,000 characters; empty unless it was rejected. It may hold personal data',
    `model` LowCardinality(String) COMMENT 'name of the model that answered; where none did, the name under which it was asked',
    `input_tokens` UInt32 COMMENT 'tokens of the prompts of the call',
    `output_tokens` UInt32 COMMENT 'tokens of its answers',
    `cost_micros` UInt64 COMMENT 'cost of the call in millionths of a dollar',
    `trace_id` String COMMENT 'id of the trace of the event that led to the decision; empty without one',
    `called_at` DateTime64(3, 'UTC') COMMENT 'when the model was called by the clock of the job, UTC; the days of keeping count from here',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
COMMENT 'The newest row of each key of `llm_answers` (FINAL).'
AS SELECT *
FROM llm_answers
FINAL;

CREATE OR REPLACE VIEW llm_asked
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `decision_id` String COMMENT 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `status` LowCardinality(String) COMMENT 'improved (a text was sent to Redis, which refuses it if it comes too late) or kept (the template stayed; see reason)',
    `reason` LowCardinality(String) COMMENT 'why the template stayed; empty for status improved',
    `source` LowCardinality(String) COMMENT 'call, cache, coalesced (the running call of another decision), or empty where no model was asked',
    `scope` LowCardinality(String) COMMENT 'shared (one text serves all users of a place) or personal (one user); empty where no model was asked',
    `experiment` LowCardinality(String) COMMENT 'model or template for decisions that took part in the comparison of the two, else empty',
    `cache_key` String COMMENT 'key of the answer in the cache: what was asked; empty where no model was asked',
    `prompt_version` LowCardinality(String) COMMENT 'version of the prompt that was drawn',
    `model` LowCardinality(String) COMMENT 'name of the model that answered; empty where none did',
    `input_tokens` UInt32 COMMENT 'tokens of the prompts of the call',
    `output_tokens` UInt32 COMMENT 'tokens of its answers',
    `cost_micros` UInt64 COMMENT 'cost of the call in millionths of a dollar; 0 for cache and coalesced',
    `latency_ms` UInt32 COMMENT 'milliseconds from the request to the answer, retries included',
    `attempts` UInt32 COMMENT 'requests to the model server; 0 where the call ended before the first',
    `confidence` Float64 COMMENT 'how sure the author of the text is of it, 0 to 1',
    `checks` String COMMENT 'JSON: a list of [check, reason]; the reason is empty where the check passed',
    `unfilled_hash` String COMMENT 'digest of the text before its slots were filled; empty without a text',
    `validation_hash` String COMMENT 'digest of the text as sent, like that of the recommendation; empty without a text',
    `asked_at` DateTime64(3, 'UTC') COMMENT 'log time at which the text was wanted, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
COMMENT 'The decisions for which a model was asked, or its answer was looked for. Rows of `llm_calls_final`.'
AS SELECT *
FROM llm_calls_final
WHERE (source = 'cache') OR ((source = 'call') AND (attempts > 0)) OR ((source = 'coalesced') AND (reason NOT IN ('breaker_open', 'over_rate', 'over_budget', 'budget_unknown')));

CREATE OR REPLACE VIEW llm_calls_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `decision_id` String COMMENT 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `status` LowCardinality(String) COMMENT 'improved (a text was sent to Redis, which refuses it if it comes too late) or kept (the template stayed; see reason)',
    `reason` LowCardinality(String) COMMENT 'why the template stayed; empty for status improved',
    `source` LowCardinality(String) COMMENT 'call, cache, coalesced (the running call of another decision), or empty where no model was asked',
    `scope` LowCardinality(String) COMMENT 'shared (one text serves all users of a place) or personal (one user); empty where no model was asked',
    `experiment` LowCardinality(String) COMMENT 'model or template for decisions that took part in the comparison of the two, else empty',
    `cache_key` String COMMENT 'key of the answer in the cache: what was asked; empty where no model was asked',
    `prompt_version` LowCardinality(String) COMMENT 'version of the prompt that was drawn',
    `model` LowCardinality(String) COMMENT 'name of the model that answered; empty where none did',
    `input_tokens` UInt32 COMMENT 'tokens of the prompts of the call',
    `output_tokens` UInt32 COMMENT 'tokens of its answers',
    `cost_micros` UInt64 COMMENT 'cost of the call in millionths of a dollar; 0 for cache and coalesced',
    `latency_ms` UInt32 COMMENT 'milliseconds from the request to the answer, retries included',
    `attempts` UInt32 COMMENT 'requests to the model server; 0 where the call ended before the first',
    `confidence` Float64 COMMENT 'how sure the author of the text is of it, 0 to 1',
    `checks` String COMMENT 'JSON: a list of [check, reason]; the reason is empty where the check passed',
    `unfilled_hash` String COMMENT 'digest of the text before its slots were filled; empty without a text',
    `validation_hash` String COMMENT 'digest of the text as sent, like that of the recommendation; empty without a text',
    `asked_at` DateTime64(3, 'UTC') COMMENT 'log time at which the text was wanted, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
COMMENT 'The newest row of each key of `llm_calls` (FINAL).'
AS SELECT *
FROM llm_calls
FINAL;

CREATE OR REPLACE VIEW llm_cost_per_activation
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `day` Date COMMENT 'day, UTC',
    `asked` UInt64 COMMENT 'decisions for which a text of a model was looked for',
    `calls` UInt64 COMMENT 'of those, decisions whose call went to the model',
    `improved` UInt64 COMMENT 'of those, decisions for which a text was sent',
    `cost_dollars` Float64 COMMENT 'cost of the calls in dollars, as the settings price tokens',
    `activations` UInt64 COMMENT 'adaptive users who activated on that day',
    `cost_per_activation` Nullable(Float64) COMMENT '`cost_dollars` / activations in dollars; NULL without an activation'
)
COMMENT 'What models cost by day, from the first day with a row on. The cost of a user who activates, not of what a text achieved.'
AS SELECT
    tenant_id,
    day,
    sum(a.asked) AS asked,
    sum(a.calls) AS calls,
    sum(a.improved) AS improved,
    sum(a.cost_micros) / 1000000 AS cost_dollars,
    sum(a.activations) AS activations,
    if(activations = 0, NULL, cost_dollars / activations) AS cost_per_activation
FROM
(
    SELECT
        tenant_id,
        toDate(asked_at) AS day,
        1 AS asked,
        source = 'call' AS calls,
        status = 'improved' AS improved,
        cost_micros,
        0 AS activations
    FROM llm_asked
    UNION ALL
    SELECT
        tenant_id,
        toDate(assumeNotNull(activated_at)),
        0,
        0,
        0,
        0,
        1
    FROM counted_people
    WHERE (experiment_group = 'adaptive') AND (activated_at IS NOT NULL)
) AS a
INNER JOIN
(
    SELECT
        tenant_id,
        toDate(min(asked_at)) AS first_day
    FROM llm_calls_final
    GROUP BY tenant_id
) AS f ON f.tenant_id = a.tenant_id
WHERE day >= f.first_day
GROUP BY
    tenant_id,
    day
ORDER BY
    tenant_id ASC,
    day ASC;

CREATE OR REPLACE VIEW llm_hit_rate
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `asked` UInt64 COMMENT 'decisions for which a shared text was looked for',
    `hits` UInt64 COMMENT 'of those, answered from the cache or by a running call',
    `from_cache` UInt64 COMMENT 'answered from the cache',
    `coalesced` UInt64 COMMENT 'answered by the running call of another decision',
    `calls` UInt64 COMMENT 'calls to the model',
    `hit_rate` Float64 COMMENT 'hits / asked, 0 to 1',
    `distinct_keys` UInt64 COMMENT 'different things that were asked',
    `mean_cost_dollars` Nullable(Float64) COMMENT 'mean cost of a call in dollars; NULL without a call',
    `saved_dollars` Nullable(Float64) COMMENT 'hits times `mean_cost_dollars`; NULL without a call'
)
COMMENT 'How often an answer served again. Shared texts only.'
AS SELECT
    tenant_id,
    count() AS asked,
    countIf(source IN ('cache', 'coalesced')) AS hits,
    countIf(source = 'cache') AS from_cache,
    countIf(source = 'coalesced') AS coalesced,
    countIf(source = 'call') AS calls,
    hits / asked AS hit_rate,
    uniqExact(cache_key) AS distinct_keys,
    if(calls = 0, NULL, (sumIf(cost_micros, source = 'call') / calls) / 1000000) AS mean_cost_dollars,
    if(calls = 0, NULL, hits * assumeNotNull(mean_cost_dollars)) AS saved_dollars
FROM llm_asked
WHERE scope = 'shared'
GROUP BY tenant_id
ORDER BY tenant_id ASC;

CREATE OR REPLACE VIEW llm_prompts
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `prompt_version` LowCardinality(String) COMMENT 'version of the prompt that was drawn',
    `decisions` UInt64 COMMENT 'decisions, each counted once',
    `improved` UInt64 COMMENT 'decisions for which a text was sent',
    `shown` UInt64 COMMENT 'decisions that the app displayed',
    `success` UInt64 COMMENT 'decisions whose attribution window has closed, with the step completed in it',
    `failure` UInt64 COMMENT 'decisions whose attribution window has closed without it',
    `improved_rate` Float64 COMMENT 'improved / decisions, 0 to 1',
    `success_rate` Nullable(Float64) COMMENT 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one',
    `cost_dollars` Float64 COMMENT 'cost of the calls in dollars, as the settings price tokens',
    `open` UInt64 COMMENT 'decisions that were shown and whose attribution window is open, whether the step is completed or not; and those without a known end'
)
COMMENT 'The versions of the prompt against each other. A decision counts for the version that was drawn.'
AS SELECT
    l.tenant_id AS tenant_id,
    l.prompt_version AS prompt_version,
    count() AS decisions,
    countIf(l.status = 'improved') AS improved,
    countIf(r.shown) AS shown,
    countIf(r.result = 'success') AS success,
    countIf(r.result = 'failure') AS failure,
    improved / decisions AS improved_rate,
    if((success + failure) = 0, NULL, success / (success + failure)) AS success_rate,
    sum(l.cost_micros) / 1000000 AS cost_dollars,
    countIf(r.result = 'open') AS open
FROM
(
    SELECT *
    FROM llm_calls_final
    WHERE experiment = 'model'
) AS l
LEFT JOIN decision_results AS r ON (r.tenant_id = l.tenant_id) AND (r.decision_id = l.decision_id)
GROUP BY
    tenant_id,
    prompt_version
ORDER BY
    tenant_id ASC,
    prompt_version ASC;

CREATE OR REPLACE VIEW llm_rejections
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `check` String COMMENT 'check that failed',
    `reason` String COMMENT 'why it failed',
    `rejected` UInt64 COMMENT 'decisions at which this check failed for this reason',
    `kept` UInt64 COMMENT 'of those, where the template stayed in the end',
    `checked` UInt64 COMMENT 'decisions at which this check was made',
    `share` Float64 COMMENT 'rejected / checked, 0 to 1'
)
COMMENT 'The checks that texts of a model, or the input of their prompts, failed, the most frequent first.'
AS SELECT
    v.tenant_id AS tenant_id,
    v.result[1] AS check,
    v.result[2] AS reason,
    uniqExact(v.decision_id) AS rejected,
    uniqExactIf(v.decision_id, v.status = 'kept') AS kept,
    any(c.checked) AS checked,
    rejected / checked AS share
FROM
(
    SELECT
        tenant_id,
        decision_id,
        status,
        arrayJoin(JSONExtract(checks, 'Array(Array(String))')) AS result
    FROM llm_calls_final
) AS v
INNER JOIN
(
    SELECT
        tenant_id,
        arrayJoin(JSONExtract(checks, 'Array(Array(String))'))[1] AS name,
        uniqExact(decision_id) AS checked
    FROM llm_calls_final
    GROUP BY
        tenant_id,
        name
) AS c ON (c.tenant_id = v.tenant_id) AND (c.name = (v.result[1]))
WHERE (length(v.result) = 2) AND ((v.result[2]) != '')
GROUP BY
    tenant_id,
    check,
    reason
ORDER BY
    tenant_id ASC,
    rejected DESC,
    check ASC,
    reason ASC;

CREATE OR REPLACE VIEW merged_visitors
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `visitor_id` String COMMENT 'id of the visitor before they signed in',
    `user_id` String COMMENT 'id of the user as the app sent it; of a visitor where one visitor named another',
    `merged_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'log time of the event by which the user named the visitor, UTC; NULL where the visitor became the user by way of another id, or the event is gone'
)
COMMENT 'Which user a visitor became: by `person_key` of `people`, else the first that named the visitor. In the second case it is not known whether the merge was refused: the visitor in `people` is then not merged.'
AS SELECT
    toLowCardinality(if(k.user_id = '', e.tenant_id, k.tenant_id)) AS tenant_id,
    if(k.user_id = '', e.visitor_id, k.visitor_id) AS visitor_id,
    if(k.user_id = '', e.first_user, k.user_id) AS user_id,
    arrayReduce('minOrNull', arrayMap(each -> (each.2), arrayFilter(each -> (((each.1) = k.user_id) OR (k.user_id = '')), e.merges))) AS merged_at
FROM
(
    SELECT
        tenant_id,
        JSONExtractString(payload, 'previousId') AS visitor_id,
        argMin(user_id, (log_time, timestamp)) AS first_user,
        groupUniqArray((user_id, log_time)) AS merges
    FROM events
    WHERE (event_type = 'identity_merged') AND (status IN ('applied', 'merged', 'late')) AND JSONHas(payload, 'previousId')
    GROUP BY
        tenant_id,
        visitor_id
) AS e
FULL OUTER JOIN
(
    SELECT *
    FROM visitors_by_key
    WHERE user_id != ''
) AS k ON (k.tenant_id = e.tenant_id) AND (k.visitor_id = e.visitor_id);

CREATE OR REPLACE VIEW ml_inference_latency_p95_ms
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `inferences` UInt64 COMMENT 'calls that a model answered',
    `ml_inference_latency_p95_ms` Float64 COMMENT '95th percentile in milliseconds, retries included'
)
COMMENT 'Metric `ml_inference_latency_p95_ms`: 95th percentile of the time of a call that a model answered.'
AS SELECT
    tenant_id,
    count() AS inferences,
    quantileExactInclusive(0.95)(latency_ms) AS ml_inference_latency_p95_ms
FROM llm_calls_final
WHERE (source = 'call') AND (model != '')
GROUP BY tenant_id
ORDER BY tenant_id ASC;

CREATE OR REPLACE VIEW model_against_template
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `experiment` LowCardinality(String) COMMENT 'model or template: what the decision was drawn for',
    `decisions` UInt64 COMMENT 'decisions, each counted once',
    `improved` UInt64 COMMENT 'decisions for which a text was sent',
    `shown` UInt64 COMMENT 'decisions that the app displayed, with the text or with the template',
    `success` UInt64 COMMENT 'decisions whose attribution window has closed, with the step completed in it',
    `failure` UInt64 COMMENT 'decisions whose attribution window has closed without it',
    `shown_rate` Float64 COMMENT 'shown / decisions, 0 to 1',
    `success_rate` Nullable(Float64) COMMENT 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one',
    `cost_dollars` Float64 COMMENT 'cost of the calls in dollars, as the settings price tokens',
    `open` UInt64 COMMENT 'decisions that were shown and whose attribution window is open, whether the step is completed or not; and those without a known end'
)
COMMENT 'Is a text of a model worth more than the template? By intention to treat: a decision counts for what it was drawn for, whichever text was shown.'
AS SELECT
    l.tenant_id AS tenant_id,
    l.experiment AS experiment,
    count() AS decisions,
    countIf(l.status = 'improved') AS improved,
    countIf(r.shown) AS shown,
    countIf(r.result = 'success') AS success,
    countIf(r.result = 'failure') AS failure,
    shown / decisions AS shown_rate,
    if((success + failure) = 0, NULL, success / (success + failure)) AS success_rate,
    sum(l.cost_micros) / 1000000 AS cost_dollars,
    countIf(r.result = 'open') AS open
FROM
(
    SELECT *
    FROM llm_calls_final
    WHERE experiment IN ('model', 'template')
) AS l
LEFT JOIN decision_results AS r ON (r.tenant_id = l.tenant_id) AND (r.decision_id = l.decision_id)
GROUP BY
    tenant_id,
    experiment
ORDER BY
    tenant_id ASC,
    experiment ASC;

CREATE OR REPLACE VIEW model_costs
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `cost_dollars` Float64 COMMENT 'cost of all calls in dollars, as the settings price tokens',
    `inferences` UInt64 COMMENT 'calls that a model answered'
)
COMMENT 'What models cost. It is the only cost that Onramp knows: servers are not in it. For each tenant.'
AS SELECT
    tenant_id,
    sum(cost_micros) / 1000000 AS cost_dollars,
    countIf((source = 'call') AND (model != '')) AS inferences
FROM llm_calls_final
GROUP BY tenant_id
ORDER BY tenant_id ASC;

CREATE OR REPLACE VIEW non_decisions_by_reason
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `reason` LowCardinality(String) COMMENT 'why nothing was decided',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `non_decisions` UInt64 COMMENT 'non-decisions',
    `people` UInt64 COMMENT 'users, each counted once; a visitor who signed in counts as that user'
)
COMMENT 'Why nothing was decided, the most frequent reason first.'
AS SELECT
    d.tenant_id AS tenant_id,
    d.reason AS reason,
    d.trigger AS trigger,
    uniqExact(d.decision_id) AS non_decisions,
    uniqExact(if(v.user_id = '', d.user_id, v.user_id)) AS people
FROM decisions AS d
LEFT JOIN users_of_visitors AS v ON (v.tenant_id = d.tenant_id) AND (v.visitor_id = d.user_id)
WHERE d.outcome = 'declined'
GROUP BY
    tenant_id,
    reason,
    trigger
ORDER BY
    tenant_id ASC,
    non_decisions DESC,
    reason ASC,
    trigger ASC;

CREATE OR REPLACE VIEW nudge_conversion_rate
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `success` UInt64 COMMENT 'decisions whose attribution window has closed, with the step completed in it',
    `failure` UInt64 COMMENT 'decisions whose attribution window has closed without it',
    `nudge_conversion_rate` Nullable(Float64) COMMENT 'success / (success + failure), 0 to 1; open windows do not count; NULL without a closed one'
)
COMMENT 'Metric `nudge_conversion_rate`: share of the displayed decisions with a closed window whose step was completed in it. By trigger and arm: `guidance_performance`.'
AS SELECT
    g.tenant_id AS tenant_id,
    sum(g.success) AS success,
    sum(g.failure) AS failure,
    if((success + failure) = 0, NULL, success / (success + failure)) AS nudge_conversion_rate
FROM guidance_performance AS g
GROUP BY tenant_id
ORDER BY tenant_id ASC;

CREATE OR REPLACE VIEW nudge_open_rate
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `shown` UInt64 COMMENT 'decisions that the app displayed',
    `clicked` UInt64 COMMENT 'decisions whose guidance was clicked',
    `nudge_open_rate` Nullable(Float64) COMMENT 'clicked / shown, 0 to 1; NULL where nothing was shown'
)
COMMENT 'Metric `nudge_open_rate`: share of the displayed decisions that were clicked. By trigger and arm: `guidance_performance`.'
AS SELECT
    g.tenant_id AS tenant_id,
    sum(g.shown) AS shown,
    sum(g.clicked) AS clicked,
    if(shown = 0, NULL, clicked / shown) AS nudge_open_rate
FROM guidance_performance AS g
GROUP BY tenant_id
ORDER BY tenant_id ASC;

CREATE OR REPLACE VIEW nudge_send_rate
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `decided` UInt64 COMMENT 'decisions that chose an arm',
    `shown` UInt64 COMMENT 'decisions that the app displayed',
    `nudge_send_rate` Nullable(Float64) COMMENT 'shown / decided, 0 to 1; NULL without a decision'
)
COMMENT 'Metric `nudge_send_rate`: share of the decisions for an arm that the app displayed. By trigger and arm: `guidance_performance`.'
AS SELECT
    g.tenant_id AS tenant_id,
    sum(g.decided) AS decided,
    sum(g.shown) AS shown,
    if(decided = 0, NULL, shown / decided) AS nudge_send_rate
FROM guidance_performance AS g
GROUP BY tenant_id
ORDER BY tenant_id ASC;

CREATE OR REPLACE VIEW onboarding_start_rate
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `people` UInt64 COMMENT 'users who begin the onboarding, each counted once',
    `started` UInt64 COMMENT 'users who worked on at least one step of any path',
    `onboarding_start_rate` Float64 COMMENT 'started / `people`, 0 to 1'
)
COMMENT 'Metric `onboarding_start_rate`: share of users who worked on at least one step.'
AS SELECT
    tenant_id,
    people,
    started,
    onboarding_start_rate
FROM activation;

CREATE OR REPLACE VIEW outcomes_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `decision_id` String COMMENT 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    `kind` LowCardinality(String) COMMENT 'an exposure (shown, clicked, dismissed) or the end: success, failure, expired, withdrawn or superseded. One that was shown and then withdrawn is neither success nor failure',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `segment` LowCardinality(String) COMMENT 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `occurred_at` DateTime64(3, 'UTC') COMMENT 'when it happened, UTC: an exposure and success by the clock of the app, but not after log time; the end of the window for failure; else log time',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
COMMENT 'The newest row of each key of outcomes (FINAL).'
AS SELECT *
FROM outcomes
FINAL;

CREATE OR REPLACE VIEW path_steps
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `experiment_group` LowCardinality(String) COMMENT 'group of the user, as in `people`',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `position` Int32 COMMENT 'place of the step in the path, from 1',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `status` LowCardinality(String) COMMENT 'locked (not reached), current (is or was) or completed',
    `current_since_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'when the step became current, UTC; NULL for a step that never did. A step that was completed before was done ahead of its turn',
    `completed_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'completion of the step, UTC; NULL without one',
    `left_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'when the user, at this step, completed a later one, went on to one or was activated, UTC; in a path of strict order, completing a later one does not count. NULL otherwise, and for a step that became current at activation or later',
    `activated_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'activation of the user, UTC; NULL without one',
    `updated_at` DateTime64(3, 'UTC') COMMENT 'log time of the newest row of the step, UTC'
)
COMMENT 'The steps of the path on which each user is now who begins the onboarding, by the catalog that the user last met, and how users got on from them. A user at a step from `current_since_at` until it is completed or left, before activation, is an episode.'
AS WITH
    toDateTime64(0, 3, 'UTC') AS never,
    toDateTime64('2299-12-31 23:59:59.999', 3, 'UTC') AS far
SELECT
    s.tenant_id AS tenant_id,
    s.user_id AS user_id,
    p.experiment_group AS experiment_group,
    s.path_id AS path_id,
    position,
    toLowCardinality(step) AS step_id,
    toLowCardinality(state) AS status,
    nullIf(since, never) AS current_since_at,
    nullIf(done, never) AS completed_at,
    if((since = never) OR ifNull(since >= p.activated_at, false), NULL, nullIf(least(ifNull(p.activated_at, far), arrayMin(arrayMap((other, other_since, other_done) -> if(other <= position, far, least(if(other_since >= since, other_since, far), if((other_done > never) AND (path_order != 'strict'), greatest(other_done, since), far))), s.positions, s.sinces, s.dones))), far)) AS left_at,
    p.activated_at AS activated_at,
    updated AS updated_at
FROM
(
    SELECT
        f.tenant_id AS tenant_id,
        f.user_id AS user_id,
        f.path_id AS path_id,
        groupArray(f.position) AS positions,
        groupArray(f.step_id) AS steps,
        groupArray(f.status) AS states,
        groupArray(f.current_since_at) AS sinces,
        groupArray(f.completed_at) AS dones,
        groupArray(f.path_order) AS orders,
        groupArray(f.updated_at) AS updates
    FROM step_progress AS f
    FINAL
    LEFT JOIN
    (
        SELECT
            tenant_id,
            user_id,
            version AS met
        FROM step_progress
        FINAL
        WHERE step_id = ''
    ) AS c ON (c.tenant_id = f.tenant_id) AND (c.user_id = f.user_id)
    WHERE (f.step_id != '') AND (f.version >= c.met)
    GROUP BY
        tenant_id,
        user_id,
        path_id
) AS s
INNER JOIN counted_people AS p ON (p.tenant_id = s.tenant_id) AND (p.user_id = s.user_id) AND (p.path_id = s.path_id)
ARRAY JOIN
    s.positions AS position,
    s.steps AS step,
    s.states AS state,
    s.sinces AS since,
    s.dones AS done,
    s.orders AS path_order,
    s.updates AS updated;

CREATE OR REPLACE VIEW people_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `path_id` LowCardinality(String) COMMENT 'current path of the user',
    `segment` LowCardinality(String) COMMENT 'values of the traits by which the learner tells users apart (`segment_by` in the catalog)',
    `experiment_group` LowCardinality(String) COMMENT 'holdout (no guidance), rules (first eligible arm, no learning) or adaptive, drawn once and kept; existing while the user does not begin the onboarding, by `starts` of the catalog, and did not under an earlier one or with earlier traits. A visitor who became a user has merged',
    `user_persona` LowCardinality(String) COMMENT 'trait persona as the app sent it; empty where unknown',
    `use_case` LowCardinality(String) COMMENT 'trait useCase as the app sent it; empty where unknown',
    `company_size` LowCardinality(String) COMMENT 'trait companySize as the app sent it; empty where unknown',
    `signup_source` LowCardinality(String) COMMENT 'where the user signed up from, as the app sent it; empty where unknown',
    `tier` LowCardinality(String) COMMENT 'tier of the user at the product; empty where unknown',
    `locale` LowCardinality(String) COMMENT 'language of the user as the app sent it; empty where unknown',
    `guidance` Bool COMMENT 'false for a user who opted out of guidance',
    `steps_completed` UInt32 COMMENT 'steps of the current path that are completed',
    `steps_total` UInt32 COMMENT 'steps of the current path',
    `session_count` UInt32 COMMENT 'sessions so far',
    `avg_session_duration` Float64 COMMENT 'mean length in seconds of the sessions that have ended: all but the newest; 0 before the second begins',
    `engagement_score` Float64 COMMENT 'activity of the user, 0 to 100',
    `first_seen_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'first event by the clock of the app, UTC',
    `signup_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'sign-up by the clock of the app, UTC',
    `last_active_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'newest event as of this row, by the clock of the app, UTC: in the newest session. A row is written when a session begins or something else in it changes, not with each event; the newest of all is in `events`',
    `activated_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'activation by the clock of the app, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `guidance_at_signup` LowCardinality(String) COMMENT 'what held for guidance when the user began: at the sign-up; at the first event where guidance was considered under this id before it (unless the onboarding begins with the sign-up) or there is none. on, `guidance_paused` or `outside_ramp`, whatever the group. For a user who was considered as a visitor, `onramp report` takes that of the visitor',
    `entered_under` LowCardinality(String) COMMENT 'version of the catalog under which the user began, whose shares drew the group; joins `catalogs`. Empty for users from before this column',
    `visitor_draw` Nullable(Float64) COMMENT 'the draw of the visitor as whom the group was drawn, whom the first merge of the user named before guidance was considered: it tells which visitor, and names nobody. -1 where the group was drawn under their own id, NULL in rows of releases before this column',
    `person_key` String COMMENT 'the stream key, a keyed digest, under which the user counts: the own one, and of a visitor who signed in that of the user. It names nobody. Empty in rows of releases before this column'
)
COMMENT 'The newest row of each key of `people` (FINAL). Times that have not happened are NULL.'
AS SELECT * REPLACE (nullIf(first_seen_at, toDateTime64(0, 3, 'UTC')) AS first_seen_at, nullIf(signup_at, toDateTime64(0, 3, 'UTC')) AS signup_at, nullIf(last_active_at, toDateTime64(0, 3, 'UTC')) AS last_active_at, nullIf(activated_at, toDateTime64(0, 3, 'UTC')) AS activated_at)
FROM people
FINAL;

CREATE OR REPLACE VIEW person_timeline
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `at` DateTime64(3, 'UTC') COMMENT 'when it happened, UTC: the clock of the app for events, progress, exposures and success, else log time',
    `kind` String COMMENT 'event, progress, signal, decision, `non_decision`, recommendation, wording or outcome',
    `what` String COMMENT 'event type and name, reached, completed or `path_changed`, trigger, arm, reason, UI component, improved or kept, or the outcome',
    `path_id` String COMMENT 'path of the catalog; empty for events; of `path_changed` the new one',
    `step_id` String COMMENT 'step of the catalog; empty for events and `path_changed`',
    `trigger` String COMMENT 'what asked for guidance; empty for events and progress',
    `reason` String COMMENT 'why; empty where there is nothing to say',
    `arm` String COMMENT 'arm; empty for rows without one',
    `propensity` Nullable(Float64) COMMENT 'probability, 0 to 1, with which the arm was drawn; NULL for other rows',
    `decision_id` String COMMENT 'id of the decision; empty for rows without one',
    `detail` String COMMENT 'payload, evidence, text or figures of the row; of `path_changed` the path before',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `rank` UInt8 COMMENT 'order of kinds of one moment and version',
    `place` Int64 COMMENT 'order within a rank'
)
COMMENT 'Everything known of a user, in order; of progress, that of the path in force. Filter by `tenant_id` and `user_id`.'
AS SELECT
    tenant_id,
    user_id,
    at,
    kind,
    what,
    path_id,
    step_id,
    trigger,
    reason,
    arm,
    propensity,
    decision_id,
    detail,
    version,
    rank,
    place
FROM
(
    SELECT
        toString(tenant_id) AS tenant_id,
        user_id,
        timestamp AS at,
        'event' AS kind,
        if(name = '', toString(event_type), concat(event_type, ' ', name)) AS what,
        '' AS path_id,
        '' AS step_id,
        '' AS trigger,
        if(status = 'applied', '', toString(status)) AS reason,
        '' AS arm,
        CAST(NULL, 'Nullable(Float64)') AS propensity,
        '' AS decision_id,
        payload AS detail,
        version,
        1 AS rank,
        source_offset AS place
    FROM events_final
    UNION ALL
    SELECT
        tenant_id,
        user_id,
        entry.1,
        'progress',
        entry.2,
        entry.3,
        entry.4,
        '',
        '',
        '',
        NULL,
        '',
        entry.5,
        entry.6,
        2,
        entry.7
    FROM
    (
        WITH
            arrayFilter(s -> (((s.2) = path_now) AND ((s.1) >= met)), steps) AS in_force,
            arrayPopBack(paths) AS befores,
            arrayPopFront(paths) AS afters,
            arrayFilter((c, i) -> ((i = 1) OR ((c.3) != ((causes[i - 1]).3))), causes, arrayEnumerate(causes)) AS changes,
            arrayMap((b, a) -> arrayLast(c -> (((c.1) > (b.1)) AND ((c.1) <= (a.1))), changes), befores, afters) AS caused
        SELECT
            tenant_id,
            user_id,
            arrayJoin(arrayConcat(arrayMap(s -> (s.6, 'reached', s.2, s.3, concat('step ', toString(s.4)), s.1, 1), arrayFilter(s -> ((s.6) > toDateTime64(0, 3, 'UTC')), in_force)), arrayMap(s -> (s.7, 'completed', s.2, s.3, concat('step ', toString(s.4), s.5), s.1, 0), arrayFilter(s -> ((s.7) > toDateTime64(0, 3, 'UTC')), in_force)), arrayMap((b, a, c) -> (if((c.1) > 0, c.2, a.3), 'path_changed', a.2, '', concat('from ', if((b.2) = '', 'none', b.2)), a.1, -1), arrayFilter((b, a) -> ((b.2) != (a.2)), befores, afters), arrayFilter((a, b) -> ((b.2) != (a.2)), afters, befores), arrayFilter((c, b, a) -> ((b.2) != (a.2)), caused, befores, afters)))) AS entry
        FROM
        (
            SELECT
                tenant_id,
                user_id,
                argMaxIf(path, version, (of IN ('step', 'user'))) AS path_now,
                maxIf(version, of = 'catalog') AS met,
                arraySort(groupArrayIf((version, path, at), (of IN ('step', 'user')))) AS paths,
                arraySort(groupArrayIf((version, at, figures), (of IN ('traits', 'catalog')))) AS causes,
                groupArrayIf((version, path, step, position, figures, since, done), of = 'step') AS steps
            FROM
            (
                SELECT
                    toString(tenant_id) AS tenant_id,
                    user_id,
                    if(step_id = '', 'catalog', 'step') AS of,
                    version,
                    toString(path_id) AS path,
                    toString(step_id) AS step,
                    position,
                    updated_at AS at,
                    current_since_at AS since,
                    completed_at AS done,
                    concat(', ', toString(attempts), if(attempts = 1, ' attempt, ', ' attempts, '), toString(errors), if(errors = 1, ' error', ' errors')) AS figures
                FROM step_progress
                FINAL
                UNION ALL
                SELECT
                    toString(tenant_id),
                    user_id,
                    'user',
                    version,
                    toString(path_id),
                    '',
                    0,
                    last_active_at,
                    toDateTime64(0, 3, 'UTC'),
                    toDateTime64(0, 3, 'UTC'),
                    ''
                FROM people
                FINAL
                UNION ALL
                SELECT
                    toString(tenant_id),
                    user_id,
                    'traits',
                    version,
                    '',
                    '',
                    0,
                    timestamp,
                    toDateTime64(0, 3, 'UTC'),
                    toDateTime64(0, 3, 'UTC'),
                    JSONExtractRaw(payload, 'traits')
                FROM events
                FINAL
                WHERE (event_type IN ('signup', 'identify')) AND (status = 'applied')
            )
            GROUP BY
                tenant_id,
                user_id
        )
    )
    UNION ALL
    SELECT
        toString(tenant_id),
        user_id,
        detected_at,
        'signal',
        toString(trigger),
        toString(path_id),
        toString(step_id),
        toString(trigger),
        '',
        '',
        NULL,
        '',
        evidence,
        version,
        3,
        0
    FROM
    (
        SELECT
            x.tenant_id AS tenant_id,
            x.user_id AS user_id,
            x.signal_id AS signal_id,
            max(x.version) AS version,
            argMax(x.trigger, x.version) AS trigger,
            argMax(x.path_id, x.version) AS path_id,
            argMax(x.step_id, x.version) AS step_id,
            argMax(x.evidence, x.version) AS evidence,
            argMax(x.detected_at, x.version) AS detected_at
        FROM stuck_signals AS x
        GROUP BY
            tenant_id,
            user_id,
            signal_id
    )
    UNION ALL
    SELECT
        toString(tenant_id),
        user_id,
        decided_at,
        if(outcome = 'decided', 'decision', 'non_decision'),
        if(outcome = 'decided', toString(arm), toString(reason)),
        toString(path_id),
        toString(step_id),
        toString(trigger),
        toString(reason),
        toString(arm),
        if(outcome = 'decided', propensity, NULL),
        decision_id,
        if(outcome = 'decided', arrayStringConcat(arrayMap((a, p) -> concat(a, ' ', toString(round(p, 3))), arms, propensities), ', '), ''),
        version,
        4,
        0
    FROM
    (
        SELECT
            x.tenant_id AS tenant_id,
            x.user_id AS user_id,
            x.decision_id AS decision_id,
            max(x.version) AS version,
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
        FROM decisions AS x
        GROUP BY
            tenant_id,
            user_id,
            decision_id
    )
    UNION ALL
    SELECT
        toString(tenant_id),
        user_id,
        created_at,
        'recommendation',
        toString(ui_component),
        toString(path_id),
        toString(step_id),
        toString(trigger),
        toString(reason),
        toString(arm),
        propensity,
        decision_id,
        message,
        version,
        5,
        if(source = 'template', 0, 2)
    FROM recommendations_final
    UNION ALL
    SELECT
        toString(tenant_id),
        user_id,
        asked_at,
        'wording',
        toString(status),
        toString(path_id),
        toString(step_id),
        toString(trigger),
        toString(reason),
        toString(arm),
        NULL,
        decision_id,
        toJSONString(CAST((toString(prompt_version), toString(model), toString(source), latency_ms, attempts, input_tokens, output_tokens, cost_micros, JSONExtract(checks, 'Array(Array(String))')), 'Tuple(promptVersion String, model String, source String, latencyMs UInt32, attempts UInt32, inputTokens UInt32,\n                outputTokens UInt32, costMicros Float64, checks Array(Array(String)))')),
        version,
        5,
        1
    FROM
    (
        SELECT
            x.tenant_id AS tenant_id,
            x.user_id AS user_id,
            x.decision_id AS decision_id,
            max(x.version) AS version,
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
        FROM llm_calls AS x
        GROUP BY
            tenant_id,
            user_id,
            decision_id
    )
    UNION ALL
    SELECT
        toString(tenant_id),
        user_id,
        occurred_at,
        'outcome',
        toString(kind),
        toString(path_id),
        toString(step_id),
        toString(trigger),
        '',
        toString(arm),
        NULL,
        decision_id,
        '',
        version,
        6,
        toInt64(indexOf(['shown', 'clicked', 'dismissed'], toString(kind)) + if((kind IN ('shown', 'clicked', 'dismissed')), 0, 4))
    FROM
    (
        SELECT
            x.tenant_id AS tenant_id,
            x.user_id AS user_id,
            x.decision_id AS decision_id,
            x.kind AS kind,
            max(x.version) AS version,
            argMax(x.trigger, x.version) AS trigger,
            argMax(x.path_id, x.version) AS path_id,
            argMax(x.step_id, x.version) AS step_id,
            argMax(x.arm, x.version) AS arm,
            argMax(x.occurred_at, x.version) AS occurred_at
        FROM outcomes AS x
        GROUP BY
            tenant_id,
            user_id,
            decision_id,
            kind
    )
)
ORDER BY
    tenant_id ASC,
    user_id ASC,
    at ASC,
    version ASC,
    rank ASC,
    place ASC,
    what ASC;

CREATE OR REPLACE VIEW recommendations_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `decision_id` String COMMENT 'id of the decision; joins decisions, recommendations, outcomes and `llm_calls`',
    `recommendation_id` String COMMENT 'signed id that the app sends back with exposure events',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `arm` LowCardinality(String) COMMENT 'arm of the catalog: one way to guide',
    `propensity` Float64 COMMENT 'probability, 0 to 1, with which the arm was drawn',
    `message` String COMMENT 'text that was sent for the user to read',
    `ui_component` LowCardinality(String) COMMENT 'how the app displays it: tooltip, modal, `sidebar_hint`, `email_trigger`; none withdraws the guidance',
    `deep_link` String COMMENT 'link in the app to the step',
    `confidence` Float64 COMMENT 'how sure the author of the text is of it, 0 to 1',
    `source` LowCardinality(String) COMMENT 'who wrote the text: template, llm (a call) or cache (an answer of before)',
    `prompt_version` LowCardinality(String) COMMENT 'version of the prompt; empty where no model wrote the text',
    `validation_hash` String COMMENT 'digest of message, UI component and link, with which a reader verifies that the text was not changed',
    `trace_id` String COMMENT 'trace of the message that caused it; empty without one',
    `reason` LowCardinality(String) COMMENT 'why it was withdrawn; empty for guidance',
    `created_at` DateTime64(3, 'UTC') COMMENT 'log time at which it was decided, UTC',
    `expires_at` DateTime64(3, 'UTC') COMMENT 'when it stops being current, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
COMMENT 'The newest row of each key of recommendations (FINAL).'
AS SELECT *
FROM recommendations
FINAL;

CREATE OR REPLACE VIEW step_completion_rate
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `position` Int32 COMMENT 'newest place of the step in the path, from 1; users who have not met the newest catalog may have it at another one',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `reached` UInt64 COMMENT 'users for whom the step is or was open before activation',
    `completed` UInt64 COMMENT 'of those, users who completed it, at activation at the latest',
    `step_completion_rate` Nullable(Float64) COMMENT 'completed / reached, 0 to 1; NULL where nobody reached it'
)
COMMENT 'Metric `step_completion_rate`: share of the users who reached a step before activation and completed it, at activation at the latest.'
AS SELECT
    tenant_id,
    path_id,
    position,
    step_id,
    reached,
    completed,
    step_completion_rate
FROM funnel_by_step;

CREATE OR REPLACE VIEW step_metrics
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `minute` DateTime64(3, 'UTC') COMMENT 'minute in which it happened, UTC: by the clock of the app for event and completed, else as in the table that it counts',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `metric` LowCardinality(String) COMMENT 'what is counted: completed (once for each user and step; a visitor\'s are taken back when the user takes them over), signal, decision, `non_decision`, event, or a kind of outcome',
    `label` LowCardinality(String) COMMENT 'refines the metric (trigger, reason, event type); may be empty',
    `total` Int64 COMMENT 'figure of the minute'
)
COMMENT 'Figures of each minute: by step, metric and label.'
AS SELECT
    tenant_id,
    minute,
    path_id,
    step_id,
    metric,
    label,
    sum(count) AS total
FROM step_metrics_1m_final
GROUP BY
    tenant_id,
    minute,
    path_id,
    step_id,
    metric,
    label
ORDER BY
    tenant_id ASC,
    minute ASC,
    path_id ASC,
    step_id ASC,
    metric ASC,
    label ASC;

CREATE OR REPLACE VIEW step_metrics_1m_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `minute` DateTime64(3, 'UTC') COMMENT 'minute in which it happened, UTC: by the clock of the app for event and completed, else as in the table that it counts',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `metric` LowCardinality(String) COMMENT 'what is counted: completed (once for each user and step; a visitor\'s are taken back when the user takes them over), signal, decision, `non_decision`, event, or a kind of outcome',
    `label` LowCardinality(String) COMMENT 'refines the metric (trigger, reason, event type); may be empty',
    `count` Int64 COMMENT 'part of the figure of the minute: add up all rows of a minute',
    `partial_id` String COMMENT 'place of the part in the spool: the same at every delivery'
)
COMMENT 'The newest row of each key of `step_metrics_1m` (FINAL).'
AS SELECT *
FROM step_metrics_1m
FINAL;

CREATE OR REPLACE VIEW step_progress_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog; empty in the row without a step',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog; empty in the row that is written when the user meets another catalog',
    `position` Int32 COMMENT 'place of the step in the path, from 1',
    `status` LowCardinality(String) COMMENT 'locked (not reached), current (is or was) or completed; `catalog_changed` in the row without a step',
    `attempts` UInt32 COMMENT 'attempts at the step as of `updated_at`',
    `errors` UInt32 COMMENT 'errors at the step as of `updated_at`',
    `first_seen_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'first event at the step by the clock of the app, UTC',
    `last_seen_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'newest event at the step by the clock of the app, UTC',
    `current_since_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'when the step became current, UTC; earlier where a visitor came to it who is merged later and did it. Unset for a step completed ahead of its turn',
    `completed_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'completion of the step by the clock of the app, UTC',
    `updated_at` DateTime64(3, 'UTC') COMMENT 'log time as of which counts and times are, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `path_order` LowCardinality(String) COMMENT 'order of the path in the catalog: free, or strict where it matters; free in rows that an older release wrote'
)
COMMENT 'The newest row of each key of `step_progress` (FINAL). Times that have not happened are NULL.'
AS SELECT * REPLACE (nullIf(first_seen_at, toDateTime64(0, 3, 'UTC')) AS first_seen_at, nullIf(last_seen_at, toDateTime64(0, 3, 'UTC')) AS last_seen_at, nullIf(current_since_at, toDateTime64(0, 3, 'UTC')) AS current_since_at, nullIf(completed_at, toDateTime64(0, 3, 'UTC')) AS completed_at)
FROM step_progress
FINAL;

CREATE OR REPLACE VIEW step_progress_in_force
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `position` Int32 COMMENT 'place of the step in the path, from 1',
    `status` LowCardinality(String) COMMENT 'locked (not reached), current (is or was) or completed',
    `attempts` UInt32 COMMENT 'attempts at the step as of `updated_at`',
    `errors` UInt32 COMMENT 'errors at the step as of `updated_at`',
    `first_seen_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'first event at the step, UTC',
    `last_seen_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'newest event at the step, UTC',
    `current_since_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'when the step became current, UTC; earlier where a visitor came to it who is merged later and did it. Unset for a step completed ahead of its turn',
    `completed_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'completion of the step, UTC',
    `updated_at` DateTime64(3, 'UTC') COMMENT 'log time as of which counts and times are, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `path_order` LowCardinality(String) COMMENT 'order of the path in the catalog: free, or strict where it matters; free in rows that an older release wrote'
)
COMMENT 'The rows of `step_progress_final` of steps that are on their path by the catalog that the user last met. Times that have not happened are NULL.'
AS SELECT s.*
FROM step_progress_final AS s
LEFT JOIN
(
    SELECT
        tenant_id,
        user_id,
        version AS met
    FROM step_progress
    FINAL
    WHERE step_id = ''
) AS c ON (c.tenant_id = s.tenant_id) AND (c.user_id = s.user_id)
WHERE (s.step_id != '') AND (s.version >= c.met);

CREATE OR REPLACE VIEW step_statistics_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog, or * for the detector as a whole',
    `parameters_version` UInt64 COMMENT 'version under which these parameters were published',
    `horizon_ms` Float64 COMMENT 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    `median_ms` Float64 COMMENT 'median milliseconds from the step becoming current to its completion',
    `completion_share` Float64 COMMENT 'share, 0 to 1, that completed or left the step within the horizon',
    `episodes` Float64 COMMENT 'episodes (a user at a step) that have ended',
    `curve_ms` Array(Float64) COMMENT 'times of the survival curve in milliseconds since the step became current',
    `survival` Array(Float64) COMMENT 'for each of those times the share, 0 to 1, that has not completed the step',
    `weights` String COMMENT 'JSON, on the row * only: operating point of the alarms and the weight of evidence beside time alone',
    `learned_at` DateTime64(3, 'UTC') COMMENT 'log time at which it was learned, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
COMMENT 'The newest row of each key of `step_statistics` (FINAL).'
AS SELECT *
FROM step_statistics
FINAL;

CREATE OR REPLACE VIEW step_statistics_latest
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog, or * for the detector as a whole',
    `parameters_version` UInt64 COMMENT 'version under which these parameters were published',
    `horizon_ms` Float64 COMMENT 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    `median_ms` Float64 COMMENT 'median milliseconds from the step becoming current to its completion',
    `completion_share` Float64 COMMENT 'share, 0 to 1, that completed or left the step within the horizon',
    `episodes` Float64 COMMENT 'episodes (a user at a step) that have ended',
    `curve_ms` Array(Float64) COMMENT 'times of the survival curve in milliseconds since the step became current',
    `survival` Array(Float64) COMMENT 'for each of those times the share, 0 to 1, that has not completed the step',
    `weights` String COMMENT 'JSON, on the row * only: operating point of the alarms and the weight of evidence beside time alone',
    `learned_at` DateTime64(3, 'UTC') COMMENT 'log time at which it was learned, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
COMMENT 'The parameters in force. One row for each step.'
AS SELECT *
FROM
(
    SELECT *
    FROM step_statistics_final
    ORDER BY parameters_version DESC
    LIMIT 1 BY
        tenant_id,
        step_id
)
ORDER BY
    tenant_id ASC,
    step_id ASC;

CREATE OR REPLACE VIEW steps_of_visitors
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `visitor_id` String COMMENT 'id of the visitor before they signed in',
    `user_id` String COMMENT 'id of the user as the app sent it',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `since_at` DateTime64(3, 'UTC') COMMENT 'when the step became current for the visitor, UTC'
)
COMMENT 'Steps that a user came to as a visitor, before signing in: the beginning of the step is that of the visitor.'
AS SELECT
    v.tenant_id AS tenant_id,
    v.visitor_id AS visitor_id,
    any(v.user_id) AS user_id,
    toLowCardinality(v.step_id) AS step_id,
    min(v.since) AS since_at
FROM
(
    SELECT
        m.tenant_id AS tenant_id,
        m.visitor_id AS visitor_id,
        m.user_id AS user_id,
        step_id,
        since,
        arrayMax(arrayMap((other, done) -> if((other != step_id) AND ((done >= p.first_seen_at) AND (done <= since)), done, p.first_seen_at), s.steps, s.dones)) AS since_by_time
    FROM users_of_visitors AS m
    INNER JOIN
    (
        SELECT
            tenant_id,
            user_id,
            groupArray(step_id) AS steps,
            groupArray(current_since_at) AS sinces,
            groupArray(completed_at) AS dones
        FROM step_progress
        FINAL
        WHERE (tenant_id, user_id) IN (
            SELECT
                tenant_id,
                user_id
            FROM people
            WHERE experiment_group = 'merged'
        )
        GROUP BY
            tenant_id,
            user_id
    ) AS s ON (s.tenant_id = m.tenant_id) AND (s.user_id = m.visitor_id)
    INNER JOIN
    (
        SELECT
            tenant_id,
            user_id,
            first_seen_at
        FROM people
        FINAL
        WHERE experiment_group = 'merged'
    ) AS p ON (p.tenant_id = m.tenant_id) AND (p.user_id = m.visitor_id)
    ARRAY JOIN
        s.steps AS step_id,
        s.sinces AS since
    WHERE since > toDateTime64(0, 3, 'UTC')
) AS v
INNER JOIN
(
    SELECT
        tenant_id,
        user_id,
        step_id,
        current_since_at
    FROM step_progress
    FINAL
) AS u ON (u.tenant_id = v.tenant_id) AND (u.user_id = v.user_id) AND (u.step_id = v.step_id)
WHERE u.current_since_at IN (v.since, v.since_by_time)
GROUP BY
    tenant_id,
    visitor_id,
    step_id;

CREATE OR REPLACE VIEW stuck_episodes
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `since_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'when the step became current, UTC',
    `horizon_ms` Float64 COMMENT 'horizon in milliseconds of the step when the episode began: nine of ten of its last completions then took no longer',
    `completed_after_ms` Nullable(Int64) COMMENT 'milliseconds from `since_at` to the completion; NULL without one',
    `stuck` Nullable(UInt8) COMMENT '1 if the step was neither completed nor left within the horizon',
    `alarmed` UInt8 COMMENT '1 if there was an alarm, about the user or the visitor who came to the step',
    `trigger` String COMMENT 'kind of the first alarm; empty without one',
    `alarm_after_ms` Nullable(Int64) COMMENT 'milliseconds from `since_at` to the first alarm; NULL without one',
    `score` Nullable(Float64) COMMENT 'score of the first alarm, 0 to 1; NULL without one',
    `matched` Nullable(UInt8) COMMENT '1 if the episode was stuck and the alarm came within half of the horizon',
    `ended_after_ms` Nullable(Int64) COMMENT 'milliseconds from `since_at` to the completion or to leaving the step (`left_at` of `path_steps`), whichever came first; NULL without either',
    `went_on` Nullable(UInt8) COMMENT '1 if the episode is matched and the user completed a later step of the path after the alarm, without guidance'
)
COMMENT 'Episodes of held-out users, who get no guidance: a user at a step since it became current, before activation. Where a visitor came to the step who then signed in, the visitor\'s alarm is that of the user; what is learned leaves such an episode out if the visitor was there until the first look, a tenth of the horizon. Younger ones than their horizon are not in it, nor a step that was completed before it became current.'
AS SELECT
    s.tenant_id AS tenant_id,
    s.user_id AS user_id,
    s.step_id AS step_id,
    s.current_since_at AS since_at,
    coalesce(if(o.judged_at >= s.since, o.horizon, NULL), a.horizon, nullIf(s.horizon, 0), f.horizon, 0) AS horizon_ms,
    if(s.completed_at IS NULL, NULL, dateDiff('millisecond', s.since, assumeNotNull(s.completed_at))) AS completed_after_ms,
    (ended_after_ms IS NULL) OR (ended_after_ms > horizon_ms) AS stuck,
    a.user_id != '' AS alarmed,
    a.first_trigger AS trigger,
    if(alarmed, dateDiff('millisecond', s.since, a.first_at), NULL) AS alarm_after_ms,
    if(alarmed, a.first_score, NULL) AS score,
    stuck AND alarmed AND ((assumeNotNull(alarm_after_ms) >= 0) AND (assumeNotNull(alarm_after_ms) <= (horizon_ms / 2))) AS matched,
    if(s.ended_at IS NULL, NULL, dateDiff('millisecond', s.since, assumeNotNull(s.ended_at))) AS ended_after_ms,
    matched AND ifNull(s.went_on_at >= a.first_at, false) AS went_on
FROM
(
    SELECT
        e.*,
        h.horizon_ms AS horizon
    FROM
    (
        SELECT
            *,
            assumeNotNull(current_since_at) AS since,
            coalesce(least(completed_at, left_at), completed_at, left_at) AS ended_at
        FROM
        (
            SELECT
                *,
                max(completed_at) OVER (PARTITION BY tenant_id, user_id ORDER BY position ASC ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS went_on_at
            FROM path_steps
            WHERE experiment_group = 'holdout'
        )
        WHERE (current_since_at IS NOT NULL) AND ifNull(current_since_at < activated_at, true) AND ifNull(completed_at >= current_since_at, true)
    ) AS e
    ASOF LEFT JOIN step_statistics AS h ON (h.tenant_id = e.tenant_id) AND (h.step_id = e.step_id) AND (h.learned_at <= e.since)
) AS s
LEFT JOIN
(
    SELECT
        tenant_id,
        step_id,
        argMin(horizon_ms, learned_at) AS horizon
    FROM step_statistics
    GROUP BY
        tenant_id,
        step_id
) AS f ON (f.tenant_id = s.tenant_id) AND (f.step_id = s.step_id)
INNER JOIN
(
    SELECT
        tenant_id,
        max(log_time) AS newest_at
    FROM events
    GROUP BY tenant_id
) AS n ON n.tenant_id = s.tenant_id
LEFT JOIN
(
    SELECT
        c.tenant_id AS tenant_id,
        c.user_id AS user_id,
        c.step_id AS step_id,
        argMax(c.horizon_ms, c.judged_at) AS horizon,
        max(c.judged_at) AS judged_at
    FROM stuck_scores_of_users AS c
    GROUP BY
        tenant_id,
        user_id,
        step_id
) AS o ON (o.tenant_id = s.tenant_id) AND (o.user_id = s.user_id) AND (o.step_id = s.step_id)
LEFT JOIN
(
    SELECT
        tenant_id,
        user_id,
        step_id,
        toString(argMin(trigger, detected_at)) AS first_trigger,
        argMin(score, detected_at) AS first_score,
        JSONExtract(argMin(evidence, detected_at), 'horizon', 'Nullable(Float64)') AS horizon,
        min(detected_at) AS first_at
    FROM stuck_signals_of_users
    GROUP BY
        tenant_id,
        user_id,
        step_id
) AS a ON (a.tenant_id = s.tenant_id) AND (a.user_id = s.user_id) AND (a.step_id = s.step_id)
WHERE (horizon_ms > 0) AND (dateDiff('millisecond', s.since, n.newest_at) >= horizon_ms);

CREATE OR REPLACE VIEW stuck_scorecard
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `asked_precision` Float64 COMMENT 'precision that the catalog asks for, 0 to 1',
    `precision` Float64 COMMENT 'precision that past users say is reached, 0 to 1',
    `recall` Float64 COMMENT 'recall there, 0 to 1',
    `reachable` UInt8 COMMENT '1 if the asked precision is in reach; else alarms are raised at the best one in reach',
    `early_threshold` Nullable(Float64) COMMENT 'score from which an alarm is raised before the last look at a user; NULL for never',
    `threshold` Nullable(Float64) COMMENT 'score from which an alarm is raised at the last look; NULL for never',
    `episodes` UInt64 COMMENT 'episodes from which it was learned',
    `learned_at` DateTime64(3, 'UTC') COMMENT 'log time at which it was learned, UTC'
)
COMMENT 'The operating point of the alarms: the precision that the catalog asks for, and what is reached.'
AS SELECT
    tenant_id,
    JSONExtractFloat(weights, 'askedPrecision') AS asked_precision,
    JSONExtractFloat(weights, 'precision') AS precision,
    JSONExtractFloat(weights, 'recall') AS recall,
    JSONExtractBool(weights, 'reachable') AS reachable,
    JSONExtract(weights, 'earlyThreshold', 'Nullable(Float64)') AS early_threshold,
    JSONExtract(weights, 'threshold', 'Nullable(Float64)') AS threshold,
    JSONExtractUInt(weights, 'episodes') AS episodes,
    learned_at
FROM step_statistics_latest
WHERE (step_id = '*') AND (weights != '')
ORDER BY tenant_id ASC;

CREATE OR REPLACE VIEW stuck_scorecard_by_step
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `episodes` UInt64 COMMENT 'episodes of held-out users that are older than the horizon',
    `stuck_people` UInt64 COMMENT 'of those, episodes that were stuck',
    `alarms` UInt64 COMMENT 'episodes with an alarm; the first one counts',
    `matched_alarms` UInt64 COMMENT 'alarms that were right: the user was stuck, and the alarm came within half of the horizon',
    `precision` Nullable(Float64) COMMENT '`matched_alarms` / alarms, 0 to 1; NULL without an alarm',
    `recall` Nullable(Float64) COMMENT '`matched_alarms` / `stuck_people`, 0 to 1; NULL without a stuck episode',
    `recovered_alone` Nullable(Float64) COMMENT 'share, 0 to 1, of the alarms after which the user completed or left the step within the horizon without guidance',
    `lead_hours` Nullable(Float64) COMMENT 'median hours from the alarm to the horizon, of matched alarms; NULL without one',
    `went_on` UInt64 COMMENT 'of `matched_alarms`, those after which the user completed a later step of the path, without guidance: stuck, and yet not lost'
)
COMMENT 'The quality of the alarms by step, measured on held-out users.'
AS SELECT
    tenant_id,
    step_id,
    count() AS episodes,
    countIf(e.stuck) AS stuck_people,
    countIf(alarmed) AS alarms,
    countIf(matched) AS matched_alarms,
    if(alarms = 0, NULL, matched_alarms / alarms) AS precision,
    if(stuck_people = 0, NULL, matched_alarms / stuck_people) AS recall,
    if(alarms = 0, NULL, countIf(alarmed AND (NOT e.stuck) AND (assumeNotNull(ended_after_ms) >= assumeNotNull(alarm_after_ms))) / alarms) AS recovered_alone,
    if(matched_alarms = 0, NULL, quantileExactInclusiveIf(0.5)((horizon_ms - assumeNotNull(alarm_after_ms)) / 3600000, matched)) AS lead_hours,
    countIf(e.went_on) AS went_on
FROM stuck_episodes AS e
GROUP BY
    tenant_id,
    step_id
ORDER BY
    tenant_id ASC,
    step_id ASC;

CREATE OR REPLACE VIEW stuck_scorecard_by_trigger
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `trigger` String COMMENT 'kind of the first alarm of the episode',
    `alarms` UInt64 COMMENT 'episodes with an alarm; the first one counts',
    `matched_alarms` UInt64 COMMENT 'alarms that were right: the user was stuck, and the alarm came within half of the horizon',
    `precision` Float64 COMMENT '`matched_alarms` / alarms, 0 to 1',
    `found` Nullable(Float64) COMMENT '`matched_alarms` / all stuck episodes, 0 to 1; NULL without one',
    `mean_score` Float64 COMMENT 'mean score of the alarms, 0 to 1',
    `recovered_alone` Float64 COMMENT 'share, 0 to 1, of the alarms after which the user completed or left the step within the horizon without guidance',
    `lead_hours` Nullable(Float64) COMMENT 'median hours from the alarm to the horizon, of matched alarms; NULL without one',
    `went_on` UInt64 COMMENT 'of `matched_alarms`, those after which the user completed a later step of the path, without guidance: stuck, and yet not lost'
)
COMMENT 'The quality of the alarms by kind. An episode without an alarm has no kind, so there is no recall.'
AS SELECT
    e.tenant_id AS tenant_id,
    e.trigger AS trigger,
    countIf(alarmed) AS alarms,
    countIf(matched) AS matched_alarms,
    matched_alarms / alarms AS precision,
    if(any(e.stuck_people) = 0, NULL, matched_alarms / any(e.stuck_people)) AS found,
    avg(assumeNotNull(score)) AS mean_score,
    countIf((NOT e.stuck) AND (assumeNotNull(ended_after_ms) >= assumeNotNull(alarm_after_ms))) / alarms AS recovered_alone,
    if(matched_alarms = 0, NULL, quantileExactInclusiveIf(0.5)((horizon_ms - assumeNotNull(alarm_after_ms)) / 3600000, matched)) AS lead_hours,
    countIf(e.went_on) AS went_on
FROM
(
    SELECT
        *,
        countIf(stuck) OVER (PARTITION BY tenant_id) AS stuck_people
    FROM stuck_episodes
) AS e
WHERE e.alarmed
GROUP BY
    tenant_id,
    trigger
ORDER BY
    tenant_id ASC,
    alarms DESC,
    trigger ASC;

CREATE OR REPLACE VIEW stuck_scores_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `share` Float64 COMMENT 'share of the horizon, 0 to 1, that the user had waited',
    `score` Float64 COMMENT 'estimated probability, 0 to 1, that the user will neither complete nor leave the step within the horizon',
    `time_alone` Float64 COMMENT 'share, 0 to 1, of stuck users among those who waited as long at this step before',
    `horizon_ms` Float64 COMMENT 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    `judged_at` DateTime64(3, 'UTC') COMMENT 'log time of the judgement, UTC',
    `parameters_version` UInt64 COMMENT 'version of the step statistics that was used; 0 before the first was learned',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
COMMENT 'The newest row of each key of `stuck_scores` (FINAL).'
AS SELECT *
FROM stuck_scores
FINAL;

CREATE OR REPLACE VIEW stuck_scores_of_users
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor who has not signed in at this step',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `share` Float64 COMMENT 'share of the horizon, 0 to 1, that the user had waited',
    `score` Float64 COMMENT 'estimated probability, 0 to 1, that the user will neither complete nor leave the step within the horizon',
    `time_alone` Float64 COMMENT 'share, 0 to 1, of stuck users among those who waited as long at this step before',
    `horizon_ms` Float64 COMMENT 'horizon of the step in milliseconds: nine of ten of its last completions took no longer',
    `judged_at` DateTime64(3, 'UTC') COMMENT 'log time of the judgement, UTC',
    `parameters_version` UInt64 COMMENT 'version of the step statistics that was used; 0 before the first was learned',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest'
)
COMMENT 'The rows of `stuck_scores_final`. A score of a visitor is one of the user who came to the step as that visitor.'
AS SELECT s.* REPLACE (if((v.user_id != '') AND (s.judged_at >= v.since_at), v.user_id, s.user_id) AS user_id)
FROM stuck_scores_final AS s
LEFT JOIN steps_of_visitors AS v ON (v.tenant_id = s.tenant_id) AND (v.visitor_id = s.user_id) AND (v.step_id = s.step_id);

CREATE OR REPLACE VIEW stuck_signals_by_step
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `signals` UInt64 COMMENT 'stuck signals',
    `people` UInt64 COMMENT 'users, each counted once; a visitor who signed in counts as that user'
)
COMMENT 'Alarms by step and kind.'
AS SELECT
    s.tenant_id AS tenant_id,
    s.path_id AS path_id,
    s.step_id AS step_id,
    s.trigger AS trigger,
    count() AS signals,
    uniqExact(if(v.user_id = '', s.user_id, v.user_id)) AS people
FROM stuck_signals_final AS s
LEFT JOIN users_of_visitors AS v ON (v.tenant_id = s.tenant_id) AND (v.visitor_id = s.user_id)
GROUP BY
    tenant_id,
    path_id,
    step_id,
    trigger
ORDER BY
    tenant_id ASC,
    path_id ASC,
    step_id ASC,
    signals DESC,
    trigger ASC;

CREATE OR REPLACE VIEW stuck_signals_by_trigger
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `signals` UInt64 COMMENT 'stuck signals',
    `people` UInt64 COMMENT 'users, each counted once; a visitor who signed in counts as that user'
)
COMMENT 'Alarms by kind.'
AS SELECT
    s.tenant_id AS tenant_id,
    s.trigger AS trigger,
    count() AS signals,
    uniqExact(if(v.user_id = '', s.user_id, v.user_id)) AS people
FROM stuck_signals_final AS s
LEFT JOIN users_of_visitors AS v ON (v.tenant_id = s.tenant_id) AND (v.visitor_id = s.user_id)
GROUP BY
    tenant_id,
    trigger
ORDER BY
    tenant_id ASC,
    signals DESC,
    trigger ASC;

CREATE OR REPLACE VIEW stuck_signals_final
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `signal_id` String COMMENT 'id of the signal',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor before they signed in',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `evidence` String COMMENT 'JSON: the evidence, and what each part of it added to the score',
    `detected_at` DateTime64(3, 'UTC') COMMENT 'log time of the alarm, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `score` Float64 COMMENT 'estimated probability, 0 to 1, that the user will not complete the step within its horizon without help',
    `parameters_version` UInt64 COMMENT 'version of the step statistics that was used; 0 before the first was learned'
)
COMMENT 'The newest row of each key of `stuck_signals` (FINAL).'
AS SELECT *
FROM stuck_signals
FINAL;

CREATE OR REPLACE VIEW stuck_signals_of_users
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `signal_id` String COMMENT 'id of the signal',
    `user_id` String COMMENT 'id of the user as the app sent it, or of a visitor who has not signed in at this step',
    `trigger` LowCardinality(String) COMMENT 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    `path_id` LowCardinality(String) COMMENT 'path of the catalog',
    `step_id` LowCardinality(String) COMMENT 'step of the catalog',
    `evidence` String COMMENT 'JSON: the evidence, and what each part of it added to the score',
    `detected_at` DateTime64(3, 'UTC') COMMENT 'log time of the alarm, UTC',
    `version` UInt64 COMMENT 'orders the rows of one key: the row with the largest version is the newest',
    `score` Float64 COMMENT 'estimated probability, 0 to 1, that the user will not complete the step within its horizon without help',
    `parameters_version` UInt64 COMMENT 'version of the step statistics that was used; 0 before the first was learned'
)
COMMENT 'The rows of `stuck_signals_final`. An alarm about a visitor is one about the user who came to the step as that visitor.'
AS SELECT s.* REPLACE (if((v.user_id != '') AND (s.detected_at >= v.since_at), v.user_id, s.user_id) AS user_id)
FROM stuck_signals_final AS s
LEFT JOIN steps_of_visitors AS v ON (v.tenant_id = s.tenant_id) AND (v.visitor_id = s.user_id) AND (v.step_id = s.step_id);

CREATE OR REPLACE VIEW time_to_activation_p50_hours
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `activated` UInt64 COMMENT 'users who reached activation',
    `time_to_activation_p50_hours` Nullable(Float64) COMMENT 'median hours to activation, of activated users: from the sign-up; from the first event for those without one, or who activated before it; NULL without one'
)
COMMENT 'Metric `time_to_activation_p50_hours`: median hours to activation: from the sign-up; from the first event for users without one, or who activated before it.'
AS SELECT
    tenant_id,
    activated,
    time_to_activation_p50_hours
FROM activation;

CREATE OR REPLACE VIEW users_of_visitors
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `visitor_id` String COMMENT 'id of the visitor before they signed in',
    `user_id` String COMMENT 'id of the user as the app sent it; of a visitor where visitors named each other and none signed in'
)
COMMENT 'Visitors who signed in, and as which user. Who counts users counts such a visitor as that user. It is known by `person_key` of `people`. Where rows of earlier releases have none, it follows from the events of merges; a visitor is then not in it where the user is known by way of two more ids only, or the event of the merge is gone, which a retention may have deleted.'
AS WITH
    merged AS
    (
        SELECT
            tenant_id,
            user_id
        FROM people
        FINAL
        WHERE experiment_group = 'merged'
    ),
    others AS
    (
        SELECT
            tenant_id,
            visitor_id
        FROM visitors_by_key
        WHERE user_id = ''
    ),
    named AS
    (
        SELECT
            tenant_id,
            JSONExtractString(payload, 'previousId') AS one,
            user_id AS other,
            log_time,
            timestamp
        FROM events
        WHERE (event_type = 'identity_merged') AND (status IN ('applied', 'merged', 'late')) AND JSONHas(payload, 'previousId')
    ),
    direct AS
    (
        SELECT
            n.tenant_id AS tenant_id,
            n.one AS visitor_id,
            n.other AS user_id,
            n.log_time AS log_time,
            n.timestamp AS timestamp
        FROM named AS n
        INNER JOIN others AS o ON (o.tenant_id = n.tenant_id) AND (o.visitor_id = n.one)
        WHERE (n.tenant_id, n.other) NOT IN (merged)
    )
SELECT
    tenant_id,
    visitor_id,
    user_id
FROM visitors_by_key
WHERE user_id != ''
UNION ALL
WITH
    merged AS
    (
        SELECT
            tenant_id,
            user_id
        FROM people
        FINAL
        WHERE experiment_group = 'merged'
    ),
    others AS
    (
        SELECT
            tenant_id,
            visitor_id
        FROM visitors_by_key
        WHERE user_id = ''
    ),
    named AS
    (
        SELECT
            tenant_id,
            JSONExtractString(payload, 'previousId') AS one,
            user_id AS other,
            log_time,
            timestamp
        FROM events
        WHERE (event_type = 'identity_merged') AND (status IN ('applied', 'merged', 'late')) AND JSONHas(payload, 'previousId')
    ),
    direct AS
    (
        SELECT
            n.tenant_id AS tenant_id,
            n.one AS visitor_id,
            n.other AS user_id,
            n.log_time AS log_time,
            n.timestamp AS timestamp
        FROM named AS n
        INNER JOIN others AS o ON (o.tenant_id = n.tenant_id) AND (o.visitor_id = n.one)
        WHERE (n.tenant_id, n.other) NOT IN (merged)
    )
SELECT
    tenant_id,
    visitor_id,
    argMin(user_id, at) AS user_id
FROM
(
    SELECT
        tenant_id,
        visitor_id,
        user_id,
        (0, log_time, timestamp) AS at
    FROM direct
    UNION ALL
    SELECT
        n.tenant_id,
        n.id,
        d.user_id,
        (1, n.log_time, n.timestamp)
    FROM
    (
        SELECT
            tenant_id,
            one AS id,
            other AS next,
            log_time,
            timestamp
        FROM named
        UNION ALL
        SELECT
            tenant_id,
            other AS id,
            one AS next,
            log_time,
            timestamp
        FROM named
    ) AS n
    INNER JOIN others AS o ON (o.tenant_id = n.tenant_id) AND (o.visitor_id = n.id)
    INNER JOIN
    (
        SELECT
            tenant_id,
            visitor_id,
            user_id
        FROM visitors_by_key
        WHERE user_id != ''
        UNION ALL
        SELECT
            tenant_id,
            visitor_id,
            argMin(user_id, (log_time, timestamp))
        FROM direct
        GROUP BY
            tenant_id,
            visitor_id
    ) AS d ON (d.tenant_id = n.tenant_id) AND (d.visitor_id = n.next)
)
GROUP BY
    tenant_id,
    visitor_id;

CREATE OR REPLACE VIEW visitors_by_key
(
    `tenant_id` LowCardinality(String) COMMENT 'tenant: the customer of the app whose data it is; every key begins with it',
    `visitor_id` String COMMENT 'id of the visitor before they signed in',
    `user_id` String COMMENT 'id of the user as the app sent it; of a visitor where visitors named each other and none signed in. Empty where no user has the key of the visitor'
)
COMMENT 'Visitors who signed in, and as which user, by the `person_key` of both in `people`. `users_of_visitors` also has those that are not known so.'
AS SELECT
    tenant_id,
    arrayJoin(visitors) AS visitor_id,
    user_id
FROM
(
    SELECT
        tenant_id,
        groupArrayIf(id, experiment_group = 'merged') AS visitors,
        anyIf(id, experiment_group != 'merged') AS user_id
    FROM
    (
        SELECT
            tenant_id,
            user_id AS id,
            experiment_group,
            if(person_key = '', user_id, person_key) AS key
        FROM people
        FINAL
        WHERE (experiment_group = 'merged') OR (person_key IN (
            SELECT person_key
            FROM people
            WHERE (experiment_group = 'merged') AND (person_key != '')
        ))
    )
    GROUP BY
        tenant_id,
        key
);
