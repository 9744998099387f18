-- How much there is of an app, where that is no size of a key: entries of inboxes (`ie`), members of
-- channels (`mb`), live calls by their state (`ki`, `kr`, `ka`), all in `app`.
-- Owns: that these are true, and how old inboxes are. Must not know what changes them.
--
-- Each is counted where it changes. A release before this one does not count, and its nodes may have
-- changed something, or do so still: then they are not known, until for as long as a node's life only
-- others were heard; and then all is counted once.

local COUNTED_AT_ONCE = 1000
local LOOKED_INTO = 200

local function recount(c)
  local base = c.base
  local found = {ie = 0, mb = 0, ki = 0, kr = 0, ka = 0}
  local at, names = 0, nil
  repeat
    names = call('ZRANGE', base .. 'stale', at, at + COUNTED_AT_ONCE - 1)
    for _, name in ipairs(names) do
      found.ie = found.ie + call('LLEN', base .. 'i:' .. name)
    end
    at = at + COUNTED_AT_ONCE
  until #names < COUNTED_AT_ONCE
  for _, name in ipairs(call('SMEMBERS', base .. 'on')) do
    for _ in each_of(call('HGET', base .. 'a:' .. name, 'ch')) do
      found.mb = found.mb + 1
    end
  end
  for _, packed in ipairs(call('HVALS', base .. 'calls')) do
    local what = COUNTS[unpack_one(packed)[6]]
    found[what] = found[what] + 1
  end
  for what, number in pairs(found) do
    call('HSET', base .. 'app', what, number)
  end
end

-- Are they true? `since` is from when on only those were heard who count; 0 where they are.
local function totals_of(c, since)
  local found = call('HMGET', c.base .. 'app', 'ie', 'mb', 'ki', 'kr', 'ka')
  if since ~= 0 then
    return {}
  end
  for index = 1, 5 do
    found[index] = math.max(tonumber(found[index]) or 0, 0)
  end
  return found
end

-- Of some inboxes, by when their first entry ends: behind which the next ones are (empty: these were
-- the last), and when the eldest of their first entries was sent, in milliseconds (0: there is none).
local function look_into(c, behind)
  local found = call(
    'ZRANGE', c.base .. 'stale', behind, '+inf', 'BYSCORE', 'LIMIT', 0, LOOKED_INTO, 'WITHSCORES'
  )
  local eldest = 0
  for at = 1, #found, 2 do
    local first = call('LINDEX', c.base .. 'i:' .. found[at], 0)
    local sent = first and sent_at(unpack_one(first)[4]) or 0
    if sent > 0 and (eldest == 0 or sent < eldest) then
      eldest = sent
    end
  end
  return {#found == LOOKED_INTO * 2 and '(' .. found[#found] or '', eldest}
end
