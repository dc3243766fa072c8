#!/bin/bash
# first-output.sh PROGRAM [ARGUMENT...]
#
# Prints the milliseconds from the execution of the program to the first line that it prints, once it has ended. Fails, with what it said of errors, when it
# prints none, is silent for five minutes, or does not end with 0.

set -u
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
start=$EPOCHREALTIME
exec 3< <(exec "$@" </dev/null 2>"$errors")
pid=$!
end=
if IFS= read -r -t 300 _ <&3; then
    end=$EPOCHREALTIME
    cat <&3 >/dev/null
else
    kill "$pid" 2>/dev/null
fi
wait "$pid"
code=$?
if [[ -z $end || $code != 0 ]]; then
    echo "exit code $code" >&2
    tail -n 30 "$errors" >&2
    exit 1
fi
echo $(((${end/./} - ${start/./}) / 1000))
