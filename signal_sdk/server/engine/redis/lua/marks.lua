-- Marks of attributes: beside the value of each, which `ua:` or `ca:` has, `ur:` or `cr:` has the
-- revision of the change that set it, and behind a space when it ends by itself, if it does. In `a:` or
-- `c:`, rv is the revision of the last change of any. `ends` is whose first attribute ends when: `u` and
-- an account, or `c` and a channel.
-- Owns: these, and what watchers of an account are told (the topic `w:`). Must not know what a value is.
--
-- An earlier release has no marks: what it has set counts as of the first revision, unless there is a
-- mark of before.

-- Whose attributes: an account's (`u`) or a channel's (`c`).
local function owner_of(c, kind, name)
  local base = c.base
  return {
    kind = kind, name = name, what = kind .. name, values = base .. kind .. 'a:' .. name,
    marks = base .. kind .. 'r:' .. name,
    facts = base .. (kind == 'u' and 'a:' or 'c:') .. name,
  }
end

local function mark_text(revision, ends)
  local text = string.format('%.0f', revision)
  return ends and text .. ' ' .. string.format('%.6f', ends) or text
end

-- The revision and the end of a mark; of an attribute that has none, those of the first.
local function unmark(text)
  if not text then
    return 1, nil
  end
  local space = string.find(text, ' ', 1, true)
  if not space then
    return tonumber(text), nil
  end
  return tonumber(string.sub(text, 1, space - 1)), tonumber(string.sub(text, space + 1))
end

-- The revision of an attribute, 0 where it is not set.
local function revision_of(owner, name)
  if call('HEXISTS', owner.values, name) == 0 then
    return 0
  end
  return (unmark(call('HGET', owner.marks, name)))
end

-- An attribute was set.
local function mark(c, owner, name, revision, ends)
  call('HSET', owner.marks, name, mark_text(revision, ends))
  if ends then
    call('ZADD', c.base .. 'ends', 'LT', string.format('%.6f', ends), owner.what)
    c.has_dues_changed = true
  end
end

-- Some attribute of it has changed.
local function revise(owner, revision)
  call('HSET', owner.facts, 'rv', string.format('%.0f', revision))
end

local function forget_marks(c, owner)
  call('DEL', owner.marks)
  call('ZREM', c.base .. 'ends', owner.what)
end

-- The names of those whose time is over; when the next ends is noted.
local function take_ended(c, owner)
  local ends = c.base .. 'ends'
  local first = call('ZSCORE', ends, owner.what)
  local now = c.now + 0.000001
  if not first or tonumber(first) > now then
    return {}
  end
  local ended, following, all = {}, nil, call('HGETALL', owner.marks)
  for at = 1, #all, 2 do
    local _, time = unmark(all[at + 1])
    if time and time <= now then
      ended[#ended + 1] = all[at]
    elseif time and (not following or time < following) then
      following = time
    end
  end
  if following then
    call('ZADD', ends, string.format('%.6f', following), owner.what)
  else
    call('ZREM', ends, owner.what)
  end
  c.has_dues_changed = true
  return ended
end

-- What watchers of an account are told.

local function tell_watchers(c, name, ...)
  call('SPUBLISH', c.base .. 'w:' .. name, pack({...}))
end

-- The account has come or gone.
local function tell_presence(c, name, generation, is_online)
  tell_watchers(c, name, 'presence', tonumber(generation), is_online)
end

-- All there is: revision, names and values by turns, names and marks by turns.
local function all_of(owner)
  local revision = tonumber(call('HGET', owner.facts, 'rv')) or 0
  local values = call('HGETALL', owner.values)
  if revision == 0 and #values > 0 then
    revision = 1
  end
  return revision, values, call('HGETALL', owner.marks)
end

-- ARGV: kind, account or channel
define('attributes', function(c, args)
  return {0, 'attributes', all_of(owner_of(c, args[4], args[5]))}
end, 'no-writes')

-- ARGV: account. Answers whether it is online, its generation, and as `attributes`.
define('watched', function(c, args)
  local found = call('HMGET', c.base .. 'a:' .. args[4], 'd', 'g')
  local generation = found[2] or call('HGET', c.base .. 'app', 'g') or 0
  return {
    0, 'watched', found[1] and 1 or 0, tonumber(generation), all_of(owner_of(c, 'u', args[4])),
  }
end, 'no-writes')
