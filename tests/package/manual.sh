#!/bin/bash
# The manual is whole: exported symbols, functions of the Lua module as it runs, options as --help has them, variables of the
# environment that the sources read, and fields of hooks are all in it, as pages and as HTML. Messages are messages.lua's. Then
# for each kind one is added to what there is, and one taken out of the manual: each must be noticed. manual.sh LIBRARY
set -uo pipefail
library=$1
source=$LJINSPECT_SOURCE
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

fail() {
    echo "FAILED: $*"
    failed=1
}

# ---- What there is, one name a line ----

symbols() { nm -D --defined-only "$1" | awk '{print $3}' | grep '^\(ljinspect\|luaopen\)_' | sort; }

# functions [LUA]: run first
functions() {
    luajit -e "local l = require 'ljinspect' ${1:-} for name, f in pairs(l) do
        if type(f) == 'function' then print(name) end end" | sort
}

# As "COMMAND --OPTION".
options() {
    local command
    for command in $("$1" --help | sed -n 's/^  \([a-z]\{1,\}\)  .*/\1/p'); do
        "$1" "$command" --help | grep -oE '^  (-[A-Za-z], |    )--[a-z-]+' | grep -oE -- '--[a-z-]+' | sed "s/^/$command /"
    done
}

# Of the environment: what getenv() and its like are given, and those in preload/config.c that read for others.
variables() {
    grep -rhoE 'char variable\[\] = "[A-Z_]+"' "$1" | sed 's/.*"\(.*\)"/\1/'
    grep -rhoE '(getenv|path_of|copy_of|number_in)\("[A-Z_]+"' "$1" | sed 's/.*"\(.*\)"/\1/' | sort -u
    grep -rhoE 'set_or_unset\("[A-Z_]+"' "$1" | sed 's/.*"\(.*\)"/\1/' | sort -u
}

# Of a hook in table form, of its capture, and of limits(): the names that the module takes.
fields() {
    awk '/^int lua_options_set_hook\(|^static bool take_capture\(|^int lua_options_limits\(/ { inside = 1 }
         inside && /names\[\] = / { text = ""; while (1) { text = text $0; if (/;/) break; getline }
                                    print text; inside = 0 }' "$1" | grep -oE '"[a-z_]+"' | tr -d '"' | sort -u
}

# ---- Whether they are in the manual: problems_of SYMBOLS FUNCTIONS OPTIONS VARIABLES FIELDS MAN HTML; each the file of a list, or
# the directory of pages ----

problems_of() {
    local name command option page man=$6 html=$7
    while read -r name; do
        page=$man/man3/$name.3
        [ ! -e "$page" ] || ! grep -q '^\.so' "$page" || page=$man/$(sed 's/^\.so //' "$page")
        grep -qsE "^\.SS (.*, )?$name\(\)" "$page" || echo "symbol $name: no page"
        grep -q "[> ]$name()" "$html"/ljinspect_*.3.html || echo "symbol $name: not in the HTML"
    done <"$1"
    while read -r name; do
        grep -q "^\.SS ljinspect\.$name(" "$man/man3/ljinspect-lua.3" || echo "Lua function $name: no entry"
        grep -q "id=\"ljinspect\.$name(" "$html/ljinspect-lua.3.html" || echo "Lua function $name: not in the HTML"
    done <"$2"
    while read -r command option; do
        awk -v name="$command" '/^\.S[SH]/ { inside = $0 == ".SS " name } inside && /^\.B \\-/' "$man/man1/ljinspect.1" |
            sed 's/\\-/-/g' | grep -qE -- "[ ,]$option([= ]|$)" || echo "option $command $option: no entry"
        grep -qF -- "$option" "$html/ljinspect.1.html" || echo "option $command $option: not in the HTML"
    done <"$3"
    while read -r name; do
        cat "$man/man1/ljinspect.1" "$man/man3/ljinspect.3" | awk '/^\.SH/ { inside = /ENVIRONMENT/ } inside' |
            grep -qx "\.B $name" || echo "variable $name: in no section ENVIRONMENT"
        grep -q "id=\"$name\"" "$html/ljinspect.1.html" "$html/ljinspect.3.html" || echo "variable $name: not in the HTML"
    done <"$4"
    while read -r name; do
        grep -qx "\.B $name" "$man/man5/ljinspect-hooks.5" || echo "field $name: not in ljinspect-hooks(5)"
        grep -q "<b>$name</b>" "$html/ljinspect-hooks.5.html" || echo "field $name: not in the HTML"
    done <"$5"
}

mkdir -p "$dir"/man/man{1,3,5,7} "$dir/html" "$dir/is"
luajit "$source/docs/manual/pages.lua" "$source" "$dir/man" || fail "what has no comment is not in the manual"
luajit "$source/docs/manual/html.lua" "$source" "$dir/man" "$dir/html" || fail "no HTML"
cp "$source/docs/ljinspect.1" "$dir/man/man1"
cp "$source/docs/ljinspect-hooks.5" "$dir/man/man5"
cd "$dir/is" || exit 1
symbols "$library" >symbols
functions >functions
options "$LJINSPECT_BUILD/ljinspect" >options
variables "$source/src" >variables
fields "$source/src/lua_options.c" >fields
wc -l symbols functions options variables fields
for at_least in 'symbols 30' 'functions 12' 'options 35' 'variables 9' 'fields 30'; do
    [ "$(wc -l <"${at_least% *}")" -ge "${at_least#* }" ] || fail "fewer than $at_least were found"
done
problems_of symbols functions options variables fields "$dir/man" "$dir/html" >"$dir/problems"
[ ! -s "$dir/problems" ] || fail "$(cat "$dir/problems")"

# ---- One more of each kind is noticed ----

