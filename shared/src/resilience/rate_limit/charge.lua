-- One step of Charge (charge.rs), which is the same in Rust.
--
-- KEYS: the buckets. Each holds its theoretical arrival time: the moment (in microseconds) at which it is full again.
-- ARGV, for each bucket: the time in which an empty one becomes full, the time in which this price comes back, and
-- what it means when the price can't be paid (0 deny, 1 only tell, 2 take what is there).
-- Returns for each bucket the time until it is full and the time until it could pay, 0 when it could.

local ENFORCED, DEBIT = 0, 2

-- The whole number that a text is; nil for anything else, and for what a double can't hold.
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
  -- More than a full bucket can't be owed: the clock was set back, or the policy has changed.
  strays[at] = owed > full
  debts[at] = math.min(math.max(owed, 0), full)
  waits[at] = math.max(debts[at] + argument(at, 2) - full, 0)
  if argument(at, 3) == ENFORCED and waits[at] > 0 then admitted = false end
end

local reply = {}
for at = 1, #KEYS do
  local full, price, mode = argument(at, 1), argument(at, 2), argument(at, 3)
  local debt, wait = debts[at], waits[at]
  if mode == DEBIT then
    debt, wait = math.min(debt + price, full), 0
  elseif admitted and wait == 0 then
    debt = debt + price
  end
  if debt ~= debts[at] or strays[at] then
    local life = math.ceil(debt / 1000)
    redis.call('SET', KEYS[at], string.format('%.0f', now + debt), 'PX', string.format('%.0f', life))
  end
  reply[2 * at - 1], reply[2 * at] = debt, wait
end
return reply
