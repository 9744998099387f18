-- Inboxes: a list of packed entries (version, expiry, sender, line), oldest first.
-- Owns: versions, how much waits from whom, and whose time is over. Must not know why somebody is
-- written to.

local ENTRIES_PER_LOOK = 100

-- Of entries that were taken out: whose they were, and how many bytes.
local function count_out(c, name, entries)
  local key, size = c.base .. 'a:' .. name, 0
  for _, entry in ipairs(entries) do
    size = size + #entry[4]
    if entry[3] ~= '' and call('HINCRBY', key, 's:' .. entry[3], -1) <= 0 then
      call('HDEL', key, 's:' .. entry[3])
    end
  end
  call('HINCRBY', key, 'ib', -size)
  add_bytes(c, -size)
end

-- When does the first entry end?
local function watch_inbox(c, name)
  local first = call('LINDEX', c.base .. 'i:' .. name, 0)
  if first then
    call('ZADD', c.base .. 'stale', unpack_one(first)[2], name)
  else
    call('ZREM', c.base .. 'stale', name)
  end
end

-- Drop what is handled, and what has expired at the head.
local function drop_head(c, name, ver_clear)
  local key, dropped = c.base .. 'i:' .. name, {}
  local is_done = false
  while not is_done do
    local found = call('LRANGE', key, #dropped, #dropped + ENTRIES_PER_LOOK - 1)
    is_done = #found < ENTRIES_PER_LOOK
    for _, packed in ipairs(found) do
      local entry = unpack_one(packed)
      if entry[1] > ver_clear and entry[2] > c.now then
        is_done = true
        break
      end
      dropped[#dropped + 1] = entry
    end
  end
  if #dropped > 0 then
    call('LTRIM', key, #dropped, -1)
    count_out(c, name, dropped)
    watch_inbox(c, name)
  end
end

-- Drop all that has expired.
local function drop_expired(c, name)
  drop_head(c, name, 0)
  local key, kept, dropped = c.base .. 'i:' .. name, {}, {}
  for _, packed in ipairs(call('LRANGE', key, 0, -1)) do
    local entry = unpack_one(packed)
    if entry[2] > c.now then
      kept[#kept + 1] = packed
    else
      dropped[#dropped + 1] = entry
    end
  end
  if #dropped > 0 then
    call('DEL', key)
    for _, packed in ipairs(kept) do
      call('RPUSH', key, packed)
    end
    count_out(c, name, dropped)
  end
end

-- Which limit there is no room by, and what that is; nil where there is room.
local function lack(c, name, sender, size)
  local bounds, key = c.bounds, c.base .. 'a:' .. name
  -- A call must be able to begin and to end, however many messages wait.
  local function room(bound)
    return sender == '' and math.ceil(bound * 1.1) or bound
  end
  local found = call('HMGET', key, 'ib', 's:' .. sender)
  local most = bounds.inbox_messages
  if most > 0 and call('LLEN', c.base .. 'i:' .. name) >= room(most) then
    return {0, 'inbox_messages', most}
  end
  most = bounds.inbox_bytes
  if most > 0 and (tonumber(found[1]) or 0) + size > room(most) then
    return {0, 'inbox_bytes', most}
  end
  most = bounds.inbox_sender_messages
  if most > 0 and sender ~= '' and (tonumber(found[2]) or 0) >= most then
    return {0, 'inbox_sender_messages', most}
  end
  if lacks_bytes(c, size) then
    return {0, 'inbox_app_bytes', bounds.app_bytes}
  end
  return nil
end

-- Put an entry into the inbox of an account that is there, and tell of it; or the refusal.
local function put_entry(c, account, sender, line, expires)
  local name, base, size = account.name, c.base, #line
  if lack(c, name, sender, size) then
    drop_expired(c, name)
    local lacking = lack(c, name, sender, size)
    if lacking then
      return lacking
    end
  end
  local key = base .. 'a:' .. name
  local version = next_number(c, key, 'v', 'j', account.jumped)
  account.jumped = jumps_known[base]
  local count = call('RPUSH', base .. 'i:' .. name, pack({version, expires, sender, line}))
  if count == 1 then
    call('ZADD', base .. 'stale', string.format('%.6f', expires), name)
  end
  call('HINCRBY', key, 'ib', size)
  if sender ~= '' then
    call('HINCRBY', key, 's:' .. sender, 1)
  end
  add_bytes(c, size)
  if account.digest and not account.lease then
    tell_node(c, account.node, 'entry', name, version, line)
  end
  return nil
end

-- ARGV: account, generation, callid, ack, reply; to, its first uid, sender, line, ttl
change('post', function(c, args, account)
  local to, refusal = account_or_new(c, args[9], args[10])
  refusal = refusal or put_entry(c, to, args[11], args[12], c.now + tonumber(args[13]))
  if refusal then
    let_go(c, args[9])
    return refusal
  end
  return nil
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
  local floor = first and unpack_one(first)[1] - 1 or latest
  while #entries < limit do
    local found = call('LRANGE', key, at, at + ENTRIES_PER_LOOK - 1)
    for _, packed in ipairs(found) do
      if #entries < limit and unpack_one(packed)[2] > c.now then
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
