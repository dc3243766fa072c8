#!/bin/bash
# userspace.sh TEXT PROGRAM [ARGUMENT...]
#
# Prints the milliseconds from the execution of the program until it has printed TEXT, and ends it. Fails, with what it printed,
# when it ends before or stays silent for a minute.

set -u
text=$1
shift
output=
# A console that stays open and silent: at its end the guest's shell would end, and with it the guest.
input=$(mktemp -u)
mkfifo "$input"
exec 4<>"$input"
rm "$input"
start=$EPOCHREALTIME
exec 3< <(exec "$@" <&4 2>&1)
pid=$!
while IFS= read -r -t 60 line <&3; do
    output+=$line$'\n'
    if [[ $line == *"$text"* ]]; then
        end=$EPOCHREALTIME
        kill -9 "$pid"
        echo $(((${end/./} - ${start/./}) / 1000))
        exit 0
    fi
done
kill -9 "$pid" 2>/dev/null
printf '%s' "$output" | tail -n 30 >&2
exit 1
