-- Calls: of each a packed record in `calls` under its key, which both sides have in their list.
-- Owns: the one call under a key, and its end. Must not know the steps, nor the form of a line: both
-- are handed in, a line as three pieces, between which its time and the other side's uid go.
--
-- A record is: id, caller, callee, channel, extra, state, timeout, deadline, and the lines of its
-- end: bye to the caller, bye to the callee, failed (nobody answered), failed (nobody was there);
-- and the id as it stands in a line.

local BYE_TO_CALLER, BYE_TO_CALLEE, UNANSWERED, AWAY = 1, 2, 3, 4

local function tell_side(c, to, from, pieces, seconds)
  local inbox = inbox_of(c, to, '')
  if inbox then
    local line = pieces[1] .. ms_of(c.now) .. ' ' .. pieces[2] .. uid_if_online(c, from) .. pieces[3]
    -- What there is no room for is not told: a call must be able to end all the same.
    local version = put_entry(c, inbox, '', line, c.now + seconds)
    if version and inbox.node then
      tell_node(c, inbox.node, {'entry', to, version, line})
    end
  end
end

-- In `app`, of each state how many live calls are in it.
local COUNTS = {inviting = 'ki', ringing = 'kr', accepted = 'ka'}

-- The call, which was in the state `before`, is this one now.
local function write_call(c, key, record, before)
  call('HSET', c.base .. 'calls', key, pack(record))
  if before then
    tally(c, COUNTS[before], -1)
  else
    note_step(c, 'invited')
  end
  tally(c, COUNTS[record[6]], 1)
  if record[8] then
    set_due(c, 'C' .. key, record[8])
  else
    drop_due(c, 'C' .. key)
  end
end

local function drop_call(c, key, record, why)
  call('HDEL', c.base .. 'calls', key)
  tally(c, COUNTS[record[6]], -1)
  note_step(c, why)
  drop_due(c, 'C' .. key)
  call('LREM', c.base .. 'k:' .. record[2], 1, key)
  call('LREM', c.base .. 'k:' .. record[3], 1, key)
end

local function let_sides_go(c, record)
  let_go(c, record[2])
  let_go(c, record[3])
end

-- The call, whose record this is, is in this state now, and has ended for this reason if it has.
local function call_happens(c, record, state, why)
  if wanted(c, 'call') then
    happen(c, 'call', {
      call = record[1], caller = record[2], callee = record[3], channel = record[4], state = state,
      why = why,
    })
  end
end

local function call_under(c, key)
  local packed = call('HGET', c.base .. 'calls', key)
  return packed and unpack_one(packed) or nil
end

-- The account's presence is over: each of its calls ends, and the other side hears.
local function end_calls(c, name)
  for _, key in ipairs(call('LRANGE', c.base .. 'k:' .. name, 0, -1)) do
    local record = call_under(c, key)
    drop_call(c, key, record, 'gone')
    if record[2] == name then
      tell_side(c, record[3], name, record[9][BYE_TO_CALLEE], c.bounds.event_seconds)
    else
      tell_side(c, record[2], name, record[9][BYE_TO_CALLER], c.bounds.event_seconds)
    end
    call_happens(c, record, 'ended', 'gone')
    let_sides_go(c, record)
  end
end

-- Nobody acknowledged, or nobody answered.
local function run_out(c, key)
  local record = call_under(c, key)
  if not record then
    return
  end
  local caller, callee, lines = record[2], record[3], record[9]
  local failed, why = lines[UNANSWERED], 'unanswered'
  if record[6] == 'inviting' and uid_if_online(c, callee) == '0' then
    failed, why = lines[AWAY], 'offline'
  end
  drop_call(c, key, record, why)
  if why == 'unanswered' then
    tell_side(c, callee, caller, lines[BYE_TO_CALLEE], c.bounds.event_seconds)
  end
  tell_side(c, caller, callee, failed, c.bounds.event_seconds)
  call_happens(c, record, 'ended', why)
  let_sides_go(c, record)
end

-- ARGV: account, generation, callid, ack, reply; key, callee, its first uid, channel, extra, id,
-- timeout, is_online, lines of its end, line of the invitation, its ttl, the id within JSON
change('invite', function(c, args, account)
  local name = account.name
  local key, callee = args[9], args[10]
  if call('HEXISTS', c.base .. 'calls', key) == 1 then
    return refused('exists')
  end
  if args[16] == '1' and uid_if_online(c, callee) == '0' then
    return refused('offline')
  end
  local most, live = c.bounds.account_calls, c.base .. 'k:' .. name
  if most > 0 and call('LLEN', live) >= most then
    -- Nobody's calls end because others call.
    local own = 0
    for _, other in ipairs(call('LRANGE', live, 0, -1)) do
      own = own + (call_under(c, other)[2] == name and 1 or 0)
    end
    if own >= most then
      return refused('calls', most)
    end
  end
  local to, refusal = account_or_new(c, callee, args[11])
  if not to then
    return refusal
  end
  local timeout = tonumber(args[15])
  call('RPUSH', live, key)
  if callee ~= name then
    call('RPUSH', c.base .. 'k:' .. callee, key)
  end
  local record = {
    args[14], name, callee, args[12], args[13], 'inviting', timeout, c.now + timeout,
    unpack_one(args[17]), args[20],
  }
  write_call(c, key, record)
  call_happens(c, record, 'inviting', '')
  tell_side(c, callee, name, unpack_one(args[18]), tonumber(args[19]))
  return nil
end)

-- ARGV: account, generation, callid, ack, reply; key, peer, which state follows on which for whom,
-- the line, in four pieces: the last stands behind the call's id; why it has ended where that ends
-- it, or that it says nothing new (`-`)
change('step', function(c, args, account)
  local name, key, peer = account.name, args[9], args[10]
  local record = call_under(c, key)
  if not record then
    return refused('no_call')
  end
  local role = record[2] == name and 'caller' or 'callee'
  local state = unpack_one(args[11])[record[6] .. ' ' .. role]
  if not state then
    return refused('misfit', role, record[6])
  end
  if state == 'ended' then
    drop_call(c, key, record, args[13])
  else
    local before = record[6]
    record[6] = state
    if state == 'ringing' then
      record[8] = c.now + record[7]
    elseif state == 'accepted' then
      record[8] = false
    end
    write_call(c, key, record, before)
  end
  if args[13] ~= '-' then
    call_happens(c, record, state, state == 'ended' and args[13] or '')
  end
  local pieces = unpack_one(args[12])
  tell_side(c, peer, name, {pieces[1], pieces[2], pieces[3] .. record[10] .. pieces[4]},
    c.bounds.event_seconds)
  if state == 'ended' then
    let_sides_go(c, record)
  end
  return nil
end)

-- ARGV: account. Answers the packed records.
define('calls_of', function(c, args)
  local keys = call('LRANGE', c.base .. 'k:' .. args[4], 0, -1)
  local found = {}
  for index, key in ipairs(keys) do
    found[index] = call('HGET', c.base .. 'calls', key)
  end
  return {0, 'calls', found}
end, 'no-writes')
