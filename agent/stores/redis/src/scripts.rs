//! What is said to Redis: one script for each step, which Redis runs as one.
//!
//! A session is a hash: `s` whether it is there (0), left (1; its version is remembered) or ended (2),
//! `v` its version, `c` its commit, `e` when it ends or nothing, `b` its body. Those that are there and
//! end are in a sorted set by their ends, as `id:version`. Versions are below 2^53, so that Lua counts
//! them without a fault.

use fred::types::scripts::Script;

/// Redis's clock, in ms since 1970, and what there is.
const HEAD: &str = "
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local k = redis.call('HMGET', KEYS[1], 's', 'v', 'c', 'e', 'b')
local function at(ms) return string.format('%.0f', ms) end
local function unlisted() if k[2] then redis.call('ZREM', KEYS[2], ARGV[1] .. ':' .. k[2]) end end
";

/// ARGV: id.
const LOAD: &str = "
if k[1] ~= '0' then return {} end
if k[4] ~= '' and tonumber(k[4]) <= now then return {} end
return {k[2], k[3], k[4], k[5]}
";

/// ARGV: id, version, commit, end or nothing, body, for how long a record stays beyond its end.
const SAVE: &str = "
if k[1] == '2' then return {'ended'} end
if k[1] and tonumber(k[2]) >= tonumber(ARGV[2]) then
  if k[1] == '0' and k[2] == ARGV[2] and k[3] == ARGV[3] then return {'saved'} end
  return {'behind', k[2], k[3]}
end
if ARGV[4] ~= '' and tonumber(ARGV[4]) <= now then return {'late'} end
unlisted()
redis.call('HSET', KEYS[1], 's', '0', 'v', ARGV[2], 'c', ARGV[3], 'e', ARGV[4], 'b', ARGV[5])
if ARGV[4] == '' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIREAT', KEYS[1], at(tonumber(ARGV[4]) + tonumber(ARGV[6])))
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1] .. ':' .. ARGV[2])
end
return {'saved'}
";

/// ARGV: id, version, for how long it is remembered.
const TAKE: &str = "
if k[1] ~= '0' or tonumber(k[2]) > tonumber(ARGV[2]) then return {} end
unlisted()
redis.call('HDEL', KEYS[1], 'b')
redis.call('HSET', KEYS[1], 's', '1')
redis.call('PEXPIREAT', KEYS[1], at(now + tonumber(ARGV[3])))
return {}
";

/// ARGV: id, version, for how long it is remembered.
const END: &str = "
if k[1] == '2' then return {'before'} end
if k[1] == '0' and tonumber(k[2]) > tonumber(ARGV[2]) then return {'later'} end
unlisted()
redis.call('ZREM', KEYS[2], ARGV[1] .. ':' .. ARGV[2])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 's', '2')
redis.call('PEXPIREAT', KEYS[1], at(now + tonumber(ARGV[3])))
if k[1] == '0' then return {'now', k[2], k[3], k[4], k[5]} end
return {'absent'}
";

/// KEYS: the sorted set. ARGV: for how long they are over, how many to leave out, how many at most.
const OVER: &str = "
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local before = string.format('%.0f', now - tonumber(ARGV[1]))
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', before, 'LIMIT', ARGV[2], ARGV[3])
";

/// The scripts.
pub(crate) struct Scripts {
    pub(crate) load: Script,
    pub(crate) save: Script,
    pub(crate) take: Script,
    pub(crate) end: Script,
    pub(crate) over: Script,
}

// === impl Scripts ===

impl Scripts {
    pub(crate) fn new() -> Self {
        let script = |body: &str| Script::from_lua(format!("{HEAD}{body}"));
        Self {
            load: script(LOAD),
            save: script(SAVE),
            take: script(TAKE),
            end: script(END),
            over: Script::from_lua(OVER),
        }
    }
}
