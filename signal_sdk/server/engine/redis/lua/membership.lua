-- Membership: who is in which channel. A session's channels are a fact of its presence, and change
-- with their members, sorted by the number of their join.
-- Owns: coming and going, and what is told of it. Must not know what a presence is.

local MEMBERS_PER_JOIN = 200
local NAMES_PER_LOOK = 1000

-- How long until one more may join; where it is now, nil and up to when it is paid. In a large
-- channel a join counts as several, since all hear of it.
local function joins_too_often(c, name, channel)
  local limit = c.bounds.joins
  if limit == 0 or not announces(channel, name) then
    return nil, nil
  end
  local paid = tonumber(channel and call('HGET', c.base .. 'c:' .. name, 'jp') or nil) or 0
  local num = channel and members_of(c, name) or 0
  paid = math.max(paid, c.now) + 1 / limit
  local late = paid - c.now - 1
  if late > 0.000001 then
    return refused('joins', num, math.ceil(late * 1000)), nil
  end
  return nil, paid + math.max(num / MEMBERS_PER_JOIN - 1, 0) / limit
end

local function arrive(c, channel, account)
  local base, name = c.base, channel.name
  if announces(channel, name) then
    tell(c, channel, 'moved', 'join', name, account.name, tonumber(account.uid))
  end
  channel.total = call('HINCRBY', base .. 'c:' .. name, 't', 1)
  call('ZADD', base .. 'm:' .. name, channel.total, account.name)
  tally(c, 'mb', 1)
  if channel.idle or members_of(c, name) == 1 then
    call('HDEL', base .. 'c:' .. name, 'id')
    channel.idle = nil
    watch_end(c, channel)
    watch_counts(c, channel)
  end
  if not is_special(name) then
    tell_special(c, MOVES_CHANNEL, 'join', name, account)
    if wanted(c, 'join') then
      happen(c, 'join', {account = account.name, channel = name, members = members_of(c, name)})
    end
  end
end

-- The account is a member no more: tell of it.
local function depart(c, name, account)
  local base = c.base
  local channel = channel_of(c, name)
  if not channel or call('ZREM', base .. 'm:' .. name, account.name) == 0 then
    return
  end
  tally(c, 'mb', -1)
  give_up_locks(c, name, account.name)
  if announces(channel, name) then
    tell(c, channel, 'moved', 'leave', name, account.name, tonumber(account.uid))
  end
  if members_of(c, name) == 0 then
    channel.idle = c.now
    call('HSET', base .. 'c:' .. name, 'id', string.format('%.6f', c.now))
    watch_end(c, channel)
    watch_counts(c, channel)
  end
  if not is_special(name) then
    tell_special(c, MOVES_CHANNEL, 'leave', name, account)
    if wanted(c, 'leave') then
      happen(c, 'leave', {account = account.name, channel = name, members = members_of(c, name)})
    end
  end
end

-- The newest members' names and uids by turns, the newest first.
local function newest_of(c, name, count)
  local found = {}
  if count <= 0 then
    return found
  end
  for first = 0, count - 1, NAMES_PER_LOOK do
    local last = math.min(first + NAMES_PER_LOOK, count) - 1
    local names = call('ZRANGE', c.base .. 'm:' .. name, first, last, 'REV')
    if #names > 0 then
      local uids = call('ZMSCORE', c.base .. 'u', unpack(names))
      for index, account in ipairs(names) do
        found[#found + 1] = account
        found[#found + 1] = tonumber(uids[index])
      end
    end
    if #names < NAMES_PER_LOOK then
      break
    end
  end
  return found
end

-- A session that may be in many channels is in all that it may be in.
local function has_all_channels(c, account)
  local most = c.bounds.session_channels
  if most == 0 or not may_be_in_many(account.channel) then
    return nil
  end
  local _, count = without(account.channel, '')
  return count >= most and refused('session_channels', most) or nil
end

-- A session that may be in many is in `name` as well, if it was taken out of that or not.
local function come_to_one_more(c, account, name)
  local key = c.base .. 'a:' .. account.name
  call('HSET', key, 'ch', account.channel .. name .. MARK)
  local removed = call('HGET', key, 'rm')
  if removed and is_among(removed, name) then
    local left, count = without(removed, name)
    if count == 0 then
      call('HDEL', key, 'rm')
    else
      call('HSET', key, 'rm', left)
    end
  end
end

-- The session is in `name` no more.
local function go_from(c, account, name)
  local key = c.base .. 'a:' .. account.name
  if may_be_in_many(account.channel) then
    call('HSET', key, 'ch', (without(account.channel, name)))
  else
    call('HDEL', key, 'ch')
  end
end

-- ARGV: account, generation, callid, ack, reply; channel, newest. Answers how many members there
-- are and have been, the last msgid, the newest, which counts are asked for, and the attributes.
define('join', function(c, args)
  local account = asker(c, args[4], args[5])
  if not account then
    return stranger(c)
  end
  local name = args[9]
  local answer = known(c, args[4], args[6], args[7], args[8])
  local is_there = is_in(account, name)
  if answer and (answer[2] ~= 'known' or not is_there) then
    return answer
  end
  local channel, key = channel_of(c, name), c.base .. 'c:' .. name
  local refusal, paid
  if not is_there then
    refusal = has_all_channels(c, account)
    if refusal then
      return refusal
    end
    refusal, paid = joins_too_often(c, name, channel)
    if refusal then
      return refusal
    end
  end
  if not channel then
    channel, refusal = new_channel(c, name, account.name, nil)
    if refusal then
      return refusal
    end
  end
  if paid then
    call('HSET', key, 'jp', string.format('%.6f', paid))
  end
  if not is_there then
    if may_be_in_many(account.channel) then
      come_to_one_more(c, account, name)
    else
      if account.channel then
        depart(c, account.channel, account)
      else
        call('HDEL', c.base .. 'a:' .. account.name, 'rm')
      end
      call('HSET', c.base .. 'a:' .. account.name, 'ch', name)
    end
    arrive(c, channel, account)
  end
  local msgid = tonumber(call('HGET', key, 'm'))
  call('HSET', c.base .. 'a:' .. account.name, 'ja', msgid)
  keep(c, args[4], args[6], args[8])
  return {
    0, 'joined', members_of(c, name), channel.total, msgid,
    newest_of(c, name, tonumber(args[10])), channel.counts or 0, channel.totals or 0,
    call('HGETALL', c.base .. 'ca:' .. name),
  }
end)

-- ARGV: account, generation, callid, ack, reply; channel
change('leave', function(c, args, account)
  if not is_in(account, args[9]) then
    return refused('elsewhere')
  end
  go_from(c, account, args[9])
  depart(c, args[9], account)
  return nil
end, 'allow-oom')

-- ARGV: channel, newest. Answers as `join`, without the attributes; nothing where there is none.
define('roster', function(c, args)
  local channel = channel_of(c, args[4])
  if not channel then
    return nil
  end
  return {
    0, 'roster', members_of(c, args[4]), channel.total, channel.msgid,
    newest_of(c, args[4], tonumber(args[5])),
  }
end, 'no-writes')

-- ARGV: channel, account. Answers the channel's last msgid at the join, where it is a member.
define('membership', function(c, args)
  local found = call('HMGET', c.base .. 'a:' .. args[5], 'ch', 'ja', 'd')
  if found[3] and found[1] == args[4] then
    return {0, 'member', tonumber(found[2]) or 0}
  end
  if found[3] and found[1] and is_among(found[1], args[4]) then
    return {0, 'member', 0}
  end
  return nil
end, 'no-writes')
