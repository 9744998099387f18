-- Where each node may be reached, as it says itself, for all apps: a hash of its own, in KEYS[1].
-- Owns: its form, and for how long what a node has said is so. Must not know what a place is.

-- ARGV: the place, empty where nobody is to come to this node; for how many seconds a place is one
-- Answers all places.
define('announce', function(c, args)
  local places = c.base
  if args[4] == '' then
    call('HDEL', places, c.node)
  else
    call('HSET', places, c.node, pack({c.now, args[4]}))
  end
  local since = c.now - tonumber(args[5])
  local found = {}
  local all = call('HGETALL', places)
  for at = 1, #all, 2 do
    local said = unpack_one(all[at + 1])
    if said[1] < since then
      call('HDEL', places, all[at])
    else
      found[#found + 1] = said[2]
    end
  end
  return {0, found}
end, 'allow-oom')
