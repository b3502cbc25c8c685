"""The one Lua script that changes a user's record in Redis. It is atomic; each call has the keys of one user, which share a cluster slot.

The value under the key decides what happens to a record of version ``v``:

| value under the key          | ``publish``                      | ``erase``                             | ``replace_text``         |
|------------------------------|----------------------------------|---------------------------------------|--------------------------|
| nothing                      | written                          | written                               | refused                  |
| exactly this value           | unchanged, TTL not extended      | unchanged, TTL not extended           | unchanged                |
| a recommendation, version w  | written if v ≥ w, else stale     | written: deletion beats every version | see below                |
| a tombstone, version w       | written if v > w, else stale     | written if v > w, else stale          | refused                  |
| anything else                | written, reported as repaired    | written, reported as repaired         | refused                  |

Within one run all records of a user have different versions, so a record of equal version comes from a replay after a crash. The replay
may have chosen another arm. Its state is the one that lasts, and ClickHouse keeps its row, so it replaces the record. There is one
exception: if the replay chose the same and a model has replaced the text meanwhile, the record stays, because the user may be reading it.

``replace_text`` is written, with the remaining TTL of the record, if the record is the template of the same recommendation and the second
key does not hold its decision. ``mark_shown`` sets the second key to the decision that was shown.

``progress`` concerns the third key: its record is written unless a newer one is there; an empty record removes it. ``erase`` deletes the
second and the third key, and both modes are refused while the first key holds a tombstone of their version or a newer one.

Every write is announced on the channel of the user's tenant, with the user's id as the message (``updates_channel``). Who follows a
user reads the record then. Redis promises no delivery, and without the right to publish nothing is announced: the record is what counts.

A tombstone has its own version even if it replaces a newer record: a replay that erases again also publishes again after it.
"""

from __future__ import annotations

import hashlib
from typing import Final

STALE: Final = 0
WRITTEN: Final = 1
UNCHANGED: Final = 2
REPAIRED: Final = 3
REFUSED: Final = 4

PUBLISH: Final = b"publish"
ERASE: Final = b"erase"
REPLACE_TEXT: Final = b"replace_text"
MARK_SHOWN: Final = b"mark_shown"
PROGRESS: Final = b"progress"

SCRIPT: Final = f"""
-- above 2^53 a double cannot represent every integer, and a huge version would lock the key for good
local function is_version(known)
  return type(known) == 'number' and known >= 0 and known <= 9007199254740992 and known == math.floor(known)
end
local mode, version, record, ttl_ms, id, channel, user = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local current = redis.pcall('GET', KEYS[1])
local result = {WRITTEN}
if mode == 'progress' or mode == 'mark_shown' then
  if type(current) == 'string' and string.sub(current, 1, 10) == '{{"deleted"' then
    local readable, stored = pcall(cjson.decode, current)
    if readable and is_version(stored['version']) and version <= stored['version'] then return {STALE} end
  end
end
if mode == 'mark_shown' then
  redis.call('SET', KEYS[2], id, 'PX', ttl_ms)
  return {WRITTEN}
elseif mode == 'progress' then
  local known = redis.pcall('GET', KEYS[3])
  if type(known) == 'table' and not string.find(known['err'], 'WRONGTYPE', 1, true) then return known end
  if known == record then return {UNCHANGED} end
  if type(known) == 'string' then
    local readable, stored = pcall(cjson.decode, known)
    local older = readable and type(stored) == 'table' and stored['version']
    if not is_version(older) then
      result = {REPAIRED}
    elseif version < older then
      return {STALE}
    end
  end
  if record == '' then redis.call('DEL', KEYS[3]) else redis.call('SET', KEYS[3], record, 'PX', ttl_ms) end
  redis.pcall('PUBLISH', channel, user)
  return result
end

if type(current) == 'table' then  -- an error reply
  if not string.find(current['err'], 'WRONGTYPE', 1, true) then return current end
  result = {REPAIRED}
elseif current == record then
  return {UNCHANGED}
elseif mode == 'replace_text' then
  if not current then return {REFUSED} end
  local readable, stored = pcall(cjson.decode, current)
  if not readable or type(stored) ~= 'table' or stored['recommendationId'] ~= id or stored['source'] ~= 'template' then return {REFUSED} end
  if stored['version'] ~= version or redis.pcall('GET', KEYS[2]) == stored['decisionId'] then return {REFUSED} end
  redis.call('SET', KEYS[1], record, 'KEEPTTL')
  redis.pcall('PUBLISH', channel, user)
  return {WRITTEN}
elseif current then
  local readable, stored = pcall(cjson.decode, current)
  local known = readable and type(stored) == 'table' and stored['version']
  if not is_version(known) then
    result = {REPAIRED}
  elseif stored['deleted'] == true then
    if version <= known then return {STALE} end
  elseif mode == 'publish' then
    if version < known then return {STALE} end
    if version == known and stored['recommendationId'] == id and id ~= '' and stored['source'] ~= 'template' then return {UNCHANGED} end
  end
end

if mode == 'replace_text' then return {REFUSED} end
redis.call('SET', KEYS[1], record, 'PX', ttl_ms)
if mode == 'erase' then redis.call('DEL', KEYS[2], KEYS[3]) end
redis.pcall('PUBLISH', channel, user)
return result
"""

DIGEST: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""SHA-1 of the script: ``EVALSHA`` runs a loaded script by it."""
