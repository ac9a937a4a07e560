-- One step of Charge; charge.rs is the same machine in Rust.
--
-- KEYS: the buckets. Each stores its theoretical arrival time: the moment (in microseconds) at which it is full again.
-- ARGV, for each bucket: the time in which an empty one is refilled, the time in which this cost is refilled, and the
-- mode, which decides what happens when the bucket does not cover the cost (0 enforced, 1 shadow, 2 refund).
-- Returns for each bucket the time until it is full, and the time until it covers the cost, 0 when it does.

local ENFORCED, REFUND = 0, 2

-- Parses a whole number; nil for anything else, and for one that a double does not represent exactly.
local function whole(text)
  if not text or #text > 16 or not string.find(text, '^%d+$') then return nil end
  local number = tonumber(text)
  if number > 9007199254740991 then return nil end
  return number
end

local function argument(bucket, place)
  return tonumber(ARGV[(bucket - 1) * 3 + place])
end

local debts, strays, waits = {}, {}, {}
local admitted = true
for at = 1, #KEYS do
  local full = argument(at, 1)
  local owed = (whole(redis.call('GET', KEYS[at])) or now) - now
  -- A debt above a full bucket means that the clock was set back, or that the policy has changed.
  strays[at] = owed > full
  debts[at] = math.min(math.max(owed, 0), full)
  waits[at] = math.max(debts[at] + argument(at, 2) - full, 0)
  if argument(at, 3) == ENFORCED and waits[at] > 0 then admitted = false end
end

local reply = {}
for at = 1, #KEYS do
  local cost, mode = argument(at, 2), argument(at, 3)
  local debt, wait = debts[at], waits[at]
  if mode == REFUND then
    debt, wait = math.max(debt - cost, 0), 0
  elseif admitted and wait == 0 then
    debt = debt + cost
  end
  if debt ~= debts[at] or strays[at] then
    local ttl = math.max(math.ceil(debt / 1000), 1)
    redis.call('SET', KEYS[at], string.format('%.0f', now + debt), 'PX', string.format('%.0f', ttl))
  end
  reply[2 * at - 1], reply[2 * at] = debt, wait
end
return reply
