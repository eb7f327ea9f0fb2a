-- A program that knows nothing of breakpoints but this line: it watches the hooks file LJINSPECT_HOOKS_FILE names.
require("ljinspect").watch {}

-- What it does: it prices shopping carts, as fast as it can, and reports its speed twice a second.
-- Usage: luajit app.lua [REPORTS]
local reports = tonumber(arg[1] or 20)
local customers = { "alice", "bob", "carol", "dave" }

local function new_cart(i)
    local cart = { customer = customers[i % #customers + 1] }
    for n = 1, 3 do
        cart[n] = { quantity = (i + n) % 5 + 1, unit_price = 10 * n }
    end
    return cart
end

local function price(cart, rebate)
    local customer, total = cart.customer, 0
    for _, item in ipairs(cart) do
        total = total + item.quantity * item.unit_price
    end
    local due = total - total * rebate
    return due -- hooks.lua sets its hook on this line
end

-- One batch: always the same carts, so always the same sum.
local function batch()
    local sum = 0
    for i = 1, 1000 do
        sum = sum + price(new_cart(i), 0.25)
    end
    return sum
end

local expected = batch()
local batches, started = 0, os.clock()
local reported = 0
while reported < reports do
    if batch() ~= expected then error("a batch gave another result than the first one") end
    batches = batches + 1
    local elapsed = os.clock() - started
    if elapsed >= 0.5 then
        print(("app: %9d carts/s"):format(batches * 1000 / elapsed))
        io.stdout:flush()
        batches, started = 0, os.clock()
        reported = reported + 1
    end
end
print("app: done, every batch gave the same result: " .. expected)
