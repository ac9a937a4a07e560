-- One step of OpenSession; known.rs is the same machine in Rust.
--
-- KEYS: what is known of a user's living sessions, as text: after how many more logins they are read, how many the
-- user may still open, and each of them, the one refreshed first at the front: ' ' id ':' milliseconds since the epoch.
-- ARGV: how long that is kept, in milliseconds; the new session: its id in four numbers of 32 bits, and its time.
-- Instead of all that, 'r' and an id: that session's login is reading the sessions; 'r' alone: several are.
-- Returns 0 when the sessions have to be read; 1 when one was free; 2 and a session, in the form of ARGV, which has to
-- end instead.

local stored = redis.call('GET', KEYS[1]) or ''
local id = string.format('%08x%08x%08x%08x', ARGV[2], ARGV[3], ARGV[4], ARGV[5])

local function read()
  local reader = string.match(stored, '^r') and 'r' or 'r' .. id
  redis.call('SET', KEYS[1], reader, 'PX', '10000')
  return {0}
end

local left, free, sessions = string.match(stored, '^([1-9]%d?%d?) (%d%d?%d?)(.*)$')
if not left or string.find(sessions, ' ' .. id .. ':', 1, true) then return read() end

local reply = {1}
if tonumber(free) > 0 then
  free = free - 1
else
  local word, time = '(' .. string.rep('[0-9a-f]', 8) .. ')', '(' .. string.rep('%d', 13) .. ')'
  local a, b, c, d, at, others = string.match(sessions, '^ ' .. string.rep(word, 4) .. ':' .. time .. '(.*)$')
  if not a then return read() end
  reply = {2, tonumber(a, 16), tonumber(b, 16), tonumber(c, 16), tonumber(d, 16), tonumber(at)}
  free, sessions = 0, others
end

-- Whether the session in this text was refreshed after the new one; of the same time, whether its id is greater.
local function is_after(text)
  local word = '(' .. string.rep('[0-9a-f]', 8) .. ')'
  local found = {string.match(text, '^ ' .. string.rep(word, 4) .. ':(' .. string.rep('%d', 13) .. ')$')}
  if not found[1] then return false end
  local time, new_time = tonumber(found[5]), tonumber(ARGV[6])
  if time ~= new_time then return time > new_time end
  for at = 1, 4 do
    local part, new_part = tonumber(found[at], 16), tonumber(ARGV[at + 1])
    if part ~= new_part then return part > new_part end
  end
  return false
end

local length, after = 47, ''
while #sessions >= length and is_after(string.sub(sessions, -length)) do
  after = string.sub(sessions, -length) .. after
  sessions = string.sub(sessions, 1, -length - 1)
end
local new = string.format(' %s:%013.0f', id, ARGV[6])
redis.call('SET', KEYS[1], string.format('%d %d', left - 1, free) .. sessions .. new .. after, 'PX', ARGV[1])
return reply
