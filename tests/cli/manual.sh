#!/bin/bash
# The manual page of the command: it has the options of each command's --help, no others, with the same words; and what
# else --help says. groff finds nothing wrong with it and its neighbour.
set -uo pipefail
page=$LJINSPECT_SOURCE/docs/ljinspect.1
ljinspect=$LJINSPECT_BUILD/ljinspect
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

fail() {
    echo "FAILED: $*"
    failed=1
}

# Words with one space between them. A page prints no "this".
words() { tr -s ' \n\t' ' ' | sed 's/print this/print help/g; s/^ //; s/ $//'; }

# Neither hyphens nor broken lines, and no bold letters.
groff -man -Tascii -P-cbou -ww -rLL=1000n -rHY=0 "$page" >"$dir/page" 2>"$dir/warnings" || fail "groff: status $?"
[ ! -s "$dir/warnings" ] || fail "groff warns: $(cat "$dir/warnings")"
groff -man -Tascii -ww "$LJINSPECT_SOURCE/docs/ljinspect-hooks.5" >"$dir/other" 2>"$dir/warnings" || fail "groff: status $?"
[ ! -s "$dir/warnings" ] || fail "groff warns: $(cat "$dir/warnings")"
all=$(words <"$dir/page")

in_page() { # WHERE PAGE TEXT
    case $2 in
    *"$3"*) ;;
    *) fail "$1: the page does not say '$3'" ;;
    esac
}

commands=$("$ljinspect" --help | sed -n 's/^  \([a-z]\{1,\}\)  .*/\1/p')
[ "$(echo "$commands" | wc -l)" -ge 7 ] || fail "ljinspect --help lists too few commands: $commands"
sections=$(sed -n 's/^\.SS //p' "$page")
[ "$(sort <<<"$commands")" = "$(sort <<<"$sections")" ] || fail "commands: $commands; in the page:" $sections
options=0
for command in $commands; do
    "$ljinspect" "$command" --help >"$dir/help" || fail "ljinspect $command --help: status $?"
    awk 'length > 80' "$dir/help" | grep . && fail "ljinspect $command --help is wider than 80 columns"
    section=$(awk -v name="   $command" '/^   [a-z]+$/ { inside = $0 == name; next } /^[A-Z]/ { inside = 0 } inside' "$dir/page" |
        words)

    # An option is a line that begins with it, and those below that are indented more.
    awk '/^  (    |-[A-Za-z], )--/ { if (text) print text; text = $0; next }
         /^   +/ && text { text = text " " $0; next }
         { if (text) print text; text = "" }' "$dir/help" >"$dir/options"
    while IFS= read -r option; do
        options=$((options + 1))
        in_page "ljinspect $command" "$section" "$(words <<<"$option")"
    done <"$dir/options"

    # The same ones.
    there=$(grep -oE '^ *(-[A-Za-z], )?--[a-z-]+' "$dir/options" | words)
    page_has=$(awk -v name="$command" '/^\.S[SH]/ { inside = $0 == ".SS " name } inside && /^\.B \\-/' "$page" |
        sed 's/^\.B //; s/\\-/-/g; s/=.*//' | words)
    [ "$there" = "$page_has" ] || fail "ljinspect $command: options $there; in the page: $page_has"

    # All else: usage, paragraphs, the example, the exit status.
    awk '/^  (    |-[A-Za-z], )--/ { option = 1; next } /^   +/ && option { next }
         { option = 0 } /^$/ { print text; text = ""; next } { sub(/^Usage: /, ""); text = text " " $0 } END { print text }' \
        "$dir/help" | sed 's/^ *Exit status: //' >"$dir/paragraphs"
    while IFS= read -r paragraph; do
        in_page "ljinspect $command" "$all" "$(words <<<"$paragraph")"
    done <"$dir/paragraphs"
done
[ "$options" -ge 30 ] || fail "only $options options were found in what --help says"

echo "$options options"
exit $failed
