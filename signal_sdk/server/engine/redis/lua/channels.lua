-- Channels: their events, their short history, and when they end.
-- Owns: msgids, and the facts that nodes are told of an event (redis/events.py reads them). Must not
-- know who may do what.
--
-- Of the built-in attributes, `c:` has what is looked at: un, ttl, an, at, sl, al (BUILT_IN).

local DEFAULT_TTL = 7200
local MAX_TTL = 30 * 24 * 3600
local ONLINE_CHANNEL = '_agora_user_online'
local MOVES_CHANNEL = '_agora_channel_event'

local function is_special(name)
  return name == ONLINE_CHANNEL or name == MOVES_CHANNEL
end

local function channel_of(c, name)
  local found = call(
    'HMGET', c.base .. 'c:' .. name, 'm', 't', 'id', 'un', 'ttl', 'an', 'at', 'sl', 'al',
    'j'
  )
  if not found[1] then
    return nil
  end
  return {
    name = name, msgid = tonumber(found[1]), total = tonumber(found[2]), idle = tonumber(found[3]),
    notifies = found[4], ttl = tonumber(found[5]), counts = tonumber(found[6]),
    totals = tonumber(found[7]), messages = tonumber(found[8]), changes = tonumber(found[9]),
    jumped = found[10],
  }
end

-- The msgid of the next event; 1 where there is no such channel any more.
local function next_msgid(c, channel)
  return channel and channel.msgid + step_of(c, tonumber(channel.jumped) or 0) or 1
end

-- Give the event its msgid and deliver it.
local function tell(c, channel, kind, ...)
  local base, name = c.base, channel.name
  local step = step_of(c, tonumber(channel.jumped) or 0)
  if step > 1 then
    channel.jumped = jumps_of(c)
    call('HSET', base .. 'c:' .. name, 'j', channel.jumped)
  end
  channel.msgid = call('HINCRBY', base .. 'c:' .. name, 'm', step)
  local packed = pack({channel.msgid, ms_of(c.now), kind, ...})
  local key, most = base .. 'h:' .. name, c.bounds.history_events
  if call('RPUSH', key, packed) > most and most > 0 then
    call('LTRIM', key, -most, -1)
  end
  local seconds = c.bounds.history_seconds
  if seconds > 0 then
    -- Beyond the time of each: that is looked at when it is read.
    call('PEXPIRE', key, math.ceil(seconds * 1000) + 1000)
  else
    call('PERSIST', key)
  end
  call('SPUBLISH', base .. 'e:' .. name, packed)
end

-- Tell a special channel, where somebody is there.
local function tell_special(c, name, event, channel, account)
  local special = channel_of(c, name)
  if special then
    tell(c, special, 'moved', event, channel, account.name, tonumber(account.uid))
    tell(c, special, 'special', event, channel, account.name, tonumber(account.uid))
  end
end

local function announces(channel, name)
  return not is_special(name) and not (channel and channel.notifies == '0')
end

local function members_of(c, name)
  return call('ZCARD', c.base .. 'm:' .. name)
end

-- When is something due of the channel?

local function watch_end(c, channel)
  if channel.idle then
    local ttl = math.min(channel.ttl or DEFAULT_TTL, MAX_TTL)
    set_due(c, 'E' .. channel.name, channel.idle + ttl)
  else
    drop_due(c, 'E' .. channel.name)
  end
end

local function watch_count(c, channel, what, interval)
  if interval and interval > 0 and members_of(c, channel.name) > 0 then
    set_due(c, what .. channel.name, c.now + math.max(interval, c.bounds.count_push_seconds))
  else
    drop_due(c, what .. channel.name)
  end
end

local function watch_counts(c, channel)
  watch_count(c, channel, 'N', channel.counts)
  watch_count(c, channel, 'M', channel.totals)
end

-- A new channel, or nil and a refusal. `idle` is since when nobody is there; without a `maker` it is
-- nobody's.
local function new_channel(c, name, maker, idle)
  local base, bounds = c.base, c.bounds
  local most = bounds.app_channels
  if most > 0 and (tonumber(call('HGET', base .. 'app', 'c')) or 0) >= most then
    return nil, refused('channels', most)
  end
  if maker then
    most = bounds.account_channels
    local maker_key = base .. 'a:' .. maker
    if most > 0 and (tonumber(call('HGET', maker_key, 'md')) or 0) >= most then
      return nil, refused('made', most)
    end
    call('HINCRBY', maker_key, 'md', 1)
    call('HSET', base .. 'c:' .. name, 'mk', maker)
  else
    -- There may be nothing else.
    call('PERSIST', base .. 'app')
  end
  call('HINCRBY', base .. 'app', 'c', 1)
  call('HSET', base .. 'c:' .. name, 'm', 0, 't', 0)
  if idle then
    call('HSET', base .. 'c:' .. name, 'id', string.format('%.6f', idle))
  end
  return channel_of(c, name)
