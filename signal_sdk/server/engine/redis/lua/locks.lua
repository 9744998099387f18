-- The locks of channels: `lk:` with a channel, a zero and a lock is who asks for it, each an account,
-- a zero and the id of what it asks, in that order; the first has the lock. `la:` with an account is
-- all that it asks, by channel, lock and id with zeros between: packed, for how many seconds it is to
-- have the lock, until when it has it or waits, and under which number it has it (0: it waits). Of `c:`,
-- lk is how many locks of the channel somebody has.
-- Owns: these operations, and what nobody has renewed or waited for in time. Must not know who is a
-- member when.

local function lock_key(c, channel, lock)
  return c.base .. 'lk:' .. channel .. '\0' .. lock
end

local function field_of(channel, lock, id)
  return channel .. '\0' .. lock .. '\0' .. id
end

local function due_of(channel, lock, who)
  return 'K' .. channel .. '\0' .. lock .. '\0' .. who
end

-- What an account has asked: seconds, ends, fence; nil where it has not.
local function ask_of(c, account, field)
  local packed = call('HGET', c.base .. 'la:' .. account, field)
  return packed and unpack_one(packed) or nil
end

local function note_ask(c, channel, lock, account, id, ask)
  call('HSET', c.base .. 'la:' .. account, field_of(channel, lock, id), pack(ask))
  set_due(c, due_of(channel, lock, account .. '\0' .. id), ask[2])
end

local MAX_LEASE = 120

-- No longer than its session lasts without a connection: that ends the lock, too.
local function prolong(c, channel, lock, account, id, ask, seconds)
  local timeout = tonumber(call('HGET', c.base .. 'a:' .. account, 'ct')) or MAX_LEASE
  ask[1], ask[2] = seconds, c.now + math.min(seconds, timeout)
  note_ask(c, channel, lock, account, id, ask)
end

-- A node of a release that knows nothing of this is not told: who has waited asks again.
local function tell_grant(c, channel, lock, account, id)
  local found = call('HMGET', c.base .. 'a:' .. account, 'd', 'n', 'le', 'g')
  if found[1] and found[2] and not found[3] and string.sub(found[2], 1, 2) == 'rl' then
    tell_node(c, found[2], {'grant', account, tonumber(found[4]), channel, lock, id})
  end
end

local function names_in(who)
  return string.match(who, '^(%Z*)%z(%Z*)$')
end

-- The first of those who ask for the lock has it, where nobody has. Who is not there any more without
-- anybody's knowing does not: a node of an earlier release has ended its membership.
local function hand_on(c, channel, lock)
  local key = lock_key(c, channel, lock)
  while true do
    local who = call('ZRANGE', key, 0, 0)[1]
    if not who then
      if call('HINCRBY', c.base .. 'c:' .. channel, 'lk', -1) <= 0 then
        call('HDEL', c.base .. 'c:' .. channel, 'lk')
      end
      return
    end
    local account, id = names_in(who)
    local field = field_of(channel, lock, id)
    local ask = ask_of(c, account, field)
    if ask and call('ZSCORE', c.base .. 'm:' .. channel, account) then
      ask[3] = next_revision(c)
      prolong(c, channel, lock, account, id, ask, ask[1])
      tell_grant(c, channel, lock, account, id)
      return
    end
    call('ZREM', key, who)
    call('HDEL', c.base .. 'la:' .. account, field)
    drop_due(c, due_of(channel, lock, who))
  end
end

local function drop_ask(c, channel, lock, account, id, ask)
  local who = account .. '\0' .. id
  call('ZREM', lock_key(c, channel, lock), who)
  call('HDEL', c.base .. 'la:' .. account, field_of(channel, lock, id))
  drop_due(c, due_of(channel, lock, who))
  c.has_dues_changed = true
  if ask[3] ~= 0 then
    hand_on(c, channel, lock)
  end
end

