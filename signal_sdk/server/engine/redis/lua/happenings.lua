-- What happens, for those who follow it and for hooks (engine/happened.py has the facts).
-- Owns: the numbers that happenings have, the list of those that are kept, `hs`, with who takes them,
-- `hl`, and which nodes follow what, `fo`. Must not know why something happens.
--
-- A kept happening is a packed number, time in milliseconds and table of facts. In `app`, hn is the
-- last number, hj how many jumps that has made, hx how many were dropped because there were too many.

-- What all nodes follow in each app that was asked about here: a memory, refreshed by each tick.
local follows_known = {}

-- Read anew what is followed; who has not said so for too long follows nothing.
local function read_follows(c)
  local found, all = {kinds = {}, accounts = {}, channels = {}}, call('HGETALL', c.base .. 'fo')
  for at = 1, #all, 2 do
    local said = unpack_one(all[at + 1])
    if said[1] < c.now then
      call('HDEL', c.base .. 'fo', all[at])
    else
      for index, into in ipairs({found.kinds, found.accounts, found.channels}) do
        for _, name in ipairs(said[index + 1]) do
          into[name] = true
        end
      end
    end
  end
  follows_known[c.base] = found
  return found
end

local function follows_of(c)
  return follows_known[c.base] or read_follows(c)
end

-- Does anybody want to hear of this kind? Nothing is made of it else.
local function wanted(c, kind)
  return c.bounds.kept_kinds[kind] or follows_of(c).kinds[kind]
end

-- It has happened.
local function happen(c, kind, facts)
  local number, base = 0, c.base
  facts.kind = kind
  if c.bounds.kept_kinds[kind] then
    local app = base .. 'app'
    local step = step_of(c, tonumber(call('HGET', app, 'hj')) or 0)
    if step > 1 then
      call('HSET', app, 'hj', jumps_of(c))
    end
    number = call('HINCRBY', app, 'hn', step)
    local kept = call('RPUSH', base .. 'hs', pack({number, ms_of(c.now), facts}))
    local over = kept - c.bounds.kept_most
    if over > 0 then
      call('LTRIM', base .. 'hs', over, -1)
      call('HINCRBY', app, 'hx', over)
    elseif kept == 1 then
      tell_node(c, c.node, {'kept', '', 0})
    end
  end
  if follows_of(c).kinds[kind] then
    call('SPUBLISH', base .. 'f', pack({number, ms_of(c.now), facts}))
  end
end

-- How many bytes the content of a message's line has: what is behind its seventh space, or its sixth
-- where it has no id.
local function content_size(line)
  local at = 0
  for _ = 1, string.sub(line, 1, 7) == 'msg-v3 ' and 7 or 6 do
    at = string.find(line, ' ', at + 1, true) or #line
  end
  return #line - at
end

-- A message was put into an inbox.
local function message_happens(c, to, sender, line, is_connected)
  if not is_connected and wanted(c, 'absent') then
    happen(c, 'absent', {account = to, sender = sender, size = content_size(line)})
  end
  local follows = follows_of(c)
  if follows.kinds.message and (follows.accounts[to] or follows.accounts[sender]) then
    happen(c, 'message', {account = to, sender = sender, size = content_size(line)})
  end
end

-- ARGV: for how many seconds that is so, kinds, accounts and channels, packed, which this node
-- follows; no kinds, where it does not.
define('follow', function(c, args)
  local said = unpack_one(args[5])
  if #said[1] == 0 then
    call('HDEL', c.base .. 'fo', c.node)
  else
    local until_then = c.now + tonumber(args[4])
    call('HSET', c.base .. 'fo', c.node, pack({until_then, said[1], said[2], said[3]}))
  end
  read_follows(c)
  return nil
end, 'allow-oom')

-- Answers how many are kept, since when, and how many were dropped.
define('backlog', function(c)
  local first, oldest = call('LINDEX', c.base .. 'hs', 0), 0
  if first then
    oldest = unpack_one(first)[2]
  end
  local dropped = tonumber(call('HGET', c.base .. 'app', 'hx')) or 0
  return {0, 'backlog', call('LLEN', c.base .. 'hs'), oldest, dropped}
end, 'no-writes')

-- ARGV: most, for how many seconds nobody else is given them. Answers the oldest, or nothing where
-- another node has them.
define('take_kept', function(c, args)
  local text = call('GET', c.base .. 'hl')
  if text then
    local taken = unpack_one(text)
    if taken[1] ~= c.node and taken[2] > c.now then
      return nil
    end
  end
  local found = call('LRANGE', c.base .. 'hs', 0, tonumber(args[4]) - 1)
  if #found == 0 then
    call('DEL', c.base .. 'hl')
  else
    call('SET', c.base .. 'hl', pack({c.node, c.now + tonumber(args[5])}))
  end
  return {0, 'taken', found}
end, 'allow-oom')

-- ARGV: up to which number they are where they are to be. Answers nothing where another node has
-- them.
define('kept_done', function(c, args)
  local text, upto = call('GET', c.base .. 'hl'), tonumber(args[4])
  if not text or unpack_one(text)[1] ~= c.node then
    return nil
  end
  local count, is_over = 0, false
  while not is_over do
    local found = call('LRANGE', c.base .. 'hs', count, count + 99)
    is_over = #found < 100
    for _, packed in ipairs(found) do
      if unpack_one(packed)[1] > upto then
        is_over = true
        break
      end
      count = count + 1
    end
  end
  if count > 0 then
    call('LTRIM', c.base .. 'hs', count, -1)
  end
  return {0, 'done'}
end, 'allow-oom')
