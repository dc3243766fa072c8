#!/usr/bin/env bash
# bench/run.sh [--filter TEXT] [--runs N] [--list] [--json FILE]   cnvm and its peers side by side (Cnvm.Bench)
# bench/run.sh micro [--check | BenchmarkDotNet arguments]          paths inside the program (Cnvm.Micro)
# 'make bench BENCH_ARGS=...' passes arguments on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

# shellcheck disable=SC2086
set -- "$@" ${BENCH_ARGS-}
program=Cnvm.Bench
if [[ ${1-} == micro ]]; then
    program=Cnvm.Micro
    shift
    (($#)) || set -- --filter '*'
fi

mkdir -p out
log=out/bench-build.log
if ! dotnet build "bench/$program" -c Release -o "out/bench/$program" -v q --nologo >"$log" 2>&1; then
    grep -E 'error|warning' "$log" | sort -u >&2 || cat "$log" >&2
    exit 1
fi
# BenchmarkDotNet leaves its reports where it is started.
directory=$PWD
if [[ $program == Cnvm.Micro ]]; then
    cd out/bench
fi
exec dotnet "$directory/out/bench/$program/$program.dll" "$@"
