#!/bin/sh
# First process of the nested host after its root is in place: network, the shared directory, the SSH server.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
start=/run/cnvm/start
hostname cnvm-nested-host
ip link set lo up
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up
. "$start/settings"
if [ -n "$LINK_ADDRESS" ]; then
    ip address add "$LINK_ADDRESS" dev eth1
    ip link set eth1 up
fi
if [ -n "$SHARED" ]; then
    mkdir -p "$SHARED"
    # No caching here: both sides write.
    mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=none shared "$SHARED" ||
        echo "CNVM-NESTED-FAILED cannot mount the shared directory"
fi
sysctl -q -w kernel.printk='4 4 1 7'
chmod 666 /dev/kvm
mkdir -p /root/.ssh /run/cnvm/pids
chmod 700 /root /root/.ssh
cp "$start/authorized_keys" /root/.ssh/authorized_keys
chmod 600 /root/.ssh/authorized_keys
# Every command goes through root's shell first; busybox starts many times faster here than bash.
ln -s busybox /run/cnvm/sh
echo /run/cnvm/sh >>/etc/shells
sed -i 's|^\(root:.*:\)[^:]*$|\1/run/cnvm/sh|' /etc/passwd
# Goes to the background as soon as it listens.
dropbear -r "$start/host-key" -s -p 22 -P /run/cnvm/dropbear.pid ||
    echo "CNVM-NESTED-FAILED dropbear does not start"
echo CNVM-NESTED-READY
# The first process reaps what others leave behind; `wait` does it as often as a child of ours ends.
while :; do
    sleep 1000000 &
    wait $!
done
