#!/bin/bash
# The page that ljinspect record writes, in a browser: it draws, zooms, searches, reverses, and fills its tables.
. "$(dirname "$0")/lib.sh"

start luajit "$here/shares.lua"
sleep 0.2
"$ljinspect" record -F 500 -d 3 -o "$work/page.html" "$pid" 2>"$work/said" || cat "$work/said"
stop "$pid"
check "a page was written" test -s "$work/page.html"

# What a user does, in a script behind the page's own, which leaves what it saw in an element.
sed 's,</body>,,; s,</html>,,' "$work/page.html" >"$work/used.html"
cat >>"$work/used.html" <<'END'
<pre id="seen"></pre>
<script>
const seen = [], frames = () => [...document.querySelectorAll(".frame")];
const named = (text) => frames().find((f) => f.dataset.label.startsWith(text));
const width = (f) => f ? parseFloat(f.style.width) : -1;
const note = (what, value) => seen.push(what + "=" + value);
window.onerror = (message) => note("error", message);
note("title", document.title.startsWith("ljinspect: process"));
note("two", width(named("two@")) > 35 && width(named("two@")) < 65);
note("all", width(named("all")));
named("two@").click();
note("zoomed", width(named("two@")));
note("others", !named("one@"));
note("detail", byId("detail").textContent.startsWith("two@"));
byId("reset").click();
note("reset", width(named("two@")) < 65 && !!named("one@"));
byId("search").value = "three@";
byId("search").oninput();
note("hits", document.querySelectorAll(".hit").length > 0 && [...document.querySelectorAll(".hit")].every((f) => f.dataset.label.startsWith("three@")));
note("matched", /found in (1\d|2\d)\.\d+ %/.test(byId("matched").textContent));
byId("search").value = "/^(one|two)@/";
byId("search").oninput();
note("pattern", new Set([...document.querySelectorAll(".hit")].map((f) => f.dataset.label.slice(0, 4))).size);
byId("reverse").click();
note("reversed", frames().some((f) => f.dataset.label.startsWith("main@")) && width(named("all")) === 100);
note("tables", document.querySelectorAll("table").length + "," + (document.querySelectorAll("tbody tr").length > 6));
byId("reverse").click();
byId("seen").textContent = seen.join("\n");
</script></body></html>
END
browse() {
    timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$work/browser" \
        --window-size=1200,800 "$@" "file://$work/used.html" 2>"$work/err"
}
browse --dump-dom >"$work/dom"
expected='title=true two=true all=100 zoomed=100 others=true detail=true reset=true hits=true matched=true pattern=2 reversed=true tables=2,true'
check "what a user does works" same "$expected" \
    "$(sed -n '/<pre id="seen">/,/<\/pre>/p' "$work/dom" | sed 's/<[^>]*>//g' | xargs)"
browse --screenshot="$work/page.png" >/dev/null
check "a screenshot can be taken" [ "$(head -c 4 "$work/page.png" | tail -c 3)" = PNG ]
[ -z "${LJINSPECT_KEEP:-}" ] || cp "$work/page.png" "$work/page.html" "$LJINSPECT_KEEP"
finished
