-- docs/messages.md, as far as it uses Markdown: headings, paragraphs, lists, `code`, [links](to). A message is a heading
-- "### `text`" with paragraphs below it, or an item "- `text`: what it means".
local messages = {}

local function plain_links(text)
    return (text:gsub("%[([^%]]*)%]%(.-%)", "%1"))
end

-- A list of {kind=, level=, text=, message=}: kind is "heading", "message", "item" or "paragraph". `message` is the text of
-- a message, of those that are one.
function messages.read(text)
    local blocks, now = {}, nil
    for line in (text .. "\n"):gmatch("([^\n]*)\n") do
        local marks, title = line:match("^(#+) (.+)$")
        local item = line:match("^%- (.+)$")
        if marks then
            local message = title:match("^`(.+)`$")
            now = { kind = message and "message" or "heading", level = #marks, text = title, message = message }
            blocks[#blocks + 1] = now
            now = nil
        elseif item then
            now = { kind = "item", text = item }
            blocks[#blocks + 1] = now
        elseif line == "" then
            now = nil
        elseif now then
            now.text = now.text .. " " .. line:gsub("^%s+", "")
        else
            now = { kind = "paragraph", text = line }
            blocks[#blocks + 1] = now
        end
    end
    for _, b in ipairs(blocks) do
        b.text = plain_links(b.text)
        if b.kind == "item" then
            b.message, b.rest = b.text:match("^`([^`]+)`:? ?(.*)$")
        end
    end
    return blocks
end

-- Write them to a page of man.lua, the title as the section DESCRIPTION.
function messages.write(page, blocks)
    local of_message = false
    for i, b in ipairs(blocks) do
        local before = blocks[i - 1]
        if b.kind == "heading" and b.level == 1 then
            page.section("description")
        elseif b.kind == "heading" and b.level == 2 then
            page.section(b.text)
        elseif b.kind == "heading" and b.level == 3 then
            page.subsection(b.text)
        elseif b.kind == "message" then
            page.line(".TP")
            page.line(".B " .. page.code(b.message))
        elseif b.kind == "item" and b.message then
            page.item(b.message, b.rest)
        elseif b.kind == "item" then
            page.bullet(b.text)
        elseif b.kind == "paragraph" and before and before.kind == "message" then
            page.text(b.text)
        elseif b.kind == "paragraph" and of_message then
            page.line(".IP")
            page.text(b.text)
        elseif b.kind == "paragraph" and before and before.kind == "heading" then
            page.text(b.text)
        elseif b.kind == "paragraph" then
            page.paragraph(b.text)
        end
        if b.kind ~= "paragraph" then of_message = b.kind == "message" end
    end
end

return messages
