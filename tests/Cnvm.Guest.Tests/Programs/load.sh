#!/bin/bash
# load.sh SECONDS WORKERS PERL: work whose results are known, for a Debian guest: compression, encryption, a disk that is read back, sorting,
# arithmetic (PERL is what perl must print) and many short processes. Ends with "load: rounds=N errors=N".
set -u
export LC_ALL=C
end=$((SECONDS + $1))
folder=$(mktemp -d /root/load.XXXXXX)
data=$folder/data
head -c 2M /dev/urandom >"$data"
sum=$(sha256sum <"$data")
key=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
iv=0123456789abcdef0123456789abcdef
perl_result=$3

expect() {
    if [[ $2 != "$3" ]]; then
        echo "load: ERROR $1: '$2' instead of '$3'"
        echo error >>"$folder/errors"
    fi
}

work() {
    while ((SECONDS < end)); do
        expect gzip "$(gzip -6 <"$data" | gunzip | sha256sum)" "$sum"
        expect openssl "$(openssl enc -aes-256-cbc -K $key -iv $iv -in "$data" | openssl enc -d -aes-256-cbc -K $key -iv $iv | sha256sum)" "$sum"
        cp "$data" "$folder/copy-$1"
        sync "$folder/copy-$1"
        expect disk "$(dd if="$folder/copy-$1" bs=128k iflag=direct 2>/dev/null | sha256sum)" "$sum"
        expect sort "$(seq 5000 | sort -R | sort -n | md5sum)" "$(seq 5000 | md5sum)"
        expect perl "$(perl -e '$s = 0; for (1 .. 100000) { $s = ($s * 3 + $_) % 1000003 } print $s, " ", int(sqrt(2) * 1e15)')" "$perl_result"
        expect processes "$(for ((i = 0; i < 60; i++)); do /bin/echo $i; done | md5sum)" "$(seq 0 59 | md5sum)"
        echo round >>"$folder/rounds"
    done
}

for ((n = 1; n <= $2; n++)); do
    work $n &
done
wait
touch "$folder/rounds" "$folder/errors"
echo "load: rounds=$(wc -l <"$folder/rounds") errors=$(wc -l <"$folder/errors")"
rm -rf "$folder"
