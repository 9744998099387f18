-- Attributes of channels and of users, kept as the JSON texts that they came as.
-- Owns: their number and size, and what a built-in one brings about. Must not know JSON.

-- The built-in attributes that are looked at, and the facts of `c:` that they are.
local BUILT_IN = {
  _userNotification = 'un', _channel_ttl = 'ttl', _auto_update_num = 'an',
  _auto_update_total_num = 'at', _sendmsg_limit = 'sl', _setattr_limit = 'al',
}

-- An attribute has changed: when is something due by it?
local function watch_attribute(c, channel, name)
  if name == '_channel_ttl' then
    watch_end(c, channel)
  elseif name == '_auto_update_num' then
    watch_count(c, channel, 'N', channel.counts)
  elseif name == '_auto_update_total_num' then
    watch_count(c, channel, 'M', channel.totals)
  end
end

-- May one more attribute be set, whose JSON has `size` bytes, with its name `full`? `key` is of all
-- that there are, `facts` knows their size. Answers by how much more there is, or a refusal.
local function measure(c, key, facts, name, text, name_size)
  local old = call('HGET', key, name)
  local most, count = c.bounds.attributes, call('HLEN', key)
  if not old and most > 0 and count >= most then
    return nil, refused('attributes', most)
  end
  -- With the quotes and the colon and comma of an object.
  local size = #text - (old and #old or 0)
  local total = (tonumber(call('HGET', facts, 'ab')) or 0) + size
  if not old then
    total = total + name_size + 2
  end
  -- An object of n has n - 1 commas and two braces.
  if total + 1 > c.bounds.attributes_bytes then
    return nil, refused('large', total + 1)
  end
  if lacks_bytes(c, size) then
    return nil, refused('app_bytes', c.bounds.app_bytes)
  end
  return {size = size, total = total}
end

-- The channel that may be changed, and why it may not. `args` as in `set_channel_attr`.
local function changing(c, args, account)
  local name = args[9]
  if args[10] == '1' and not is_in(account, name) then
    return nil, refused('elsewhere')
  end
  local channel = channel_of(c, name)
  local own = channel and channel.changes or 0
  local limit = own > 0 and own or c.bounds.changes
  local ms = too_often(c, c.base .. 'x:' .. name, limit)
  if ms > 0 then
    return nil, refused('changes', limit, ms)
  end
  return channel, nil
end

-- As whom the server itself changes something.
local SYSTEM = {name = '_agora_system', uid = '0', is_system = true}

-- ARGV: account, generation, callid, ack, reply; channel, members_only, name, text, its number, how
-- many bytes its name has in JSON
local function set_channel_attr(c, args, account)
  local channel, refusal = changing(c, args, account)
  if refusal then
    return refusal
  end
  local base, name, text = c.base, args[11], args[12]
  local key, facts = base .. 'ca:' .. args[9], base .. 'c:' .. args[9]
  local measured
  measured, refusal = measure(c, key, facts, name, text, tonumber(args[14]))
  if refusal then
    return refusal
  end
  if not channel then
    channel, refusal = new_channel(c, args[9], not account.is_system and account.name, c.now)
    if refusal then
      return refusal
    end
    watch_end(c, channel)
  end
  add_bytes(c, measured.size)
  next_revision(c)
  call('HSET', key, name, text)
  call('HSET', facts, 'ab', measured.total)
  if BUILT_IN[name] then
    call('HSET', facts, BUILT_IN[name], args[13])
    channel = channel_of(c, args[9])
  end
  tell(c, channel, 'changed', account.name, tonumber(account.uid), 'update', name, text)
  watch_attribute(c, channel, name)
  return nil
end

change('set_channel_attr', set_channel_attr)

-- ARGV: account, generation, callid, ack, reply; channel, members_only, name, its bytes in JSON
local function del_channel_attr(c, args, account)
  local channel, refusal = changing(c, args, account)
  if refusal then
    return refusal
  end
  local key, facts, name = c.base .. 'ca:' .. args[9], c.base .. 'c:' .. args[9], args[11]
  local old = call('HGET', key, name)
  if not channel or not old then
    return refused('unset')
  end
  next_revision(c)
  call('HDEL', key, name)
  call('HINCRBY', facts, 'ab', -(#old + tonumber(args[12]) + 2))
  add_bytes(c, -#old)
  if BUILT_IN[name] then
    call('HDEL', facts, BUILT_IN[name])
    channel = channel_of(c, args[9])
  end
  tell(c, channel, 'changed', account.name, tonumber(account.uid), 'del', name, '""')
  watch_attribute(c, channel, name)
  return nil
end

change('del_channel_attr', del_channel_attr)

-- ARGV: account, generation, callid, ack, reply; channel, members_only
change('clear_channel_attrs', function(c, args, account)
  local channel, refusal = changing(c, args, account)
  if refusal then
    return refusal
  end
  if channel then
    local key, facts, size = c.base .. 'ca:' .. args[9], c.base .. 'c:' .. args[9], 0
    for _, text in ipairs(call('HVALS', key)) do
      size = size + #text
    end
    next_revision(c)
    call('DEL', key)
    call('HDEL', facts, 'ab', 'un', 'ttl', 'an', 'at', 'sl', 'al')
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
  local key, facts = c.base .. 'ua:' .. args[4], c.base .. 'a:' .. args[4]
  local measured, refusal = measure(c, key, facts, args[9], args[10], tonumber(args[12]))
  if refusal then
    return refusal
  end
  add_bytes(c, measured.size)
  next_revision(c)
  call('HSET', key, args[9], args[10])
  call('HSET', facts, 'ab', measured.total)
  if args[11] ~= '' then
    call('HSET', facts, 'ct', args[11])
  end
  return nil
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
