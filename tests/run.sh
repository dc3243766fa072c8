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
for report in "$repeated"/*; do
    [ -e "$report" ] || continue
    say 'failed in a nested host and was run again in a new one:'
    grep -vE "TCG doesn't support|^ *$" "$report" | head -n 12 | cut -c1-200 >&2
done
# Who reads only the end of a long log finds there what failed: each test with the first lines of its message.
awk '
    /^ +Failed .*\[[^]]*\]$/ { print "test:" $0; left = 4; next }
    /^ +(Error Message|Stack Trace):$/ { if ($1 == "Stack") left = 0; next }
    left > 0 && NF { print "test:     " substr($0, 1, 300); left-- }
' out/test.log | head -n 60 >&2
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
