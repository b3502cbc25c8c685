-- The tenant of a rejected message is that beside its sender, and `default` where it is left out. Rows of before had no tenant then, or also one that
-- only the payload names. A row that has none any more may be of any tenant.

ALTER TABLE dead_letters UPDATE
    tenant_ids = multiIf(
        reason = 'bad_tenant_id' OR (reason = 'placeholder_id' AND startsWith(detail, 'tenantId ')), [],
        JSONType(raw, 'tenantId') = 'String', [JSONExtractString(raw, 'tenantId')],
        ['default']
    )
WHERE (isValidJSON(raw) AND JSONType(raw) = 'Object' AND (
        JSONType(raw, 'tenantId') = 'String' OR (NOT JSONHas(raw, 'tenantId') AND (JSONHas(raw, 'userId') OR JSONHas(raw, 'anonymousId')))
    ))
    -- Of a message with a large payload the row has the beginning only. It was read before it was rejected, and names no tenant.
    OR (reason = 'payload_too_large' AND empty(tenant_ids))
SETTINGS mutations_sync = 2;

ALTER TABLE dead_letters
    COMMENT COLUMN tenant_ids 'its tenant, default where it leaves that out; where no sender can be read, all that it names; empty: nobody can tell';

ALTER TABLE dead_letters_final
    COMMENT COLUMN tenant_ids 'its tenant, default where it leaves that out; where no sender can be read, all that it names; empty: nobody can tell';
