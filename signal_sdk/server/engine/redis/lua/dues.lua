-- What happens by itself: what is due, whose time is over, and which nodes live.
-- Owns: that each is done once, by whichever node looks. Must not know how it is done.

local DUES_PER_LOOK = 200
local INBOXES_PER_LOOK = 100
local OWNERS_PER_LOOK = 100
local BURIED_PER_LOOK = 500
local HEARD_SECONDS = 3600

local function do_due(c, what)
  local kind, name = string.sub(what, 1, 1), string.sub(what, 2)
  call('ZREM', c.base .. 'due', what)
  if kind == 'E' then
    destroy(c, name)
  elseif kind == 'C' then
    run_out(c, name)
  elseif kind == 'K' then
    end_ask(c, name)
  elseif kind == 'N' or kind == 'M' then
    push_count(c, kind, name)
  else
    local account = account_of(c, name)
    if account and account.digest then
      if kind == 'L' then
        end_session(c, account, 'lost', false)
      else
        expire(c, account, 'expired')
      end
    end
  end
end

-- What a dead node held is as if each connection had broken now. Answers how many there were.
local function bury(c, node)
  local base = c.base
  local names = call('SPOP', base .. 'n:' .. node, BURIED_PER_LOOK)
  for _, name in ipairs(names) do
    local account = account_of(c, name)
    if account and account.digest and account.node == node then
      if not account.lease then
        lease(c, account)
      end
      -- Whatever that node still asks for is no session's.
      call('HSET', base .. 'a:' .. name, 'n', '')
    end
  end
  if #names < BURIED_PER_LOOK then
    call('SREM', base .. 'dying', node)
  end
  return #names
end

local function give_up(c, node)
  call('ZREM', c.base .. 'nodes', node)
  call('SADD', c.base .. 'dying', node)
end

-- Has this server been there for long enough that a node's silence is its own? While it was not, or
-- all nodes stood still together, nobody could say that it lives. And from when on are the app's
-- totals not known (counts.lua; 0: they are)? `heard` is since when ticks have come without a pause,
-- the latest, and that: a release that does not count leaves it out.
local function judges(c)
  local key, life = c.base .. 'heard', c.bounds.life
  local since, latest, uncounted = c.now, nil, nil
  local text = call('GET', key)
  if text then
    since, latest, uncounted = struct.unpack(#text < 24 and 'dd' or 'ddd', text)
    uncounted = #text >= 24 and uncounted or c.now
  end
  if not latest or math.abs(c.now - latest) > life / 2 then
    since = c.now
  end
  if not text or uncounted ~= 0 and math.abs(c.now - uncounted) > life then
    recount(c)
    uncounted = 0
  end
  call('SET', key, struct.pack('ddd', since, c.now, uncounted), 'EX', HEARD_SECONDS)
  return c.now - since > life, uncounted
end

-- ARGV: lives (does this node say that it lives, and in which way: new, known, or not at all), lineage,
-- others, behind which inboxes to look into some (empty: into none)
-- Answers whether there is more to do, the time, which nodes were found dead, how much there is, how
-- many were connected to this node before and are behind it (which of both the node knows when it has
-- the answer, is the server's choice), how many nodes there are, the totals (none where they are not
-- known), and what was found in inboxes.
define('tick', function(c, args)
  local base = c.base
  follow(c, args[5], args[6])
  read_follows(c)
  if args[4] == 'known' and not call('ZSCORE', base .. 'nodes', c.node) then
    return refused('dead')
  end
  if args[4] ~= '' then
    call('ZADD', base .. 'nodes', string.format('%.6f', c.now), c.node)
  end
  local connected_before = call('SCARD', base .. 'n:' .. c.node)
  local dead = {}
  local uncounted, may_judge = 0, false
  if call('EXISTS', base .. 'nodes', base .. 'u') > 0 then
    may_judge, uncounted = judges(c)
  end
  if may_judge then
    local until_then = string.format('(%.6f', c.now - c.bounds.life)
    dead = call('ZRANGE', base .. 'nodes', '-inf', until_then, 'BYSCORE')
  end
  for _, node in ipairs(dead) do
    give_up(c, node)
  end
  local count = 0
  for _, node in ipairs(call('SMEMBERS', base .. 'dying')) do
    count = count + bury(c, node)
  end
  local is_more = count >= BURIED_PER_LOOK
  local now = string.format('%.6f', c.now + 0.000001)
  local dues = call('ZRANGE', base .. 'due', '-inf', now, 'BYSCORE', 'LIMIT', 0, DUES_PER_LOOK)
  for _, what in ipairs(dues) do
    -- One may have ended another.
    if call('ZSCORE', base .. 'due', what) then
      do_due(c, what)
    end
  end
  local stale = call('ZRANGE', base .. 'stale', '-inf', now, 'BYSCORE', 'LIMIT', 0, INBOXES_PER_LOOK)
  for _, name in ipairs(stale) do
    drop_head(c, name, 0)
    let_go(c, name)
  end
  local ended = call('ZRANGE', base .. 'ends', '-inf', now, 'BYSCORE', 'LIMIT', 0, OWNERS_PER_LOOK)
  for _, what in ipairs(ended) do
    attributes_due(c, what)
  end
  is_more = is_more or #dues == DUES_PER_LOOK or #stale == INBOXES_PER_LOOK
    or #ended == OWNERS_PER_LOOK
  c.has_dues_changed = true
  write_tallies(c)
  local totals = totals_of(c, uncounted)
  totals[#totals + 1] = tonumber(call('HGET', base .. 'app', 'b')) or 0
  return {
    0, 'ticked', is_more and 1 or 0, ms_of(c.now), dead,
    {
      call('ZCARD', base .. 'u'), call('SCARD', base .. 'on'),
      tonumber(call('HGET', base .. 'app', 'c')) or 0, call('HLEN', base .. 'calls'),
      call('ZCARD', base .. 'due') + call('ZCARD', base .. 'ends'), call('LLEN', base .. 'hs'),
    },
    {connected_before, call('SCARD', base .. 'n:' .. c.node)}, call('ZCARD', base .. 'nodes'), totals,
    args[7] ~= '' and look_into(c, args[7]) or {},
  }
end, 'allow-oom')

-- This node serves the app no more. Answers whether there is more to do.
define('go', function(c, args)
  if call('ZSCORE', c.base .. 'nodes', c.node) then
    give_up(c, c.node)
  end
  if bury(c, c.node) >= BURIED_PER_LOOK then
    return {0, 'more'}
  end
  return nil
end, 'allow-oom')

-- ARGV: lineage, others. What a node asks first wherever it comes to.
define('greet', function(c, args)
  follow(c, args[4], args[5])
  return nil
end, 'allow-oom')
