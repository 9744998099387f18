-- Inboxes: a list of packed entries (version, expiry, sender, line), oldest first.
-- Owns: versions, how much waits from whom, and whose time is over. Must not know why somebody is
-- written to.

local ENTRIES_PER_LOOK = 100

-- The entry's version, end and sender, and its bytes, of which no copy is made; behind the head of an
-- array of four there are the first three, and then the line with a head of its own.
local function look_at(packed)
  local behind, version, expires, sender = cmsgpack.unpack_limit(packed, 3, 1)
  local size = #packed - behind
  local head = size <= 32 and 1 or size <= 257 and 2 or size <= 65538 and 3 or 5
  return version, expires, sender, size - head
end

-- When a line was sent, in milliseconds, as wire/lines.py has it; 0 where it does not say.
local SENT_AT = '^[^ ]* [^ ]* [^ ]* [^ ]* [^ ]* (%d+)'
local SENT_AT_WITH_ID = '^[^ ]* [^ ]* [^ ]* [^ ]* [^ ]* [^ ]* (%d+)'

local function sent_at(line)
  local pattern = string.sub(line, 1, 7) == 'msg-v3 ' and SENT_AT_WITH_ID or SENT_AT
  return tonumber(string.match(line, pattern)) or 0
end

-- Of entries that were taken out: how many of each sender, and how many bytes.
local function count_out(c, name, senders, size)
  local key = c.base .. 'a:' .. name
  for sender, share in pairs(senders) do
    if sender ~= '' and call('HINCRBY', key, 's:' .. sender, -share) <= 0 then
      call('HDEL', key, 's:' .. sender)
    end
    tally(c, 'ie', -share)
  end
  call('HINCRBY', key, 'ib', -size)
  add_bytes(c, -size)
end

-- When does the first entry end?
local function watch_inbox(c, name)
  local first = call('LINDEX', c.base .. 'i:' .. name, 0)
  if first then
    call('ZADD', c.base .. 'stale', string.format('%.6f', select(2, look_at(first))), name)
  else
    call('ZREM', c.base .. 'stale', name)
  end
end

-- Drop what is handled, and what has expired at the head.
local function drop_head(c, name, ver_clear)
  local key, dropped, senders, bytes = c.base .. 'i:' .. name, 0, {}, 0
  local is_done = false
  while not is_done do
    local found = call('LRANGE', key, dropped, dropped + ENTRIES_PER_LOOK - 1)
    is_done = #found < ENTRIES_PER_LOOK
    for _, packed in ipairs(found) do
      local version, expires, sender, size = look_at(packed)
      if version > ver_clear and expires > c.now then
        is_done = true
        break
      end
      dropped, bytes, senders[sender] = dropped + 1, bytes + size, (senders[sender] or 0) + 1
    end
  end
  if dropped > 0 then
    call('LTRIM', key, dropped, -1)
    count_out(c, name, senders, bytes)
    watch_inbox(c, name)
  end
end

-- Until when an inbox has nothing that has expired, as far as was seen here: a memory, so that many
-- messages to one that is full cost one look at all of it a second, and not one each.
local LOOK_SECONDS, MOST_LOOKED = 1, 1000
local fresh_until, looked = {}, 0