end

-- The channel has been empty for long enough.
local function destroy(c, name)
  local base = c.base
  local maker, size = call('HGET', base .. 'c:' .. name, 'mk'), 0
  for _, text in ipairs(call('HVALS', base .. 'ca:' .. name)) do
    size = size + #text
  end
  add_bytes(c, -size)
  forget_marks(c, owner_of(c, 'c', name))
  for _, kind in ipairs({'c:', 'm:', 'ca:', 'h:', 'q:', 'x:'}) do
    call('DEL', base .. kind .. name)
  end
  call('HINCRBY', base .. 'app', 'c', -1)
  if maker and call('HINCRBY', base .. 'a:' .. maker, 'md', -1) <= 0 then
    call('HDEL', base .. 'a:' .. maker, 'md')
    let_go(c, maker)
  end
  rest_if_empty(c)
end

-- Tell a count, where it has changed since it was told.
local function push_count(c, what, name)
  local channel = channel_of(c, name)
  if not channel then
    return
  end
  local is_total = what == 'M'
  if channel.counts and channel.counts > 0 and (not is_total or (channel.totals or 0) > 0) then
    local count = is_total and channel.total or members_of(c, name)
    local key, field = c.base .. 'c:' .. name, is_total and 'pm' or 'pn'
    if call('HGET', key, field) ~= tostring(count) then
      call('HSET', key, field, count)
      local attribute = is_total and '_total_member_num' or '_member_num'
      tell(c, channel, 'changed', '_agora_system', 0, 'update', attribute, '"' .. count .. '"')
    end
  end
  watch_count(c, channel, what, is_total and channel.totals or channel.counts)
end

-- How long until one more is allowed of `limit` in any second, or `count`, of which at most as many
-- count as the limit is; 0 where it is now, and is counted.
-- The times of the latest are kept, in milliseconds of the day.
local function too_often(c, key, limit, count)
  if limit == 0 then
    return 0
  end
  count = math.min(count or 1, limit)
  local text, now = call('GET', key) or '', ms_of(c.now) % 86400000
  -- Of those that may be kept, as many have to be older.
  local kept = limit - count
  if #text >= (kept + 1) * 4 then
    local age = (now - struct.unpack('>I4', text, #text - (kept + 1) * 4 + 1)) % 86400000
    if age < 1000 then
      return 1000 - age
    end
    text = kept > 0 and string.sub(text, -kept * 4) or ''
  end
  call('SET', key, text .. string.rep(struct.pack('>I4', now), count), 'PX', 2000)
  return 0
end

-- Do all members of a channel take bytes? All are looked at, as all are told.
local function all_take_bytes(c, name)
  local at = 0
  while true do
    local found = call('ZRANGE', c.base .. 'm:' .. name, at, at + 999)
    for _, member in ipairs(found) do
      if not takes_bytes(c, member) then
        return false
      end
    end
    if #found < 1000 then
      return true
    end
    at = at + 1000
  end
end

-- A message of so many bytes was told in a channel.
local function channel_message_happens(c, name, sender, size)
  local follows = follows_of(c)
  if follows.kinds.message and (follows.channels[name] or follows.accounts[sender]) then
    happen(c, 'message', {channel = name, sender = sender, size = tonumber(size)})
  end
end

-- ARGV: account, generation, callid, ack, reply; channel, members_only, uid, text, id, its bytes,
-- whether it is only for who takes bytes
change('publish', function(c, args, account)
  local name = args[9]
  if args[10] == '1' and not is_in(account, name) then
    return refused('elsewhere')
  end
  local found = call('HMGET', c.base .. 'c:' .. name, 'm', 'sl', 'j')
  if found[1] then
    if args[15] == '1' and not all_take_bytes(c, name) then
      return refused('some_no_bytes')
    end
    local limit, own = c.bounds.messages, tonumber(found[2]) or 0
    if own > 0 and (limit == 0 or own < limit) then
      limit = own
    end
    local ms = too_often(c, c.base .. 'q:' .. name, limit)
    if ms > 0 then
      return refused('messages', limit, ms)
    end
    tell(c, {name = name, jumped = found[3]}, 'message', account.name, tonumber(args[11]), args[12], args[13])
    channel_message_happens(c, name, account.name, args[14])
  end
  return nil
end)

-- ARGV: channel, after. Answers the last msgid, the time, and the events behind `after`.
define('history', function(c, args)
  local msgid = tonumber(call('HGET', c.base .. 'c:' .. args[4], 'm') or -1)
  local count = msgid - tonumber(args[5])
  local events = {}
  if msgid >= 0 and count > 0 then
    events = call('LRANGE', c.base .. 'h:' .. args[4], -count, -1)
  end
  return {0, 'events', msgid, ms_of(c.now), events}
end, 'no-writes')
