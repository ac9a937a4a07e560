-- One step of TakeSlot; slots.rs is the same machine in Rust.
--
-- KEYS: the number of sessions that the user may still open before somebody has to count them.
-- ARGV: how long the number is kept, in milliseconds.
-- Returns 1 after it took one of them, 0 when there is none left or the number is not known.

local stored = redis.call('GET', KEYS[1])
if not stored or #stored > 3 or not string.find(stored, '^[1-9]%d*$') then return {0} end
redis.call('SET', KEYS[1], string.format('%d', tonumber(stored) - 1), 'PX', ARGV[1])
return {1}