-- The account is in the channel no more. What waits first, so that nothing is handed on to itself.
local function give_up_locks(c, channel, account)
  local found, held = call('HGETALL', c.base .. 'la:' .. account), {}
  for at = 1, #found, 2 do
    local where, lock, id = string.match(found[at], '^(%Z*)%z(%Z*)%z(%Z*)$')
    local ask = unpack_one(found[at + 1])
    if where == channel and ask[3] == 0 then
      drop_ask(c, channel, lock, account, id, ask)
    elseif where == channel then
      held[#held + 1] = {lock, id, ask}
    end
  end
  for _, it in ipairs(held) do
    drop_ask(c, channel, it[1], account, it[2], it[3])
  end
end

-- Nobody has renewed it, or waited for it, in time.
local function end_ask(c, what)
  local channel, lock, account, id = string.match(what, '^(%Z*)%z(%Z*)%z(%Z*)%z(%Z*)$')
  local ask = ask_of(c, account, field_of(channel, lock, id))
  if ask then
    drop_ask(c, channel, lock, account, id, ask)
  end
end

-- Answers how it stands: the number, for how many milliseconds more, the place, and who has the lock.
local function standing(c, channel, lock, account, id, ask)
  if not ask then
    local who = call('ZRANGE', lock_key(c, channel, lock), 0, 0)[1]
    return {0, 'lock', 0, 0, 0, who and names_in(who) or ''}
  end
  if ask[3] ~= 0 then
    return {0, 'lock', ask[3], math.max(ms_of(ask[2] - c.now), 0), 0, ''}
  end
  local place = call('ZRANK', lock_key(c, channel, lock), account .. '\0' .. id)
  return {0, 'lock', 0, 0, place, ''}
end

-- Is there room for what the account asks of a lock, of which so many ask already?
local function lacks_locks(c, channel, account, asks)
  local bounds = c.bounds
  local most = bounds.account_locks
  if most > 0 and call('HLEN', c.base .. 'la:' .. account) >= most then
    return refused('own_locks', most)
  end
  most = bounds.lock_waiters
  if asks > 0 and most > 0 and asks - 1 >= most then
    return refused('lock_waiters', most)
  end
  most = bounds.channel_locks
  local there = tonumber(call('HGET', c.base .. 'c:' .. channel, 'lk')) or 0
  if asks == 0 and most > 0 and there >= most then
    return refused('locks', most)
  end
  return nil
end

local SAME_SECONDS = 1

-- ARGV: account, generation, callid, ack, reply; channel, lock, id, seconds, wait
define('lock', function(c, args)
  local account = asker(c, args[4], args[5])
  if not account then
    return stranger(c)
  end
  local name, channel, lock, id = args[4], args[9], args[10], args[11]
  local field, key = field_of(channel, lock, id), lock_key(c, channel, lock)
  local seconds, wait = tonumber(args[12]), tonumber(args[13])
  local answer, ask = known(c, name, args[6], args[7], args[8]), ask_of(c, name, field)
  if answer then
    return answer[2] == 'known' and ask and standing(c, channel, lock, name, id, ask) or answer
  end
  if not call('ZSCORE', c.base .. 'm:' .. channel, name) then
    return refused('no_member')
  end
  if not ask then
    local asks = call('ZCARD', key)
    if asks == 0 or wait > 0 then
      local refusal = lacks_locks(c, channel, name, asks)
      if refusal then
        return refusal
      end
      local last = call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
      call('ZADD', key, (tonumber(last) or 0) + 1, name .. '\0' .. id)
      ask = {seconds, c.now + wait, 0}
      if asks == 0 then
        call('HINCRBY', c.base .. 'c:' .. channel, 'lk', 1)
        ask[3] = next_revision(c)
        prolong(c, channel, lock, name, id, ask, seconds)
      else
        note_ask(c, channel, lock, name, id, ask)
      end
    end
  elseif ask[3] ~= 0 then
    prolong(c, channel, lock, name, id, ask, seconds)
  elseif wait == 0 then
    drop_ask(c, channel, lock, name, id, ask)
    ask = nil
  elseif ask[1] ~= seconds or math.abs(c.now + wait - ask[2]) > SAME_SECONDS then
    ask[1], ask[2] = seconds, c.now + wait
    note_ask(c, channel, lock, name, id, ask)
  end
  keep(c, name, args[6], args[8])
  return standing(c, channel, lock, name, id, ask)
end)

-- ARGV: account, generation, callid, ack, reply; channel, lock, id, seconds
define('renew_lock', function(c, args)
  if not asker(c, args[4], args[5]) then
    return stranger(c)
  end
  local name, channel, lock, id = args[4], args[9], args[10], args[11]
  local answer, ask = known(c, name, args[6], args[7], args[8]), ask_of(c, name, field_of(channel, lock, id))
  if not ask or ask[3] == 0 then
    return answer or {0, 'lock', 0, 0, 0, ''}
  end
  if not answer then
    prolong(c, channel, lock, name, id, ask, tonumber(args[12]))
    keep(c, name, args[6], args[8])
  elseif answer[2] ~= 'known' then
    return answer
  end
  return standing(c, channel, lock, name, id, ask)
end, 'allow-oom')

-- ARGV: account, generation, callid, ack, reply; channel, lock, id
change('unlock', function(c, args, account)
  local ask = ask_of(c, account.name, field_of(args[9], args[10], args[11]))
  if not ask then
    return refused('no_lock')
  end
  drop_ask(c, args[9], args[10], account.name, args[11], ask)
  return nil
end, 'allow-oom')

-- ARGV: channel, account, lock. Answers who has it, its number, for how many milliseconds more, and
-- how many wait.
define('look_at_lock', function(c, args)
  local channel, lock = args[4], args[6]
  if not call('ZSCORE', c.base .. 'm:' .. channel, args[5]) then
    return refused('no_member')
  end
  local key = lock_key(c, channel, lock)
  local who = call('ZRANGE', key, 0, 0)[1]
  if not who then
    return {0, 'look', '', 0, 0, 0}
  end
  local account, id = names_in(who)
  local ask = ask_of(c, account, field_of(channel, lock, id))
  return {
    0, 'look', account, ask[3], math.max(ms_of(ask[2] - c.now), 0), call('ZCARD', key) - 1,
  }
end, 'no-writes')

-- ARGV: account
define('locks_of', function(c, args)
  return {0, 'locks', call('HLEN', c.base .. 'la:' .. args[4])}
end, 'no-writes')
