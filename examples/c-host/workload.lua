-- What the host runs: prices orders, in a loop that LuaJIT compiles.
local function price(order)
    local amount = order.quantity * order.unit_price
    local discount = order.quantity > 90 and amount / 10 or 0
    return amount - discount -- main.c sets its hook on this line
end

-- Price `n` orders and return the sum.
function run(n)
    local order = { quantity = 0, unit_price = 0 }
    local sum = 0
    for i = 1, n do
        order.quantity = i % 100
        order.unit_price = i % 7 + 1
        sum = sum + price(order)
    end
    return sum
end