-- Drop all that has expired.
local function drop_expired(c, name)
  local key = c.base .. 'i:' .. name
  local fresh = fresh_until[key]
  if fresh and c.now < fresh and fresh <= c.now + LOOK_SECONDS then
    return
  end
  drop_head(c, name, 0)
  local kept, senders, bytes, first = {}, {}, 0, c.now + LOOK_SECONDS
  local all = call('LRANGE', key, 0, -1)
  for _, packed in ipairs(all) do
    local _, expires, sender, size = look_at(packed)
    if expires > c.now then
      kept[#kept + 1], first = packed, math.min(first, expires)
    else
      bytes, senders[sender] = bytes + size, (senders[sender] or 0) + 1
    end
  end
  if #kept < #all then
    call('DEL', key)
    for _, packed in ipairs(kept) do
      call('RPUSH', key, packed)
    end
    count_out(c, name, senders, bytes)
  end
  if looked >= MOST_LOOKED then
    fresh_until, looked = {}, 0
  end
  fresh_until[key], looked = first, looked + 1
end

-- An account as its inbox has it, and how much of that is from `sender`; nil where nobody knows it.
local function inbox_of(c, name, sender)
  local found = call('HMGET', c.base .. 'a:' .. name, 'v', 'ib', 's:' .. sender, 'j', 'd', 'le', 'n')
  if not found[1] then
    return nil
  end
  return {
    name = name, version = tonumber(found[1]), size = tonumber(found[2]) or 0,
    share = tonumber(found[3]) or 0, jumped = tonumber(found[4]) or 0,
    node = found[5] and not found[6] and found[7],
  }
end

-- Which limit there is no room by, and what that is; nil where there is room.
local function lack(c, inbox, sender, size)
  local bounds = c.bounds
  -- A call must be able to begin and to end, however many messages wait.
  local function room(bound)
    return sender == '' and math.ceil(bound * 1.1) or bound
  end
  local most = bounds.inbox_messages
  -- None has no byte at all.
  if most > 0 and inbox.size >= most and call('LLEN', c.base .. 'i:' .. inbox.name) >= room(most) then
    return refused('inbox_messages', most)
  end
  most = bounds.inbox_bytes
  if most > 0 and inbox.size + size > room(most) then
    return refused('inbox_bytes', most)
  end
  most = bounds.inbox_sender_messages
  if most > 0 and sender ~= '' and inbox.share >= most then
    return refused('inbox_sender_messages', most)
  end
  if lacks_bytes(c, size) then
    return refused('inbox_app_bytes', bounds.app_bytes)
  end
  return nil
end

-- Put an entry into an inbox. Its version, or nil and the refusal.
local function put_entry(c, inbox, sender, line, expires)
  local name, base, size = inbox.name, c.base, #line
  if lack(c, inbox, sender, size) then
    drop_expired(c, name)
    inbox = inbox_of(c, name, sender)
    local lacking = lack(c, inbox, sender, size)
    if lacking then
      return nil, lacking
    end
  end
  local step = step_of(c, inbox.jumped)
  local version = inbox.version + step
  if call('RPUSH', base .. 'i:' .. name, pack({version, expires, sender, line})) == 1 then
    call('ZADD', base .. 'stale', string.format('%.6f', expires), name)
  end
  -- A number that is handed over as such is spelt with all digits of a fraction, for longer than all
  -- else takes.
  local facts = {'v', string.format('%d', version), 'ib', string.format('%d', inbox.size + size)}
  if sender ~= '' then
    facts[5], facts[6] = 's:' .. sender, string.format('%d', inbox.share + 1)
  end
  if step > 1 then
    facts[#facts + 1], facts[#facts + 2] = 'j', jumps_of(c)
  end
  call('HSET', base .. 'a:' .. name, unpack(facts))
  add_bytes(c, size)
  tally(c, 'ie', 1)
  return version
end

-- One message: account, generation, callid, ack, reply; to, its first uid, sender, line, ttl, whether
-- it is only for who takes bytes. Answers 0, or the version where whoever it is for is connected to the node that asks, which is told so by
-- that; or why nothing is done.
local function post(c, it)
  local name, to, sender, line = it[1], it[6], it[8], it[9]
  -- Whoever sends many at once is looked for once.
  if c.name ~= name or c.generation ~= it[2] then
    if not asker(c, name, it[2]) then
      return stranger(c)
    end
    c.name, c.generation = name, it[2]
  end
  local answer = known(c, name, it[3], it[4], it[5])
  if answer then
    return answer
  end
  if it[11] == '1' and not takes_bytes(c, to) then
    return refused('no_bytes')
  end
  local inbox = inbox_of(c, to, sender)
  if not inbox then
    local _, refusal = account_or_new(c, to, it[7])
    if refusal then
      return refusal
    end
    inbox = inbox_of(c, to, sender)
  end
  local version, refusal = put_entry(c, inbox, sender, line, c.now + it[10])
  if refusal then
    let_go(c, to)
    return refusal
  end
  keep(c, name, it[3], it[5])
  message_happens(c, to, sender, line, inbox.node)
  if inbox.node == c.node then
    return version
  end
  if inbox.node then
    local told = c.told[inbox.node] or {'entry'}
    c.told[inbox.node], told[#told + 1], told[#told + 2], told[#told + 3] = told, to, version, line
  end
  return 0
end

-- Tell other nodes of the entries for them. One of a release that knows no more than one in a message
-- has an id that does not begin as those of the later ones (`new_node` in redis/core.py).
local function tell_all(c)
  for node, told in pairs(c.told) do
    if string.find(node, '^[mr]') then
      tell_node(c, node, told)
    else
      for at = 2, #told, 3 do
        tell_node(c, node, {'entry', told[at], told[at + 1], told[at + 2]})
      end
    end
  end
end

-- ARGV: messages, in their order. Each is done or not by itself, whatever becomes of the others.
define('post', function(c, args)
  local outcomes = {}
  c.told = {}
  for index, message in ipairs(unpack_one(args[4])) do
    local is_done, outcome = pcall(post, c, message)
    outcomes[index] = is_done and outcome or failed(outcome)
  end
  tell_all(c)
  return {0, pack(outcomes)}
end)

-- ARGV: account, ver_clear, limit. Answers up to which version all is gone, and the next entries.
define('read_inbox', function(c, args)
  local name, ver_clear, limit = args[4], tonumber(args[5]), tonumber(args[6])
  local latest = call('HGET', c.base .. 'a:' .. name, 'v')
  if not latest then
    local given = call('HGET', c.base .. 'app', 'v')
    return {0, 'page', tonumber(given) or 0, {}}
  end
  latest = tonumber(latest)
  drop_head(c, name, ver_clear <= latest and ver_clear or 0)
  local key, entries, at = c.base .. 'i:' .. name, {}, 0
  local first = call('LINDEX', key, 0)
  local floor = first and look_at(first) - 1 or latest
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
  let_go(c, name)
  return {0, 'page', floor, entries}
end, 'allow-oom')
