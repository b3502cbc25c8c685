"""The one script that changes a person's record in Redis: atomic, one key a call (so that any cluster slot will do).

What stands there → what happens to a record of version ``v``:

| under the key                | ``publish``                      | ``erase``                             |
|------------------------------|----------------------------------|---------------------------------------|
| nothing                      | written                          | written                               |
| exactly this value           | unchanged, its life not extended | unchanged, its life not extended      |
| a recommendation, version w  | written if v ≥ w, else stale     | written: deletion beats every version |
| a tombstone, version w       | written if v > w, else stale     | written if v > w, else stale          |
| anything else                | written, reported as repaired    | written, reported as repaired         |

Within one run no two records of a person share a version, so an equal one comes from a replay after a crash. The replay may have
chosen differently, its state is the one that lasts, and ClickHouse keeps its row: it replaces.

A tombstone always states its own version, even over a newer record: a replay that erases again publishes again after it.
"""

from __future__ import annotations

import hashlib
from typing import Final

STALE: Final = 0
WRITTEN: Final = 1
UNCHANGED: Final = 2
REPAIRED: Final = 3

PUBLISH: Final = b"publish"
ERASE: Final = b"erase"

SCRIPT: Final = f"""
local mode, version, record, ttl_ms = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local current = redis.pcall('GET', KEYS[1])
local result = {WRITTEN}

if type(current) == 'table' then  -- an error reply
  if not string.find(current['err'], 'WRONGTYPE', 1, true) then return current end
  result = {REPAIRED}
elseif current == record then
  return {UNCHANGED}
elseif current then
  local readable, stored = pcall(cjson.decode, current)
  local known = readable and type(stored) == 'table' and stored['version']
  -- beyond 2^53 a double no longer tells neighbours apart, and a huge version would lock the key for good
  if type(known) ~= 'number' or known < 0 or known > 9007199254740992 or known ~= math.floor(known) then
    result = {REPAIRED}
  elseif stored['deleted'] == true then
    if version <= known then return {STALE} end
  elseif mode == 'publish' then
    if version < known then return {STALE} end
  end
end

redis.call('SET', KEYS[1], record, 'PX', ttl_ms)
return result
"""

DIGEST: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""The name under which a server that has seen the script runs it."""
