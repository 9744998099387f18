-- An operator's: what is ended, told and looked at from outside of every session.
-- Owns: these operations, and how much one part of a list looks at. Must not know who may ask.

local LOOKED_AT = 1000

-- ARGV: to, its first uid, sender, line, ttl, whether it is only for who takes bytes
define('tell', function(c, args)
  local to, sender, line = args[4], args[6], args[7]
  if args[9] == '1' and not takes_bytes(c, to) then
    return refused('no_bytes')
  end
  local account, refusal = account_or_new(c, to, args[5])
  if not account then
    return refusal
  end
  local inbox, version = inbox_of(c, to, sender), nil
  version, refusal = put_entry(c, inbox, sender, line, c.now + tonumber(args[8]))
  if refusal then
    let_go(c, to)
    return refusal
  end
  message_happens(c, to, sender, line, inbox.node)
  if inbox.node then
    tell_node(c, inbox.node, {'entry', to, version, line})
  end
  return nil
end)

-- ARGV: channel, as whom, the uid of that, text, id, its bytes, whether it is only for who takes
-- bytes. Answers whether there is such a channel.
define('tell_channel', function(c, args)
  local name = args[4]
  local channel = channel_of(c, name)
  if not channel then
    return nil
  end
  if args[10] == '1' and not all_take_bytes(c, name) then
    return refused('some_no_bytes')
  end
  local limit, own = c.bounds.messages, channel.messages or 0
  if own > 0 and (limit == 0 or own < limit) then
    limit = own
  end
  local ms = too_often(c, c.base .. 'q:' .. name, limit)
  if ms > 0 then
    return refused('messages', limit, ms)
  end
  tell(c, channel, 'message', args[5], tonumber(args[6]), args[7], args[8])
  channel_message_happens(c, name, args[5], args[9])
  return {0, 'done'}
end)

-- ARGV: account. Answers whether it was online.
define('kick', function(c, args)
  local account = account_of(c, args[4])
  if not (account and account.digest) then
    return nil
  end
  end_session(c, account, 'operator', 'kick')
  return {0, 'done'}
end, 'allow-oom')

-- A node of a release that knows nothing of this has an id that begins otherwise: the connection is
-- lost to it, and its client comes back.
local function tell_removal(c, account, channel)
  if string.sub(account.node, 1, 1) == 'r' then
    tell_node(c, account.node, {
      'removal', account.name, tonumber(account.generation), channel.name, next_msgid(c, channel),
      ms_of(c.now),
    })
  else
    tell_holder(c, account, 'loss')
  end
end

-- From how many channels at most a session was removed, as far as that is remembered.
local MAX_REMOVED = 1000

local function note_removal(c, account, name)
  local key = c.base .. 'a:' .. account.name
  if may_be_in_many(account.channel) then
    local left, count = without(call('HGET', key, 'rm'), name)
    if count >= MAX_REMOVED then
      -- The eldest is forgotten.
      left = string.match(left, MARK .. '[^' .. MARK .. ']*(.*)')
    end
    name = left .. name .. MARK
  end
  call('HSET', key, 'rm', name)
end

-- ARGV: account, channel. Answers whether it was in that.
define('remove', function(c, args)
  local account, name = account_of(c, args[4]), args[5]
  if not (account and account.digest and is_in(account, name)) then
    return nil
  end
  go_from(c, account, name)
  note_removal(c, account, name)
  local channel = channel_of(c, name)
  if channel and not account.lease then
    tell_removal(c, account, channel)
  end
  depart(c, name, account)
  return {0, 'done'}
end, 'allow-oom')

-- ARGV: key, id (empty: any). Answers whether there was such a call.
define('end_call', function(c, args)
  local key = args[4]
  local record = call_under(c, key)
  if not record or (args[5] ~= '' and record[1] ~= args[5]) then
    return nil
  end
  local caller, callee, lines = record[2], record[3], record[9]
  drop_call(c, key, record, 'operator')
  tell_side(c, caller, callee, lines[BYE_TO_CALLER], c.bounds.event_seconds)
  tell_side(c, callee, caller, lines[BYE_TO_CALLEE], c.bounds.event_seconds)
  call_happens(c, record, 'ended', 'operator')
  let_sides_go(c, record)
  return {0, 'done'}
end, 'allow-oom')

-- ARGV: account, its first uid; then as `set_user_attr` from the fifth on
define('put_user_attr', function(c, args)
  local account, refusal = account_or_new(c, args[4], args[5])
  if not account then
    return refusal
  end
  refusal = set_user_attr(c, args)
  if refusal then
    let_go(c, args[4])
  end
  return refusal
end)

