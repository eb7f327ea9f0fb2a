#!/bin/bash
# Every code block of README, docs and the examples' READMEs has a line above it that says how it is tested (page.sh tells which there are), and every
# page with one that is run is run by ctest. What is not run is listed, with the reason that stands there. And links from page to
# page, and to their headings, lead somewhere.
set -euo pipefail
cd "$LJINSPECT_SOURCE"
pages=(README.md docs/*.md examples/*/README.md)
failed=0

for page in "${pages[@]}"; do
    awk -v page="$page" '
        function block(what) {
            if (mark == "") { printf "%s:%d: this %s is neither run nor marked\n", page, NR, what; bad = 1 }
            else if (mark ~ /^<!-- not run: .+ -->$/) {
                sub(/^<!-- not run: /, "", mark)
                sub(/ -->$/, "", mark)
                printf "%s:%d: not run: %s\n", page, NR, mark
            } else run++
        }
        inside { if (/^ *```/) inside = 0; mark = ""; next }
        /^<!-- run, not shown$/ { hidden = 1; run++ }
        hidden { if (/^-->$/) hidden = 0; next }
        /^<!-- (file: [^ ]+|run|run: (for PID|luajit|repository(; then: .+)?)|prints|not run: .+) -->$/ { mark = $0; next }
        /^<!--/ { printf "%s:%d: what is this mark? %s\n", page, NR, $0; bad = 1; next }
        /^ *```/ { block("block"); inside = 1; mark = ""; next }
        # Four spaces make a block too; in a list these are six.
        /^    / && empty && (!list || /^      /) { block("indented block") }
        /^(- |[0-9]+\. )/ { list = 1 }
        /^[^ ]/ && !/^(- |[0-9]+\. )/ && empty { list = 0 }
        { empty = /^$/ }
        mark != "" && !/^$/ { mark = "" }
        END { exit bad }' "$page" || failed=1
    if grep -qE '^<!-- run' "$page" && ! grep -qF "page.sh\" \"$page\"" "$LJINSPECT_BUILD/tests/CTestTestfile.cmake"; then
        echo "$page: no test runs it"
        failed=1
    fi
done

# A heading's anchor, as GitHub makes it.
anchors() { sed '/^```/,/^```/d' "$1" | sed -n 's/^#\{1,6\} //p' | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9\n_-'; }
for page in "${pages[@]}"; do
    while read -r link; do
        case $link in http*) continue ;; esac
        file=${link%%#*} anchor=
        [ "$file" = "$link" ] || anchor=${link#*#}
        file=${file:+$(dirname "$page")/$file}
        file=${file:-$page}
        if [ ! -e "$file" ] || { [ -n "$anchor" ] && ! anchors "$file" | grep -qxF -- "$anchor"; }; then
            echo "$page: a link leads nowhere: $link"
            failed=1
        fi
    done < <(sed '/^```/,/^```/d' "$page" | tr '\n' ' ' | grep -oE '\]\([^) ]+\)' | sed 's/^](//; s/)$//')
done
exit $failed
