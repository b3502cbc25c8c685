-- Whom a rejected message names, and of which tenant, so that a deletion finds its row.

ALTER TABLE dead_letters
    ADD COLUMN IF NOT EXISTS user_ids Array(String),
    ADD COLUMN IF NOT EXISTS tenant_ids Array(String);

-- Rows of before: what can be found in the part of the message that they hold.
ALTER TABLE dead_letters UPDATE
    user_ids = arrayDistinct(arrayMap(
        x -> if(startsWith(x, '"'), JSONExtractString(concat('[', x, ']'), 1), x),
        extractAll(raw, '"(?:userId|user_id|anonymousId|anonymous_id|previousId)"\\s*:\\s*("(?:[^"\\\\]|\\\\.)*"|-?[0-9]+)')
    )),
    tenant_ids = arrayDistinct(arrayMap(
        x -> JSONExtractString(concat('[', x, ']'), 1),
        extractAll(raw, '"tenantId"\\s*:\\s*("(?:[^"\\\\]|\\\\.)*")')
    ))
WHERE empty(user_ids)
SETTINGS mutations_sync = 2;

CREATE OR REPLACE VIEW dead_letters_final AS SELECT * FROM dead_letters FINAL;
