-- What every function stands on: its context, what is due, and the replies that are kept.
-- Owns: time, the bounds, the form of an answer. Must not know an operation.
--
-- Keys are all of one app (but for places.lua), and begin with KEYS[1], which ends in its hash tag
-- and a colon. Behind that: `app` (what the app uses and has), `u` (account -> uid), `on` (who is online),
-- `lines` (digest -> account), `nodes` (node -> when it was heard), `heard` (when any was), `dying`,
-- `due`, `ends` (owners of attributes by the first end of one), `stale` (inboxes by the end of their
-- first entry), `calls`, `hs` and `hl` (what is kept for
-- hooks, and who takes it), `fo` (which node follows what); of an account `a:` (facts),
-- `i:` (inbox), `r:` (replies), `ua:` (attributes) and `ur:` (their marks), `k:` (its calls); of a
-- channel `c:` (facts), `m:` (members), `ca:` (attributes) and `cr:` (their marks), `h:` (history),
-- `q:`, `x:` (rates), `lk:` (who asks for each of its locks); of an account besides `la:` (what it
-- asks of locks); of a node `n:` (who is connected there). Topics: `e:` (a channel's events), `t:`
-- (what a node is told), `w:` (what becomes of an account), `f` (what happens).
--
-- ARGV begins with the time (empty: Redis' own), the node's id and the bounds, in one text.
-- An answer is null, or an array: when something is due next in milliseconds (0: as before), what
-- it is, and more. Where calls have begun or ended, an array of that time, and why each has ended
-- (`invited`: it has begun), stands in its place.

-- These are not there yet while the functions are loaded.
local call, pack, unpack_one

local BOUNDS = {
  'history_events', 'history_seconds', 'count_push_seconds', 'inbox_messages', 'inbox_bytes',
  'inbox_sender_messages', 'app_bytes', 'app_accounts', 'app_channels', 'account_channels',
  'account_calls', 'attributes', 'joins', 'messages', 'changes', 'replies', 'life', 'event_seconds',
  'attributes_bytes', 'kept_kinds', 'kept_most', 'session_channels', 'account_locks', 'channel_locks',
  'lock_waiters',
}
-- The latest text and its table: a memory of what was computed, and no state.
local bounds_text, bounds_table

local function bounds_of(text)
  if text ~= bounds_text then
    local found = {}
    for index, value in ipairs(unpack_one(text)) do
      found[BOUNDS[index]] = value
    end
    local kinds = {}
    for _, kind in ipairs(found.kept_kinds) do
      kinds[kind] = true
    end
    found.kept_kinds = kinds
    bounds_text, bounds_table = text, found
  end
  return bounds_table
end

local function now_of(text)
  if text ~= '' then
    return tonumber(text)
  end
  local time = call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local function ms_of(time)
  return math.floor(time * 1000)
end

local function set_due(c, what, time)
  call('ZADD', c.base .. 'due', string.format('%.6f', time), what)
  c.has_dues_changed = true
end

local function drop_due(c, ...)
  call('ZREM', c.base .. 'due', ...)
end

local function next_due(c)
  local first
  for _, key in ipairs({'due', 'ends'}) do
    local found = call('ZRANGE', c.base .. key, 0, 0, 'WITHSCORES')
    local time = tonumber(found[2])
    if time and (not first or time < first) then
      first = time
    end
  end
  return first and math.ceil(first * 1000) or -1
end

-- There are so many more of what `app` has the number of, under this name: that is written where the
-- function ends.
local function tally(c, what, by)
  c.counted[what] = (c.counted[what] or 0) + by
end

local function write_tallies(c)
  for what, by in pairs(c.counted) do
    if by ~= 0 then
      call('HINCRBY', c.base .. 'app', what, by)
    end
  end
  c.counted, c.bytes = {}, nil
end

-- A call has begun or ended: whoever has asked for that counts it.
local function note_step(c, what)
  c.steps = c.steps or {}
  table.insert(c.steps, what)
end

local function refused(what, ...)
  return {0, what, ...}
end

-- What one of several was not done by, though the others are.
local function failed(raised)
  local text = type(raised) == 'table' and raised.err or tostring(raised)
  return refused('error', (string.gsub(text, '[^\32-\126]', '?')))
end

-- The flags say what Redis has done where it is full, which it looks at before the function begins
-- and never within it, so that none is done by halves: what only asks (`no-writes`), and what lets go
-- of something or lets somebody stay who is there (`allow-oom`). All else is refused then.
local function define(name, body, ...)
  redis.register_function({
    function_name = 'signal_VERSION_' .. name,
    flags = {...},
    callback = function(keys, args)
      call, pack, unpack_one = redis.call, cmsgpack.pack, cmsgpack.unpack
      local c = {
        base = keys[1], now = now_of(args[1]), node = args[2], bounds = bounds_of(args[3]),
        counted = {},
      }
      local answer = body(c, args)
      write_tallies(c)
      if c.has_dues_changed then
        answer = answer or {0}
        answer[1] = next_due(c)
      end
      if c.steps then
        answer = answer or {0}
        answer[1] = {answer[1], unpack(c.steps)}
      end
      return answer or false
    end,
  })
end

-- Does nothing: whoever may call it may call all.
redis.register_function({
  function_name = 'signal_VERSION_may',
  flags = {'no-writes'},
  callback = function()
    return 1
  end,
})

-- Numbers are never given twice, though Redis may have lost the latest: it began again on what it had
-- on its disk, or a replica became the master that had not all. Nodes say whose data it is that they
-- find (`lineage`): where that is another's than the app knows, and not one of `others`, from whom a
-- slot may have come, all numbers of the app go on so much further up.
local JUMP = 100000
-- Of each app that was asked about here: a memory, refreshed by each tick.
local jumps_known = {}

local function follow(c, lineage, others)
  local key = c.base .. 'app'
  local found = call('HMGET', key, 'l', 'j')
  local jumps = tonumber(found[2]) or 0
  if found[1] ~= lineage and call('EXISTS', key) == 1 then
    if found[1] and not string.find(others, found[1], 1, true) then
      jumps = jumps + 1
      call('HSET', key, 'j', jumps)
    end
    call('HSET', key, 'l', lineage)
  end
  jumps_known[c.base] = jumps
end

-- How many jumps the app's numbers have made.
local function jumps_of(c)
  local jumps = jumps_known[c.base]
  if not jumps then
    jumps = tonumber(call('HGET', c.base .. 'app', 'j')) or 0
    jumps_known[c.base] = jumps
  end
  return jumps
end

-- By how much the next number is higher than the last one of a channel or an inbox that has made so
-- many jumps.
local function step_of(c, jumped)
  return 1 + math.max(jumps_of(c) - jumped, 0) * JUMP
end

-- A number that was never given in the app, and is larger than all that were: of the change of an
-- attribute, or of what else is to be told from what was before. In `app`, rv is the last one, rj how
-- many jumps that has made.
local function next_revision(c)
  local app = c.base .. 'app'
  local step = step_of(c, tonumber(call('HGET', app, 'rj')) or 0)
  if step > 1 then
    call('HSET', app, 'rj', jumps_of(c))
  end
  return call('HINCRBY', app, 'rv', step)
end

-- Answers the last of these numbers.
define('last_revision', function(c)
  return {0, 'revision', tonumber(call('HGET', c.base .. 'app', 'rv')) or 0}
end, 'no-writes')

-- What a node is told.

local function tell_node(c, node, told)
  call('SPUBLISH', c.base .. 't:' .. node, pack(told))
end

-- Replies are members of a sorted set by their call ids, each behind its own.

local LATER_LOOKED_AT = 64

-- What the request was answered before. With the reply that it would be answered now, also whether a
-- later one that was answered so has been done: it is refused then.
local function known(c, account, callid, ack, reply)
  if callid == '' then
    return nil
  end
  local key = c.base .. 'r:' .. account
  if ack ~= '0' then
    call('ZREMRANGEBYSCORE', key, '-inf', ack)
  end
  local found = call('ZRANGE', key, callid, '+inf', 'BYSCORE', 'LIMIT', 0, 1)[1]
  if not found then
    return nil
  end
  if string.sub(found, 1, #callid + 1) == callid .. ':' then
    return {0, 'known', string.sub(found, #callid + 2)}
  end
  local later = call('ZRANGE', key, callid, '+inf', 'BYSCORE', 'LIMIT', 0, LATER_LOOKED_AT)
  for _, kept in ipairs(later) do
    local colon = string.find(kept, ':', 1, true)
    local id, text = string.sub(kept, 1, colon - 1), string.sub(kept, colon + 1)
    -- Very large numbers may be one to Redis.
    if id == callid then
      return {0, 'known', text}
    end
    if reply and string.sub(text, 1, #reply) == reply and tonumber(id) > tonumber(callid) then
      return refused('overtaken')
    end
  end
  return nil
end

local function keep(c, account, callid, reply)
  if callid == '' then
    return
  end
  local key = c.base .. 'r:' .. account
  call('ZADD', key, callid, callid .. ':' .. reply)
  local over = call('ZCARD', key) - c.bounds.replies
  if over > 0 then
    call('ZREMRANGEBYRANK', key, 0, over - 1)
  end
end
