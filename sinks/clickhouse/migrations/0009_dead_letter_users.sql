-- Whom a rejected message names, so that a deletion finds its row.

ALTER TABLE dead_letters ADD COLUMN IF NOT EXISTS user_ids Array(String);

CREATE OR REPLACE VIEW dead_letters_final AS SELECT * FROM dead_letters FINAL;
