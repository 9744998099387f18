-- Changes of attributes as they are asked for, one by one or several at once, and what asks for them.
-- Owns: what a change wants things to be like, and what is answered. Must not know what a change does:
-- attributes.lua does.

-- Are the attributes as the change wants them?
local function fits(owner, change)
  if change.revision and (all_of(owner)) ~= change.revision then
    return false
  end
  for at = 1, #change.conditions, 2 do
    if revision_of(owner, change.conditions[at]) ~= change.conditions[at + 1] then
      return false
    end
  end
  return true
end

-- Of what is named: names and values by turns, names and marks by turns.
local function present(owner, named)
  local values, marks = {}, {}
  for _, name in ipairs(named) do
    local value = call('HGET', owner.values, name)
    if value then
      values[#values + 1], values[#values + 2] = name, value
      marks[#marks + 1], marks[#marks + 2] = name, call('HGET', owner.marks, name) or '1'
    end
  end
  return values, marks
end

local function do_change(c, args, account, owner, change)
  local channel, refusal
  if owner.kind == 'c' then
    local count = #change.sets / 4 + #change.deletes / 2
    channel, refusal = changing(c, args, account, count)
    if refusal then
      return nil, refusal
    end
  else
    end_attributes(c, owner)
  end
  if not fits(owner, change) then
    return 0, nil
  end
  if owner.kind == 'c' then
    return change_channel(c, channel, account, owner, change)
  end
  return change_user(c, owner, change)
end

-- ARGV: account, generation, callid, ack, reply; channel, members_only, whether it is a channel's, the
-- change, packed: revision or false, ttl or false, conditions, deletes, sets, and all names. Answers the
-- revision; where it is 0 also that of all, and what is there of those that are named.
define('change_attributes', function(c, args)
  local account = asker(c, args[4], args[5])
  if not account then
    return stranger(c)
  end
  local answer = known(c, args[4], args[6], args[7], args[8])
  if answer then
    return answer
  end
  local is_channel, said = args[11] == '1', unpack_one(args[12])
  local owner = is_channel and owner_of(c, 'c', args[9]) or owner_of(c, 'u', account.name)
  local change = {
    revision = said[1] or nil, ttl = said[2] or nil, conditions = said[3], deletes = said[4],
    sets = said[5],
  }
  local revision, refusal = do_change(c, args, account, owner, change)
  if refusal then
    return refusal
  end
  keep(c, args[4], args[6], args[8] .. string.format('%.0f', revision) .. '}')
  if revision == 0 then
    return {0, 'changed', 0, (all_of(owner)), present(owner, said[6])}
  end
  return {0, 'changed', revision}
end)

-- ARGV: account, generation, callid, ack, reply; channel, members_only, name, text, its number, how
-- many bytes its name has in JSON
local function set_channel_attr(c, args, account)
  local channel, refusal = changing(c, args, account, 1)
  if refusal then
    return refusal
  end
  local change = {sets = {args[11], args[12], args[13], tonumber(args[14])}, deletes = {}}
  return select(2, change_channel(c, channel, account, owner_of(c, 'c', args[9]), change))
end

change('set_channel_attr', set_channel_attr)

-- ARGV: account, generation, callid, ack, reply; channel, members_only, name, its bytes in JSON
local function del_channel_attr(c, args, account)
  local channel, refusal = changing(c, args, account, 1)
  if refusal then
    return refusal
  end
  local owner = owner_of(c, 'c', args[9])
  if not channel or call('HEXISTS', owner.values, args[11]) == 0 then
    return refused('unset')
  end
  local change = {sets = {}, deletes = {args[11], tonumber(args[12])}}
  return select(2, change_channel(c, channel, account, owner, change))
end

change('del_channel_attr', del_channel_attr)

-- ARGV: account, generation, callid, ack, reply; channel, members_only
change('clear_channel_attrs', function(c, args, account)
  local channel, refusal = changing(c, args, account, 1)
  if refusal then
    return refusal
  end
  if channel then
    local owner, size = owner_of(c, 'c', args[9]), 0
    for _, text in ipairs(call('HVALS', owner.values)) do
      size = size + #text
    end
    call('DEL', owner.values)
    call('HDEL', owner.facts, 'ab', 'un', 'ttl', 'an', 'at', 'sl', 'al')
    forget_marks(c, owner)
    revise(owner, next_revision(c))
    add_bytes(c, -size)
    channel = channel_of(c, args[9])
    tell(c, channel, 'changed', account.name, tonumber(account.uid), 'clear', '', '""')
    watch_end(c, channel)
    watch_counts(c, channel)
  end
  return nil
end)

-- ARGV: account, generation, callid, ack, reply; name, text, `_conn_timeout` in seconds or nothing,
-- how many bytes its name has in JSON
local function set_user_attr(c, args)
  local change = {sets = {args[9], args[10], args[11], tonumber(args[12])}, deletes = {}}
  return select(2, change_user(c, owner_of(c, 'u', args[4]), change))
end

change('set_user_attr', set_user_attr)

-- ARGV: channel. Answers how many members there are and have been, which counts are asked for, and
-- names and texts by turns.
define('channel_attrs', function(c, args)
  local channel = channel_of(c, args[4])
  if not channel then
    return nil
  end
  return {
    0, 'attributes', members_of(c, args[4]), channel.total, channel.counts or 0,
    channel.totals or 0, call('HGETALL', c.base .. 'ca:' .. args[4]),
  }
end, 'no-writes')

-- ARGV: account. Answers names and texts by turns.
define('user_attrs', function(c, args)
  return {0, 'attributes', call('HGETALL', c.base .. 'ua:' .. args[4])}
end, 'no-writes')
