-- control flow of all kinds
local function fib(n)
  if n < 2 then
    return n
  end
  return fib(n - 1) + fib(n - 2)
end
print(fib(15))
local t = {}
for i = 1, 100 do
  t[i] = i * 2
end
local sum = 0
for _, v in ipairs(t) do
  sum = sum + v
end
for k, v in pairs(t) do
  sum = sum + k * v
end
print(sum)
local i = 0
while i < 50 do
  i = i + 1
  if i % 3 == 0 then goto continue end
  sum = sum - i
  ::continue::
end
print(sum)
repeat
  i = i - 1
until i <= 10
print(i)
for j = 10, 1, -3 do io.write(j, " ") end
print()
