-- Accounts: made when they are named, forgotten when nothing is left of them.
-- Owns: uids, who asks, which channels a session is in, how many bytes an app has. Must not know
-- what is left of an account.

local MAX_UID = 2147483647

-- `ch` is the channel of a session that may be in one. Of one that may be in many, MARK is before
-- each of them, and behind the last; so it is in `rm`, where several are there.
local MARK = '\1'

local function may_be_in_many(channel)
  return channel and string.sub(channel, 1, 1) == MARK
end

local function is_among(channels, name)
  return channels == name or string.find(channels or '', MARK .. name .. MARK, 1, true) ~= nil
end

-- All of them, one by one.
local function each_of(channels)
  return string.gmatch(channels or '', '[^' .. MARK .. ']+')
end

-- The channels, and how many they are.
local function without(channels, name)
  local left, count = MARK, 0
  for it in each_of(channels) do
    if it ~= name then
      left, count = left .. it .. MARK, count + 1
    end
  end
  return left, count
end

local function is_in(account, name)
  return is_among(account.channel, name)
end

-- An account's facts; nil where nobody knows it. `lease` is there while no connection is.
local function account_of(c, name)
  local found = call('HMGET', c.base .. 'a:' .. name, 'u', 'g', 'd', 'n', 'ch', 'le')
  if not found[1] then
    return nil
  end
  return {
    name = name, uid = found[1], generation = found[2], digest = found[3], node = found[4],
    channel = found[5], lease = found[6],
  }
end

-- The account, made with the first uid from `uid` on that is free. Nil and a refusal where the app
-- has no room, unless it `was_known` to the same operation.
local function account_or_new(c, name, uid, was_known)
  local account = account_of(c, name)
  if account then
    return account
  end
  local uids, most = c.base .. 'u', c.bounds.app_accounts
  if most > 0 and not was_known and call('ZCARD', uids) >= most then
    return nil, refused('accounts', most)
  end
  uid = tonumber(uid)
  while call('ZCOUNT', uids, uid, uid) > 0 do
    uid = uid % MAX_UID + 1
  end
  call('ZADD', uids, uid, name)
  local given = call('HMGET', c.base .. 'app', 'g', 'v')
  call('HSET', c.base .. 'a:' .. name, 'u', uid, 'g', given[1] or 0, 'v', given[2] or 0)
  call('PERSIST', c.base .. 'app')
  return account_of(c, name)
end

-- The app's numbers go on behind those of whom it forgets, for this long after it is empty.
local EMPTY_SECONDS = 30 * 24 * 3600

local function rest_if_empty(c)
  local used = call('HMGET', c.base .. 'app', 'c', 'b')
  if call('EXISTS', c.base .. 'u') == 0 and (tonumber(used[1]) or 0) == 0 then
    call('EXPIRE', c.base .. 'app', EMPTY_SECONDS)
  end
end

-- Forget an account of which nothing is left.
local function let_go(c, name)
  local base = c.base
  local found = call('HMGET', base .. 'a:' .. name, 'u', 'd', 'md', 'g', 'v')
  if not found[1] or found[2] or (tonumber(found[3]) or 0) > 0 then
    return
  end
  if call('EXISTS', base .. 'i:' .. name, base .. 'ua:' .. name, base .. 'k:' .. name) > 0 then
    return
  end
  call('DEL', base .. 'a:' .. name, base .. 'r:' .. name, base .. 'ur:' .. name)
  call('ZREM', base .. 'u', name)
  local app = call('HMGET', base .. 'app', 'g', 'v')
  local generation = math.max(tonumber(app[1]) or 0, tonumber(found[4]))
  local version = math.max(tonumber(app[2]) or 0, tonumber(found[5]))
  call('HSET', base .. 'app', 'g', generation, 'v', version)
  rest_if_empty(c)
end

-- The account whose session asks, from this node; nil where it is not the session any more.
local function asker(c, name, generation)
  local found = call('HMGET', c.base .. 'a:' .. name, 'u', 'g', 'd', 'n', 'ch')
  if found[3] and found[2] == generation and found[4] == c.node then
    return {name = name, uid = found[1], channel = found[5]}
  end
  return nil
end

-- Whoever asks is no session of this node's: was the node taken for dead?
local function stranger(c)
  return refused(call('ZSCORE', c.base .. 'nodes', c.node) and 'fenced' or 'dead')
end

-- A change that a session asks for: ARGV begins with account, generation, callid, ack and reply. One
-- that was made before is not made again; `body` returns why it is refused, or nil where it is made.
local function change(name, body, ...)
  define(name, function(c, args)
    local account = asker(c, args[4], args[5])
    if not account then
      return stranger(c)
    end
    local answer = known(c, args[4], args[6], args[7], args[8]) or body(c, args, account)
    if not answer then
      keep(c, args[4], args[6], args[8])
    end
    return answer
  end, ...)
end

-- From which version of a client on it takes messages that are bytes, as wire/login.py has it.
local BYTES_FROM = 1020000002

-- Is the account online with a client that takes bytes?
local function takes_bytes(c, name)
  local found = call('HMGET', c.base .. 'a:' .. name, 'd', 'vr')
  return found[1] and tonumber(found[2]) >= BYTES_FROM
end

local function uid_if_online(c, name)
  local found = call('HMGET', c.base .. 'a:' .. name, 'u', 'd')
  return found[2] and found[1] or '0'
end

-- The bytes of all that the app keeps, which are read once.

local function lacks_bytes(c, size)
  local most = c.bounds.app_bytes
  if size <= 0 or most == 0 then
    return false
  end
  c.bytes = c.bytes or tonumber(call('HGET', c.base .. 'app', 'b')) or 0
  return c.bytes + (c.counted.b or 0) + size > most
end

local function add_bytes(c, size)
  tally(c, 'b', size)
end
