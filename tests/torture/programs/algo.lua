-- heavier programs: the JIT would compile all of this
local function sieve(n)
  local p = {}
  for i = 2, n do p[i] = true end
  for i = 2, n do
    if p[i] then
      for j = i * i, n, i do
        p[j] = false
      end
    end
  end
  local c = 0
  for i = 2, n do if p[i] then c = c + 1 end end
  return c
end
print(sieve(5000))
local function queens(n)
  local count, cols, d1, d2 = 0, {}, {}, {}
  local function place(r)
    if r > n then count = count + 1 return end
    for c = 1, n do
      if not cols[c] and not d1[r + c] and not d2[r - c + n] then
        cols[c], d1[r + c], d2[r - c + n] = true, true, true
        place(r + 1)
        cols[c], d1[r + c], d2[r - c + n] = nil, nil, nil
      end
    end
  end
  place(1)
  return count
end
print(queens(7))
local function mandel(w)
  local out = {}
  for y = 0, w - 1 do
    local ci = 2 * y / w - 1
    local row = {}
    for x = 0, w - 1 do
      local cr = 2 * x / w - 1.5
      local zr, zi, i = 0, 0, 0
      while i < 30 and zr * zr + zi * zi < 4 do
        zr, zi = zr * zr - zi * zi + cr, 2 * zr * zi + ci
        i = i + 1
      end
      row[#row + 1] = i == 30 and "#" or i > 5 and "+" or "."
    end
    out[#out + 1] = table.concat(row)
  end
  return table.concat(out, "\n")
end
print(mandel(30))
local function nbody(steps)
  local bodies = {
    { x = 0, y = 0, vx = 0, vy = 0, m = 10 },
    { x = 5, y = 0, vx = 0, vy = 1, m = 1 },
    { x = 0, y = 8, vx = -1, vy = 0, m = 0.5 },
  }
  for s = 1, steps do
    for i, b in ipairs(bodies) do
      for j = i + 1, #bodies do
        local c = bodies[j]
        local dx, dy = b.x - c.x, b.y - c.y
        local d = (dx * dx + dy * dy) ^ 1.5
        local f = 0.01 / d
        b.vx, b.vy = b.vx - dx * c.m * f, b.vy - dy * c.m * f
        c.vx, c.vy = c.vx + dx * b.m * f, c.vy + dy * b.m * f
      end
    end
    for _, b in ipairs(bodies) do
      b.x = b.x + b.vx * 0.01
      b.y = b.y + b.vy * 0.01
    end
  end
  return string.format("%.9f %.9f", bodies[1].x, bodies[2].y)
end
print(nbody(2000))
local function bintree(d)
  if d == 0 then return {} end
  return { bintree(d - 1), bintree(d - 1) }
end
local function check(t)
  if t[1] then
    return 1 + check(t[1]) + check(t[2])
  end
  return 1
end
for d = 2, 10, 2 do print(d, check(bintree(d))) end
local function fannkuch(n)
  local p, q, s, sign, maxflips, sum = {}, {}, {}, 1, 0, 0
  for i = 1, n do p[i] = i; q[i] = i; s[i] = i end
  repeat
    local q0 = p[1]
    if q0 ~= 1 then
      for i = 2, n do q[i] = p[i] end
      local flips = 1
      while true do
        local qq = q[q0]
        if qq == 1 then
          sum = sum + sign * flips
          if flips > maxflips then maxflips = flips end
          break
        end
        q[q0] = q0
        if q0 >= 4 then
          local i, j = 2, q0 - 1
          repeat q[i], q[j] = q[j], q[i]; i = i + 1; j = j - 1; until i >= j
        end
        q0 = qq; flips = flips + 1
      end
    end
    if sign == 1 then
      p[1], p[2] = p[2], p[1]; sign = -1
    else
      p[2], p[3] = p[3], p[2]; sign = 1
      for i = 3, n do
        local sx = s[i]
        if sx ~= 1 then s[i] = sx - 1; break end
        if i == n then return sum, maxflips end
        s[i] = i
        local t = p[1]; for j = 1, i do p[j] = p[j + 1] end; p[i + 1] = t
      end
    end
  until false
end
print(fannkuch(7))
local Queue = {} Queue.__index = Queue
function Queue.new() return setmetatable({ first = 1, last = 0, items = {} }, Queue) end
function Queue:push(v)
  self.last = self.last + 1
  self.items[self.last] = v
end
function Queue:pop()
  local v = self.items[self.first]
  self.items[self.first] = nil
  self.first = self.first + 1
  return v
end
local q, s = Queue.new(), 0
for i = 1, 3000 do
  q:push(i)
  if i % 3 == 0 then s = s + q:pop() end
end
print(s)
local bit = require("bit")
local h = 0
for i = 1, 5000 do
  h = bit.bxor(bit.rol(h, 5), i)
  h = bit.band(h, 0xffffff)
end
print(h)
local memo = {}
for i = 1, 500 do
  memo[-i] = i
  memo[i] = function() return i end
end
local c = 0
for k, v in pairs(memo) do if k > 0 then c = c + v() end end
print(c)
local sorted = {}
local seed = 42
for i = 1, 500 do seed = (seed * 1103515245 + 12345) % 2147483648 sorted[i] = seed % 1000 end
table.sort(sorted, function(a, b) return a > b end)
local ok = true
for i = 2, #sorted do
  ok = ok and sorted[i - 1] >= sorted[i]
end
print(ok, sorted[1])
