#!/bin/sh
# In the guest: writes one file after the other, each on the disk before the next one, and their sums, until /root/stop is there.
mkdir -p /root/data
i=0
while [ ! -e /root/stop ]; do
    head -c 200000 /dev/urandom >/root/data/$i
    (cd /root/data && sha256sum $i) >>/root/sums
    sync
    i=$((i + 1))
    sleep 0.5
done
echo done >/root/stopped