# noticed WHAT [LIST]: a problem that has WHAT in it; LIST is in place of the list of WHAT's kind, the others are left out
noticed() {
    local what=$1 kind lists=()
    for kind in symbol Lua option variable field; do
        case $what in
        "$kind "*) lists+=("${2:-$(echo {symbols,functions,options,variables,fields} | tr ' ' '\n' | grep -i "^${kind/Lua/function}")}") ;;
        *) lists+=(/dev/null) ;;
        esac
    done
    problems_of "${lists[@]}" "$dir/man" "$dir/html" | grep "$what" >/dev/null || fail "not noticed: $what"
}

echo '__attribute__((visibility("default"))) void ljinspect_made_up(void) {}' >made_up.c
cc -shared -fPIC made_up.c -o made_up.so || fail "no compiler"
symbols made_up.so >more
noticed 'symbol ljinspect_made_up: no page' more
functions 'l.made_up = function() end' >more
noticed 'Lua function made_up: no entry' more
cat >command <<SH
#!/bin/sh
"$LJINSPECT_BUILD/ljinspect" "\$@"
[ "\$*" != "gc --help" ] || echo "  -m, --made-up  more"
SH
chmod +x command
options ./command >more
noticed 'option gc --made-up: no entry' more
mkdir sources
cp "$source"/src/*.c sources
echo 'const char *f(void) { return secure_getenv("LJINSPECT_MADE_UP"); }' >>sources/api.c
variables sources >more
noticed 'variable LJINSPECT_MADE_UP: in no section' more
sed 's/"condition"/"condition", "made_up"/' "$source/src/lua_options.c" >made_up.c
fields made_up.c >more
noticed 'field made_up: not in ljinspect-hooks' more

# ---- And one less in the manual ----

# lost WHAT FILE PATTERN: without the lines that match
lost() {
    cp "$dir/$2" "$dir/kept"
    sed -i "/$3/d" "$dir/$2"
    noticed "$1"
    mv "$dir/kept" "$dir/$2"
}

lost 'symbol ljinspect_poll: no page' man/man3/ljinspect_watch.3 '^\.SS ljinspect_poll'
lost 'symbol ljinspect_poll: not in the HTML' html/ljinspect_watch.3.html 'ljinspect_poll()'
lost 'Lua function watch: no entry' man/man3/ljinspect-lua.3 '^\.SS ljinspect\.watch'
lost 'Lua function watch: not in the HTML' html/ljinspect-lua.3.html 'id="ljinspect\.watch('
lost 'option record --off-cpu: no entry' man/man1/ljinspect.1 'off\\-cpu'
lost 'option record --off-cpu: not in the HTML' html/ljinspect.1.html '--off-cpu'
lost 'variable LJINSPECT_HITS: in no section' man/man1/ljinspect.1 '^\.B LJINSPECT_HITS'
lost 'variable LJINSPECT_HITS: not in the HTML' html/ljinspect.1.html 'LJINSPECT_HITS'
lost 'field per_second: not in ljinspect-hooks' man/man5/ljinspect-hooks.5 '^\.B per_second'
lost 'field per_second: not in the HTML' html/ljinspect-hooks.5.html 'per_second'

# A declaration, a field or a function of the module without a comment keeps the manual from being made.
mkdir -p tree/include
cp -r "$source/docs" "$source/editors" tree
# undocumented WHAT FILE SED
undocumented() {
    cp "$source/include/ljinspect.h" tree/include
    cp "$source/editors/lua/ljinspect.lua" tree/editors/lua
    sed -i "$3" "tree/$2"
    cmp -s "$source/$2" "tree/$2" && fail "nothing was changed for: $1"
    luajit tree/docs/manual/pages.lua tree "$dir/man" 2>said && fail "made all the same: $1"
    grep -q "$1" said || fail "not said: $1"
}
undocumented 'ljinspect_hit_line has no comment' include/ljinspect.h "/^\/\* The hook's line; at/d; /ljinspect_hit_key/s/\$/\n/"
undocumented 'ljinspect_status.hooks has no comment' include/ljinspect.h 's/int hooks;.*/int hooks;/'
undocumented 'ljinspect.poll has no text' editors/lua/ljinspect.lua '/^---Apply a change of the hooks file now/d'

# ---- The pages read well, and those in HTML need nothing else ----

luajit "$source/docs/manual/pages.lua" "$source" "$dir/man"
for page in "$dir"/man/man?/*; do
    grep -q '^\.so' "$page" && continue
    mandoc -Tlint -W warning "$page" || fail "mandoc: $page"
    groff -man -Tascii -ww "$page" 2>said >shown || fail "groff: $page"
    [ ! -s said ] || fail "groff warns: $(cat said)"
    mandoc -Tutf8 -Owidth=80 "$page" | sed 's/.\x08//g' | LC_ALL=C.UTF-8 grep -E '.{81}' && fail "wider than 80: $page"
done
for page in "$dir"/html/*.html; do
    if grep -noE '<(link|script|iframe)|(src|@import|url\()[ ="]*(https?:)?//' "$page"; then fail "$page needs the network"; fi
    while IFS= read -r to; do
        case $to in
        http*) continue ;;
        '#'*) to=${page##*/}$to ;;
        esac
        file=$dir/html/${to%%#*} id=${to#*#}
        [ -e "$file" ] || { fail "${page##*/} leads to $to, which is not there" && continue; }
        [ "$id" = "$to" ] || grep -qF "id=\"$id\"" "$file" || fail "${page##*/} leads to $to, which is not there"
    done < <(grep -oE 'href="[^"]+"' "$page" | sed 's/^href="//; s/"$//; s/&#47;/\//g' | sort -u)
done
exit $failed
