-- Attributes of channels and of users, kept as the JSON texts that they came as.
-- Owns: their number and size, what a built-in one brings about, and that all of a change is done at
-- once, under one revision. Must not know JSON, nor who asks for what: attribute_changes.lua does.
--
-- A change is a table of `sets`: name, text, its number where it is built in, and how many bytes the name
-- has in JSON, by turns; `deletes`: name and such bytes by turns; and perhaps `ttl` in seconds.

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

-- The size of what there is after a change, or a refusal. `change` has `sets`: name, text, number, name's
-- bytes in JSON by turns, and `deletes`: name, name's bytes.
local function measure_all(c, owner, change)
  local count, added, total = call('HLEN', owner.values), 0, 0
  local before = count
  for at = 1, #change.deletes, 2 do
    local old = call('HGET', owner.values, change.deletes[at])
    if old then
      count, added = count - 1, added - #old
      total = total - #old - change.deletes[at + 1] - 2
    end
  end
  for at = 1, #change.sets, 4 do
    local old, text = call('HGET', owner.values, change.sets[at]), change.sets[at + 1]
    added, total = added + #text - (old and #old or 0), total + #text - (old and #old or 0)
    if not old then
      count, total = count + 1, total + change.sets[at + 3] + 2
    end
  end
  total = total + (tonumber(call('HGET', owner.facts, 'ab')) or 0)
  local most = c.bounds.attributes
  if #change.sets > 0 then
    if most > 0 and count > most and count > before then
      return nil, refused('attributes', most)
    end
    -- An object of n has n - 1 commas and two braces.
    if total + 1 > c.bounds.attributes_bytes then
      return nil, refused('large', total + 1)
    end
    if lacks_bytes(c, added) then
      return nil, refused('app_bytes', c.bounds.app_bytes)
    end
  end
  return {added = added, total = total}
end

-- As whom the server itself changes something.
local SYSTEM = {name = '_agora_system', uid = '0', is_system = true}

-- Do it: the measured change is allowed. `by` is as whom a channel is told.
local function apply(c, owner, change, measured, by)
  local revision, gone = next_revision(c), {}
  local ends = change.ttl and c.now + change.ttl or nil
  add_bytes(c, measured.added)
  for at = 1, #change.deletes, 2 do
    local name = change.deletes[at]
    if call('HDEL', owner.values, name) == 1 then
      gone[#gone + 1] = name
      call('HDEL', owner.marks, name)
    end
  end
  for at = 1, #change.sets, 4 do
    call('HSET', owner.values, change.sets[at], change.sets[at + 1])
    mark(c, owner, change.sets[at], revision, ends)
  end
  call('HSET', owner.facts, 'ab', measured.total)
  revise(owner, revision)
  if owner.kind == 'u' then
    return revision, gone, ends
  end
  local channel
  for _, name in ipairs(gone) do
    if BUILT_IN[name] then
      call('HDEL', owner.facts, BUILT_IN[name])
    end
  end
  for at = 1, #change.sets, 4 do
    if BUILT_IN[change.sets[at]] then
      call('HSET', owner.facts, BUILT_IN[change.sets[at]], change.sets[at + 2])
    end
  end
  channel = channel_of(c, owner.name)
  for _, name in ipairs(gone) do
    tell(c, channel, 'changed', by.name, tonumber(by.uid), 'del', name, '""')
    watch_attribute(c, channel, name)
  end
  for at = 1, #change.sets, 4 do
    local name, text = change.sets[at], change.sets[at + 1]
    tell(c, channel, 'changed', by.name, tonumber(by.uid), 'update', name, text)
    watch_attribute(c, channel, name)
  end
  return revision, gone, ends
end

-- What an account's watchers are told of a change of its attributes.
local function tell_changed(c, name, change, revision, gone, ends)
  local sets = {}
  for at = 1, #change.sets, 4 do
    sets[#sets + 1], sets[#sets + 2] = change.sets[at], change.sets[at + 1]
  end
  tell_watchers(c, name, 'attributes', revision, sets, gone, ends or false)
end

local function apply_to_user(c, owner, change, measured)
  local revision, gone, ends = apply(c, owner, change, measured)
  for _, name in ipairs(gone) do
    if name == '_conn_timeout' then
      call('HDEL', owner.facts, 'ct')
    end
  end
  for at = 1, #change.sets, 4 do
    if change.sets[at] == '_conn_timeout' then
      call('HSET', owner.facts, 'ct', change.sets[at + 2])
    end
  end
  tell_changed(c, owner.name, change, revision, gone, ends)
  return revision
end

-- How many bytes a name has in JSON: there are no control characters in it.
local function name_size(name)
  local _, escaped = string.gsub(name, '["\\]', '')
  return #name + escaped + 2
end

-- Delete what has ended, as the server itself does. Was there any?
local function end_attributes(c, owner)
  local ended = take_ended(c, owner)
  if #ended == 0 then
    return false
  end
  local change = {deletes = {}, sets = {}}
  for _, name in ipairs(ended) do
    change.deletes[#change.deletes + 1], change.deletes[#change.deletes + 2] = name, name_size(name)
  end
  local measured = measure_all(c, owner, change)
  if owner.kind == 'c' then
    apply(c, owner, change, measured, SYSTEM)
  else
    apply_to_user(c, owner, change, measured)
  end
  return true
end

-- Something of these attributes may have ended.
local function attributes_due(c, what)
  local kind, name = string.sub(what, 1, 1), string.sub(what, 2)
  end_attributes(c, owner_of(c, kind, name))
  if kind == 'u' then
    let_go(c, name)
  end
end

-- The channel that may be changed, in so many attributes, and why it may not. `args` as in
-- `set_channel_attr`.
local function changing(c, args, account, count)
  local name = args[9]
  if args[10] == '1' and not is_in(account, name) then
    return nil, refused('elsewhere')
  end
  local channel = channel_of(c, name)
  local own = channel and channel.changes or 0
  local limit = own > 0 and own or c.bounds.changes
  local ms = too_often(c, c.base .. 'x:' .. name, limit, count)
  if ms > 0 then
    return nil, refused('changes', limit, ms)
  end
  if channel and end_attributes(c, owner_of(c, 'c', name)) then
    channel = channel_of(c, name)
  end
  return channel, nil
end

-- Change a channel's attributes, which is made where there is none. The revision, or nil and a refusal.
local function change_channel(c, channel, account, owner, change)
  local measured, refusal = measure_all(c, owner, change)
  if refusal then
    return nil, refusal
  end
  if not channel then
    if #change.sets == 0 then
      return next_revision(c), nil
    end
    channel, refusal = new_channel(c, owner.name, not account.is_system and account.name, c.now)
    if refusal then
      return nil, refusal
    end
    watch_end(c, channel)
  end
  return (apply(c, owner, change, measured, account)), nil
end

-- Change a user's attributes. The revision, or nil and a refusal.
local function change_user(c, owner, change)
  local measured, refusal = measure_all(c, owner, change)
  if refusal then
    return nil, refusal
  end
  return apply_to_user(c, owner, change, measured), nil
end
