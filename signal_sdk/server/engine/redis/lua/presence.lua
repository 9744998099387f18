-- Presence: who is online, under which generation, and at which node. Of these facts `a:` has d
-- (the digest of the session's line: it is there while the account is online), n (node), dv, vr,
-- te, ti, in, ri (facts of the login), ch (channels), ja (the last msgid at the join), le (lease),
-- rm (the channels that an operator has taken it out of, until it joins one).
-- Owns: these operations. Must not know how a node lives or dies.

local FACTS = {'u', 'g', 'd', 'dv', 'vr', 'te', 'n', 'in', 'ch', 'le', 'ti', 'ri', 'rm'}
local MAX_LEASE_SECONDS = 120

local function record_of(c, name)
  return {0, 'presence', name, call('HMGET', c.base .. 'a:' .. name, unpack(FACTS))}
end

-- Where a session is found without its app. In a Cluster that is another slot's, and the node's.
local function line_key(c, digest)
  local hex = string.gsub(digest, '.', function(char)
    return string.format('%02x', string.byte(char))
  end)
  return string.match(c.base, '^(.-){') .. 'line:' .. hex
end

local function take_line(c, digest, name)
  call('HSET', c.base .. 'lines', digest, name)
  if not IS_CLUSTER then
    call('SET', line_key(c, digest), string.match(c.base, '{(.*)}'))
  end
end

local function drop_line(c, digest)
  call('HDEL', c.base .. 'lines', digest)
  if not IS_CLUSTER then
    call('DEL', line_key(c, digest))
  end
end

local function tell_holder(c, account, what)
  if not account.lease then
    tell_node(c, account.node, {what, account.name, tonumber(account.generation)})
  end
end

-- When is something due of the account's presence? Whoever comes back behind the end of a token is
-- told so: a lease is not ended by it.
local function watch_presence(c, name, shift)
  local found = call('HMGET', c.base .. 'a:' .. name, 'd', 'le', 'te')
  local lease, expires = found[2], tonumber(found[3])
  if found[1] and lease then
    set_due(c, 'L' .. name, tonumber(lease))
  else
    drop_due(c, 'L' .. name)
  end
  if found[1] and not lease and expires then
    set_due(c, 'T' .. name, expires - (shift or 0))
  else
    drop_due(c, 'T' .. name)
  end
end

local function lease(c, account)
  local key = c.base .. 'a:' .. account.name
  local seconds = tonumber(call('HGET', key, 'ct')) or MAX_LEASE_SECONDS
  call('HSET', key, 'le', string.format('%.6f', c.now + seconds))
  call('SREM', c.base .. 'n:' .. account.node, account.name)
  watch_presence(c, account.name)
end

-- Whoever holds it is told `what` (`kick`, `loss`), or false: nothing.
local function end_session(c, account, why, what)
  local base, name = c.base, account.name
  call(
    'HDEL', base .. 'a:' .. name, 'd', 'n', 'dv', 'vr', 'te', 'ti', 'in', 'ri', 'ch', 'ja', 'le', 'rm', 'lb'
  )
  drop_line(c, account.digest)
  call('DEL', base .. 'r:' .. name)
  call('SREM', base .. 'on', name)
  call('SREM', base .. 'n:' .. account.node, name)
  drop_due(c, 'L' .. name, 'T' .. name)
  c.has_dues_changed = true
  if what then
    tell_holder(c, account, what)
  end
  for channel in each_of(account.channel) do
    depart(c, channel, account)
  end
  end_calls(c, name)
  tell_presence(c, name, account.generation, false)
  tell_special(c, ONLINE_CHANNEL, 'offline', ONLINE_CHANNEL, account)
  if wanted(c, 'logout') then
    happen(c, 'logout', {account = name, why = why})
  end
  let_go(c, name)
end

-- The session's token is good no more.
local function expire(c, account, why)
  tell_holder(c, account, 'expiry')
  end_session(c, account, why, false)
end

-- Is the node alive that says it is `registered` here? One that is not is from here on.
local function is_alive(c, registered)
  if registered == '1' then
    return call('ZSCORE', c.base .. 'nodes', c.node) and true or false
  end
  call('ZADD', c.base .. 'nodes', string.format('%.6f', c.now), c.node)
  return true
end

-- This node holds the account from here on, under a new generation.
local function hold(c, account)
  local base, name = c.base, account.name
  if account.digest and account.node then
    call('SREM', base .. 'n:' .. account.node, name)
  end
  call('HSET', base .. 'a:' .. name, 'g', tonumber(account.generation) + 1, 'n', c.node)
  call('HDEL', base .. 'a:' .. name, 'le')
  call('SADD', base .. 'n:' .. c.node, name)
  call('SADD', base .. 'on', name)
end

-- ARGV: account, its first uid, digest, device, ver, instance, token_expires, token_issued, rights,
-- again, keeps, when it began, whether it may be in many channels, registered, shift (how much sooner
-- a token ends than its time says)
define('log_in', function(c, args)
  local name, base = args[4], c.base
  if not is_alive(c, args[17]) then
    return refused('dead')
  end
  local account, refusal = account_or_new(c, name, args[5])
  if not account then
    return refusal
  end
  local key, is_online = base .. 'a:' .. name, account.digest
  if is_online and args[13] == '1' and (call('HGET', key, 'in') or '') ~= args[9] then
    return nil
  end
  local late = is_online and (tonumber(call('HGET', key, 'lb')) or 0) - tonumber(args[15]) or 0
  if args[13] ~= '1' and late > 1 and late < 60 then
    return nil
  end
  -- Who comes again is the same client, which may have given up the one that was the later.
  local what = args[13] == '1' and 'loss' or 'kick'
  local is_in_many = args[16] == '1'
  local is_alike = (may_be_in_many(account.channel) or false) == is_in_many
  if is_online and not (args[14] == '1' and is_alike) then
    end_session(c, account, 'kicked', what)
    -- It may have been forgotten with that.
    account = account_or_new(c, name, account.uid, true)
    is_online = false
  elseif is_online then
    drop_line(c, account.digest)
    call('DEL', base .. 'r:' .. name)
    tell_holder(c, account, what)
  end
  hold(c, account)
  call('HDEL', key, 'te', 'ti', 'in', 'ri', 'rm')
  call('HSET', key, 'd', args[6], 'dv', args[7], 'vr', args[8], 'lb', args[15])
  for field, value in pairs({['in'] = args[9], te = args[10], ti = args[11], ri = args[12]}) do
    if value ~= '' then
      call('HSET', key, field, value)
    end
  end
  take_line(c, args[6], name)
  watch_presence(c, name, tonumber(args[18]))
  if not is_online then
    if is_in_many then
      call('HSET', key, 'ch', MARK)
    end
    tell_presence(c, name, tonumber(account.generation) + 1, true)
    tell_special(c, ONLINE_CHANNEL, 'online', ONLINE_CHANNEL, account)
    if wanted(c, 'login') then
      happen(c, 'login', {account = name, device = args[7]})
    end
  end
  return record_of(c, name)
end)

-- ARGV: digest, registered, shift
define('resume', function(c, args)
  local name = call('HGET', c.base .. 'lines', args[4])
  if not name then
    return nil
  end
  if not is_alive(c, args[5]) then
    return refused('dead')
  end
  local account = account_of(c, name)
  tell_holder(c, account, 'loss')
  hold(c, account)
  watch_presence(c, name, tonumber(args[6]))
  return record_of(c, name)
end, 'allow-oom')

-- The account, where this generation holds it.
local function held(c, name, generation)
  local account = account_of(c, name)
  if account and account.digest and account.generation == generation then
    return account
  end
  return nil
end

-- ARGV: account, generation
define('disconnect', function(c, args)
  local account = held(c, args[4], args[5])
  if account and not account.lease then
    lease(c, account)
  end
  return nil
end, 'allow-oom')

-- ARGV: account, generation, expires, why
define('end', function(c, args)
  local account = held(c, args[4], args[5])
  if not account then
    return nil
  end
  if args[6] == '1' then
    expire(c, account, args[7])
  else
    end_session(c, account, args[7], false)
  end
  return {0, 'ended'}
end, 'allow-oom')

-- ARGV: account
define('presence', function(c, args)
  if call('HEXISTS', c.base .. 'a:' .. args[4], 'd') == 0 then
    return nil
  end
  return record_of(c, args[4])
end, 'no-writes')

-- ARGV: cursor. Answers the next cursor, and some who are online; one may come twice.
define('online', function(c, args)
  local found, records = call('SSCAN', c.base .. 'on', args[4], 'COUNT', 200), {}
  for index, name in ipairs(found[2]) do
    records[index] = record_of(c, name)
  end
  return {0, 'online', found[1], records}
end, 'no-writes')

-- ARGV: account, generation, callid, ack
define('recall', function(c, args)
  if not asker(c, args[4], args[5]) then
    return nil
  end
  return known(c, args[4], args[6], args[7])
end, 'allow-oom')

-- ARGV: account, generation, callid, ack, reply
change('keep', function()
  return nil
end)

-- ARGV: accounts and generations by turns, packed, which this node holds. Answers for each, after a
-- time in which it heard nothing, whether it is still so (0: no), and the newest entry that waits;
-- and which of them were taken out of a channel: their places in the answer, their channels and the
-- next msgids of those, by turns.
define('look_over', function(c, args)
  if not call('ZSCORE', c.base .. 'nodes', c.node) then
    return refused('dead')
  end
  local asked, found, removed = unpack_one(args[4]), {}, {}
  for at = 1, #asked, 2 do
    local account = held(c, asked[at], tostring(asked[at + 1]))
    if account and account.node == c.node then
      found[#found + 1] = call('LINDEX', c.base .. 'i:' .. asked[at], -1) or ''
      for out_of in each_of(call('HGET', c.base .. 'a:' .. asked[at], 'rm')) do
        removed[#removed + 1] = #found
        removed[#removed + 1] = out_of
        removed[#removed + 1] = next_msgid(c, channel_of(c, out_of))
      end
    else
      found[#found + 1] = 0
    end
  end
  return {0, 'looked', found, removed, ms_of(c.now)}
end, 'no-writes')

-- ARGV: cursor. Answers the next cursor, and accounts and generations by turns, of those who are
-- connected to this node; one may come twice.
define('connected', function(c, args)
  local found, pairs_found = call('SSCAN', c.base .. 'n:' .. c.node, args[4], 'COUNT', 500), {}
  for _, name in ipairs(found[2]) do
    local account = account_of(c, name)
    if account and account.digest and account.node == c.node then
      pairs_found[#pairs_found + 1] = name
      pairs_found[#pairs_found + 1] = account.generation
    end
  end
  return {0, 'connected', found[1], pairs_found}
end, 'no-writes')
