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
# The kernel rewrites its own code (jump labels) when the first of some things appears and the last one goes: a VM (the scheduler's
# preemption notifiers), an APIC that software has not enabled, a vCPU without an APIC, a socket with time stamps. QEMU before 8.1 can
# keep a stale translation of code that one processor rewrites while another runs it: that processor then takes the breakpoint of the
# rewriting for ever, and the host stands still. So one of each exists from here on, made while there is only one processor (maxcpus=1);
# the others come in when all this is done.
perl -MPOSIX -e '
    my ($CREATE_VM, $CREATE_IRQCHIP, $CREATE_VCPU, $SO_TIMESTAMP) = (0xAE01, 0xAE60, 0xAE41, 29);
    open(my $kvm, "+<", "/dev/kvm") or die "/dev/kvm: $!";
    sub vm { my $fd = ioctl($kvm, $CREATE_VM, 0) or die "KVM_CREATE_VM: $!"; open(my $vm, "+<&=", $fd) or die $!; return $vm }
    my ($with, $without) = (vm(), vm());
    ioctl($with, $CREATE_IRQCHIP, 0) or die "KVM_CREATE_IRQCHIP: $!";
    ioctl($_, $CREATE_VCPU, 0) or die "KVM_CREATE_VCPU: $!" for $with, $without;
    socket(my $socket, 2, 2, 0) or die "socket: $!";
    setsockopt($socket, 1, $SO_TIMESTAMP, 1) or die "SO_TIMESTAMP: $!";
    my $child = fork;
    defined $child or die "fork: $!";
    $child ? POSIX::_exit(0) : sleep' || echo "CNVM-NESTED-FAILED cannot keep the kernel from rewriting its code"
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
for online in /sys/devices/system/cpu/cpu*/online; do
    # With one processor alone there is no such file.
    [ ! -e "$online" ] || [ "$(cat "$online")" = 1 ] || echo 1 >"$online" || echo "CNVM-NESTED-FAILED $online: no processor"
done
echo CNVM-NESTED-READY
# The first process reaps what others leave behind; `wait` does it as often as a child of ours ends.
while :; do
    sleep 1000000 &
    wait $!
done
