#!/usr/bin/env bash
# Everything: dependencies, programs, images, and every test of the solution. The last line is "N passed, N failed";
# the exit code is 0 only when tests ran and none failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

results=out/test-results
started=$SECONDS
say() { printf 'test: %s\n' "$*" >&2; }
give_up() {
    say "$*"
    echo '0 passed, 1 failed'
    exit 1
}

make deps || give_up 'the dependencies could not be installed'
make build out/nested-host/cnvm-nested-host || give_up 'the programs could not be built'
# Images and the test assemblies do not wait for each other.
make images &
images=$!
say 'building the tests'
mkdir -p out
if ! dotnet build cnvm.sln -v q --nologo >out/test-build.log 2>&1; then
    grep -E 'error|warning' out/test-build.log | sort -u >&2 || cat out/test-build.log >&2
    kill "$images" 2>/dev/null || true
    give_up 'the tests could not be built'
fi
wait "$images" || give_up 'the guest images could not be made'

repeated=out/repeated-tests
rm -rf "$results" "$repeated"
say "running the tests ($((SECONDS - started)) s so far)"
status=0
# One assembly after the other: some measure, some run whole machines.
dotnet test cnvm.sln --no-build --nologo -m:1 --results-directory "$results" --logger trx --logger 'console;verbosity=minimal' \
    --blame-hang-timeout 20m --blame-hang-dump-type none | tee out/test.log || status=$?

# Totals of all assemblies, from the result files: <Counters total= executed= passed= failed= error= timeout= aborted= ... />
read -r passed failed skipped < <(
    find "$results" -name '*.trx' -exec grep -ho '<Counters [^>]*>' {} + 2>/dev/null \
        | awk '{
            split("", c)
            for (i = 2; i <= NF; i++) { split($i, kv, "="); gsub(/[^0-9]/, "", kv[2]); c[kv[1]] = kv[2] + 0 }
            passed += c["passed"]; skipped += c["total"] - c["executed"]; failed += c["executed"] - c["passed"]
        } END { print passed + 0, failed + 0, skipped + 0 }'
)
# Who has only the end of a long log finds there, in this order, what took long, what was repeated, and what failed. (Nothing here may close
# a pipe early: the writer would end by SIGPIPE, and this script with it.)
say "the longest:$(find "$results" -name '*.trx' -exec grep -ho '<UnitTestResult [^>]*>' {} + 2>/dev/null \
    | sed -nE 's/.* testName="([^"]*)".* duration="0*([0-9]+):([0-9]+):([0-9]+)[^"]*".*/\2 \3 \4 \1/p' \
    | awk '{ t = $1 * 3600 + $2 * 60 + $3; sub(/^[0-9]+ [0-9]+ [0-9]+ Cnvm\./, ""); gsub(/&quot;/, "\""); print t, $0 }' | sort -rn | awk 'NR <= 8 { s = $1; sub(/^[0-9]+ /, ""); printf "\n    %4d s  %s", s, $0 }')"
for report in "$repeated"/*; do
    [ -e "$report" ] || continue
    say 'failed in a nested host and was run again in a new one:'
    awk '/TCG doesn.t support/ || !NF { next } ++lines <= 5 { print "     " substr($0, 1, 300) }' "$report" >&2
done
# Each test that failed, with the first lines of its message.
awk '
    function show(line) { if (++lines <= 60) print "test:" line }
    /^ +Failed .*\[[^]]*\]$/ { show($0); left = 8; next }
    /^ +(Error Message|Stack Trace):$/ { if ($1 == "Stack") left = 0; next }
    left > 0 && NF { show("     " substr($0, 1, 300)); left-- }
' out/test.log >&2
if ((status != 0 && failed == 0)); then
    say "a test process ended abnormally (exit code $status)"
    failed=1
fi
if ((passed + failed == 0)); then
    say 'no test ran'
    status=1
fi
say "$((SECONDS - started)) s in all"
say "$skipped skipped"
echo "$passed passed, $failed failed"
((status == 0 && failed == 0))
