-- Calls of a model, kept for review for the days of ONRAMP_LLM_KEEP_DAYS, which become the TTL of the table. Without days nothing is written.
CREATE TABLE IF NOT EXISTS llm_answers
(
    tenant_id LowCardinality(String),
    decision_id String,
    user_id String,
    recommendation_id String,
    trigger LowCardinality(String),
    path_id LowCardinality(String),
    step_id LowCardinality(String),
    arm LowCardinality(String),
    scope LowCardinality(String),
    status LowCardinality(String),
    refused_by LowCardinality(String),
    reason LowCardinality(String),
    prompt_version LowCardinality(String),
    prompt String CODEC(ZSTD(1)),
    answer String CODEC(ZSTD(1)),
    model LowCardinality(String),
    input_tokens UInt32,
    output_tokens UInt32,
    cost_micros UInt64,
    trace_id String,
    called_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, decision_id);

CREATE OR REPLACE VIEW llm_answers_final AS SELECT * FROM llm_answers FINAL;

ALTER TABLE llm_answers
    MODIFY COMMENT 'One row for each call of a model while ONRAMP_LLM_KEEP_DAYS is set: the prompt, and the answer where it was rejected. Written by the step enrich. Newest row of a key: `llm_answers_final`, or argMax by version.',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN decision_id 'id of the decision that is charged for the call; joins decisions, recommendations, outcomes and `llm_calls`',
    COMMENT COLUMN user_id 'user of that decision, who need not be the only one whom a shared text serves; the row is erased with them',
    COMMENT COLUMN recommendation_id 'signed id that the app sends back with exposure events',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN scope 'shared (one text serves all users of a place) or personal (one user)',
    COMMENT COLUMN status 'accepted (the answer passed all checks), rejected (a check refused it), failed (no answer) or cancelled (nobody waited any more)',
    COMMENT COLUMN refused_by 'check that rejected the answer; empty for other statuses, and where a reviewer had rejected the same text before',
    COMMENT COLUMN reason 'why it was rejected, failed or was cancelled; empty for status accepted',
    COMMENT COLUMN prompt_version 'version of the prompt that was drawn',
    COMMENT COLUMN prompt 'what was sent: the system message, an empty line, the message of the user. Personal data that redaction recognises was taken out',
    COMMENT COLUMN answer 'what the model wrote, at most 20,000 characters; empty unless it was rejected. It may hold personal data',
    COMMENT COLUMN model 'name of the model that answered; where none did, the name under which it was asked',
    COMMENT COLUMN input_tokens 'tokens of the prompts of the call',
    COMMENT COLUMN output_tokens 'tokens of its answers',
    COMMENT COLUMN cost_micros 'cost of the call in millionths of a dollar',
    COMMENT COLUMN trace_id 'id of the trace of the event that led to the decision; empty without one',
    COMMENT COLUMN called_at 'when the model was called by the clock of the job, UTC; the days of keeping count from here',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE llm_answers_final
    MODIFY COMMENT 'The newest row of each key of `llm_answers` (FINAL).',
    COMMENT COLUMN tenant_id 'tenant: the customer of the app whose data it is; every key begins with it',
    COMMENT COLUMN decision_id 'id of the decision that is charged for the call; joins decisions, recommendations, outcomes and `llm_calls`',
    COMMENT COLUMN user_id 'user of that decision, who need not be the only one whom a shared text serves; the row is erased with them',
    COMMENT COLUMN recommendation_id 'signed id that the app sends back with exposure events',
    COMMENT COLUMN trigger 'what asked for guidance: the sign-up, a completed step, or stuck:… with the kind of alarm',
    COMMENT COLUMN path_id 'path of the catalog',
    COMMENT COLUMN step_id 'step of the catalog',
    COMMENT COLUMN arm 'arm of the catalog: one way to guide',
    COMMENT COLUMN scope 'shared (one text serves all users of a place) or personal (one user)',
    COMMENT COLUMN status 'accepted (the answer passed all checks), rejected (a check refused it), failed (no answer) or cancelled (nobody waited any more)',
    COMMENT COLUMN refused_by 'check that rejected the answer; empty for other statuses, and where a reviewer had rejected the same text before',
    COMMENT COLUMN reason 'why it was rejected, failed or was cancelled; empty for status accepted',
    COMMENT COLUMN prompt_version 'version of the prompt that was drawn',
    COMMENT COLUMN prompt 'what was sent: the system message, an empty line, the message of the user. Personal data that redaction recognises was taken out',
    COMMENT COLUMN answer 'what the model wrote, at most 20,000 characters; empty unless it was rejected. It may hold personal data',
    COMMENT COLUMN model 'name of the model that answered; where none did, the name under which it was asked',
    COMMENT COLUMN input_tokens 'tokens of the prompts of the call',
    COMMENT COLUMN output_tokens 'tokens of its answers',
    COMMENT COLUMN cost_micros 'cost of the call in millionths of a dollar',
    COMMENT COLUMN trace_id 'id of the trace of the event that led to the decision; empty without one',
    COMMENT COLUMN called_at 'when the model was called by the clock of the job, UTC; the days of keeping count from here',
    COMMENT COLUMN version 'orders the rows of one key: the row with the largest version is the newest';

ALTER TABLE llm_calls
    MODIFY COMMENT 'One row for each decision that a model could have worded, also where none was asked. Rejected texts are not in it: `llm_answers` has them, where they are kept. Written by the step enrich. Newest row of a key: `llm_calls_final`, or argMax by version.';