-- ARGV: account, name, its bytes in JSON. Answers whether it was set.
define('drop_user_attr', function(c, args)
  local owner = owner_of(c, 'u', args[4])
  if call('HEXISTS', owner.values, args[5]) == 0 then
    return nil
  end
  change_user(c, owner, {sets = {}, deletes = {args[5], tonumber(args[6])}})
  let_go(c, args[4])
  return {0, 'done'}
end, 'allow-oom')

-- ARGV: as `set_channel_attr`, which begins with who asks: nobody
define('put_channel_attr', function(c, args)
  return set_channel_attr(c, args, SYSTEM)
end)

-- ARGV: as `del_channel_attr`, which begins with who asks: nobody
define('drop_channel_attr', function(c, args)
  return del_channel_attr(c, args, SYSTEM) or {0, 'done'}
end)

-- ARGV: account. Answers how many entries wait, and how many bytes they have.
define('inbox_size', function(c, args)
  local size = call('HGET', c.base .. 'a:' .. args[4], 'ib')
  return {0, 'size', call('LLEN', c.base .. 'i:' .. args[4]), tonumber(size) or 0}
end, 'no-writes')

-- Where in an inbox the entries begin that are behind a version, which rises, not always by one.
local function place_behind(key, after)
  local low, high = 0, call('LLEN', key)
  while low < high do
    local mid = math.floor((low + high) / 2)
    if look_at(call('LINDEX', key, mid)) > after then
      high = mid
    else
      low = mid + 1
    end
  end
  return low
end

-- ARGV: account, after, limit. Answers the entries that wait behind that version.
define('peek', function(c, args)
  local key, limit, entries = c.base .. 'i:' .. args[4], tonumber(args[6]), {}
  local at = place_behind(key, tonumber(args[5]))
  while #entries < limit do
    local found = call('LRANGE', key, at, at + ENTRIES_PER_LOOK - 1)
    for _, packed in ipairs(found) do
      if #entries < limit and select(2, look_at(packed)) > c.now then
        entries[#entries + 1] = packed
      end
    end
    at = at + ENTRIES_PER_LOOK
    if #found < ENTRIES_PER_LOOK then
      break
    end
  end
  return {0, 'page', 0, entries}
end, 'no-writes')

-- ARGV: behind which uid, limit. Answers behind which the next part is (empty: there is none), and
-- those who are online of some accounts.
define('online_in', function(c, args)
  local limit, records, last = tonumber(args[5]), {}, ''
  local found = call(
    'ZRANGE', c.base .. 'u', '(' .. args[4], '+inf', 'BYSCORE', 'LIMIT', 0, LOOKED_AT, 'WITHSCORES'
  )
  for index = 1, #found, 2 do
    if call('HEXISTS', c.base .. 'a:' .. found[index], 'd') == 1 then
      records[#records + 1] = record_of(c, found[index])
    end
    last = found[index + 1]
    if #records >= limit then
      break
    end
  end
  if #found < LOOKED_AT * 2 and last == (found[#found] or '') then
    last = ''
  end
  return {0, 'online', last, records}
end, 'no-writes')

-- ARGV: names, packed. Answers of each channel that there is: name, members, joins, last msgid, and
-- since when nobody is there.
define('channels', function(c, args)
  local found = {}
  for _, name in ipairs(unpack_one(args[4])) do
    local channel = channel_of(c, name)
    if channel then
      found[#found + 1] = {
        name, members_of(c, name), channel.total, channel.msgid,
        call('HGET', c.base .. 'c:' .. name, 'id') or '',
      }
    end
  end
  return {0, 'channels', found}
end, 'no-writes')

-- ARGV: channel, behind which join, limit. Answers behind which the next part is, and names and uids
-- by turns.
define('members', function(c, args)
  local limit, members, last = tonumber(args[6]), {}, ''
  local found = call(
    'ZRANGE', c.base .. 'm:' .. args[4], '(' .. args[5], '+inf', 'BYSCORE', 'LIMIT', 0, limit + 1,
    'WITHSCORES'
  )
  local count = math.min(#found / 2, limit)
  for index = 1, count do
    local name = found[index * 2 - 1]
    members[#members + 1] = name
    members[#members + 1] = tonumber(call('ZSCORE', c.base .. 'u', name))
  end
  if #found / 2 > limit then
    last = found[count * 2]
  end
  return {0, 'members', last, members}
end, 'no-writes')

-- ARGV: key. Answers the packed record.
define('call', function(c, args)
  local packed = call('HGET', c.base .. 'calls', args[4])
  return packed and {0, 'calls', {packed}} or nil
end, 'no-writes')

-- ARGV: cursor, how many. Answers the next cursor, and packed records; one may come twice.
define('calls_in', function(c, args)
  local found, records = call('HSCAN', c.base .. 'calls', args[4], 'COUNT', args[5]), {}
  for at = 2, #found[2], 2 do
    records[#records + 1] = found[2][at]
  end
  return {0, 'calls', found[1], records}
end, 'no-writes')
