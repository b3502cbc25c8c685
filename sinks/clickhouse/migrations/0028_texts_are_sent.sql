-- The job sends a text of a model to Redis, which refuses it if it comes too late: the template was shown, or newer guidance is there. The answer
-- of Redis is in no table. So the comments say that a text was sent, and not that it was read.

ALTER TABLE recommendations
    MODIFY COMMENT 'One row for each version of a record that was sent to Redis, where the app reads it. A text of a model that came too late was refused there, and its row is here all the same. Written by the steps compose (template) and enrich (text of a model). Newest row of a key: `recommendations_final`, or argMax by version.',
    COMMENT COLUMN message 'text that was sent for the user to read';

ALTER TABLE recommendations_final COMMENT COLUMN message 'text that was sent for the user to read';

ALTER TABLE llm_calls COMMENT COLUMN status 'improved (a text was sent to Redis, which refuses it if it comes too late) or kept (the template stayed; see reason)';
ALTER TABLE llm_calls_final COMMENT COLUMN status 'improved (a text was sent to Redis, which refuses it if it comes too late) or kept (the template stayed; see reason)';
ALTER TABLE llm_asked COMMENT COLUMN status 'improved (a text was sent to Redis, which refuses it if it comes too late) or kept (the template stayed; see reason)';

ALTER TABLE llm_cost_per_activation COMMENT COLUMN improved 'of those, decisions for which a text was sent';
ALTER TABLE llm_prompts COMMENT COLUMN improved 'decisions for which a text was sent';
ALTER TABLE model_against_template
    MODIFY COMMENT 'Is a text of a model worth more than the template? By intention to treat: a decision counts for what it was drawn for, whichever text was shown.',
    COMMENT COLUMN improved 'decisions for which a text was sent',
    COMMENT COLUMN shown 'decisions that the app displayed, with the text or with the template';
