-- GCRA over several buckets in one round trip: all are charged, or none.
--
-- KEYS[i]  the bucket i
-- ARGV[1]  the caller's time, microseconds since the epoch
-- ARGV[2]  how long a bucket outlives its refill, milliseconds
-- ARGV[3i], ARGV[3i+1], ARGV[3i+2]  for bucket i, in ticks: what to charge, the capacity, what drains each microsecond
--
-- A bucket is stored as "<at> <debt>": its debt in ticks at a moment in microseconds. The answer is 1 (charged) or 0,
-- then each bucket's moment and its debt before the charge.
--
-- Every number is a whole one below 2^53, which a Lua number, a double, holds exactly. The one product that may pass it,
-- the drain of a long time, is then larger than any debt however it is rounded.

local now = tonumber(ARGV[1])
local stored = redis.call('MGET', unpack(KEYS))
local allowed = 1
local answer = {1}

for i = 1, #KEYS do
  local at, debt = now, 0
  if stored[i] then
    local then_at, then_debt = string.match(stored[i], '^(%d+) (%d+)$')
    then_at, then_debt = tonumber(then_at), tonumber(then_debt)
    -- A bucket's time never goes backwards.
    if then_at > now then
      at, debt = then_at, then_debt
    else
      debt = math.max(0, then_debt - (now - then_at) * tonumber(ARGV[3 * i + 2]))
    end
  end
  local charge = tonumber(ARGV[3 * i])
  if charge > 0 and debt + charge > tonumber(ARGV[3 * i + 1]) then
    allowed = 0
  end
  answer[2 * i] = at
  answer[2 * i + 1] = debt
end

answer[1] = allowed
if allowed == 1 then
  for i = 1, #KEYS do
    local charge = tonumber(ARGV[3 * i])
    if charge > 0 then
      local at, debt = answer[2 * i], answer[2 * i + 1] + charge
      local full = (at - now) + debt / tonumber(ARGV[3 * i + 2])
      local lifetime = math.ceil(full / 1000) + tonumber(ARGV[2])
      -- Lua's own conversion to text would keep 14 digits.
      redis.call('SET', KEYS[i], string.format('%.0f %.0f', at, debt), 'PX', string.format('%.0f', lifetime))
    end
  end
end
return answer
