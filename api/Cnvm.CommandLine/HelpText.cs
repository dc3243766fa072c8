namespace Cnvm.CommandLine;

/// <summary>What <c>--help</c> prints.</summary>
internal static class HelpText
{
    public const string Text =
        """
        cnvm-vmm: runs one virtual machine on /dev/kvm.

        Usage:
          cnvm-vmm --kernel FILE [flags]        boot a VM now
          cnvm-vmm --api-socket PATH [flags]    wait for requests on a Unix socket
          Both together boot a VM that can be asked things afterwards.

        Examples:
          Boot a kernel with a disk; its first serial port is this terminal (Ctrl-A x quits):
            cnvm-vmm --kernel vmlinux --cmdline 'console=ttyS0 root=/dev/vda1 rw' \
                --disk path=debian.ext4 --serial tty --console off
          Two vCPUs, 2 GiB, a network interface made for the VM, and an API socket:
            cnvm-vmm --kernel vmlinux --initramfs initramfs.cpio --cpus boot=2 --memory size=2G \
                --net tap=vm0,ip=192.168.249.1,mask=255.255.255.0 --api-socket /tmp/vm.sock
          Ask it:
            curl --unix-socket /tmp/vm.sock http://localhost/api/v1/vm.info
            curl --unix-socket /tmp/vm.sock -X PUT http://localhost/api/v1/vm.power-button

        Values:
          A value of several keys is written key=value,key=value. Switches are on or off. Sizes are bytes, or a
          number with K, M, G or T. Lists are [a,b], number lists may have ranges ([0-3,8]). Text with a comma goes
          into double quotes. Flags that end in ... take several values, and may be repeated.

        What the machine starts:
          --kernel FILE          ELF vmlinux or bzImage
          --cmdline TEXT         the kernel's command line
          --initramfs FILE       initial root file system, loaded beside the kernel

        CPUs and memory:
          --cpus KEYS            boot=N          vCPUs (1); the number alone will do: --cpus 2
                                 max=N           vCPUs that there can be (boot); more come with vm.resize
                                 topology=T:C:D:P  threads per core, cores per die, dies per package, packages
                                 max_phys_bits=N physical address width (46)
                                 affinity=[V@[HOST_CPUS],...]  host CPUs for vCPU V
                                 nested=on|off   let the guest run VMs itself (on)
                                 profile=NAME    host (default), x86-64-v2, x86-64-v3, x86-64-v4, or a file: which
                                                 processor the guest sees, so that other hosts can run it
                                 features=[NAME,...]  features beside the profile's; with - before the name, hidden
          --memory KEYS          size=SIZE       RAM (512M); the size alone will do: --memory 2G
                                 shared, mergeable, hugepages, prefault, reserve = on|off (off)
                                 hugepage_size=SIZE   size of a huge page (the host's default)
                                 thp=on|off      ask for transparent huge pages (on)
                                 hotplug_size=SIZE    room for RAM that comes while the guest runs (cnvm resize)
                                 hotplugged_size=SIZE how much of size is already there in that way
          --memory-zone KEYS...  id=NAME,size=SIZE[,file=PATH] and switches as above. Zones replace size= of --memory.

        Devices:
          --disk KEYS...         path=FILE       image (raw, qcow2, VHD, VHDX) or block device
                                 readonly, direct = on|off (off)
                                 num_queues=N (1), queue_size=N (128), serial=TEXT
                                 queue_affinity=[Q@[HOST_CPUS],...]  host CPUs for the thread of queue Q
                                 image_type=raw|qcow2|fixedvhd|vhdx|unknown   format (unknown: by its looks; what looks
                                                 raw or like a fixed VHD keeps its first sector)
                                 backing_files=on|off (off)   a qcow2 image may build on the files that it names
                                 sparse=on|off (on)   what the guest discards is given back to the host
                                 lock_granularity=byte-range|full (byte-range)
                                 vhost_user=on,socket=PATH   in place of path=: a vhost-user back end has the image
                                                 (with --memory shared=on, as for all of them)
                                 id=NAME, pci_segment=N (0), pci_device_id=N
          --net KEYS...          tap=NAME        attach this (TAP or macvtap), or create it (named by the kernel if left out)
                                 fd=[N,...]      open TAP descriptors instead
                                 ip=ADDR, mask=MASK, host_mac=MAC   for the host's end
                                 mac=MAC         for the guest's end (random; a macvtap's own)
                                 mtu=N, num_queues=N (2: one pair), queue_size=N (256)
                                 offload_tso, offload_ufo, offload_csum = on|off (on)
                                 passt=on        in place of tap=: a passt that the VMM starts, without root; then
                                 tcp_ports=[RULE,...], udp_ports=[RULE,...]   [ADDRESS/]PORTS[:GUEST PORTS], such as 8080:80
                                 guest_ip=ADDR/BITS, gateway=ADDR   IPv4 that its DHCP tells the guest (the host's own)
                                 socket=PATH     in place of tap=: the socket of passt, which needs no root, or of another
                                                 program that takes and gives frames as QEMU's stream networks do
                                 vhost_user=on,socket=PATH,vhost_mode=client|server (client)   in place of tap=: a
                                                 vhost-user back end; server: it connects to the VMM
                                 id=NAME, pci_segment=N (0), pci_device_id=N
          --rate-limit-group KEYS...  id=NAME and limits as below: disks with rate_limit_group=NAME share them
                                 Limits of --disk, --net and groups: bw_size=SIZE, ops_size=N (tokens in the bucket),
                                 bw_refill_time, ops_refill_time = MILLISECONDS (until an empty one is full),
                                 bw_one_time_burst=SIZE, ops_one_time_burst=N (at the start on top)
          --rng KEYS             src=FILE        source of randomness (/dev/urandom)
          --vsock KEYS           cid=N           the guest's context id, from 3
                                 socket=PATH     host programs write "CONNECT PORT" there; a guest that connects to
                                                 port N of the host reaches the socket PATH_N
                                 id=NAME, pci_segment=N (0), pci_device_id=N
          --fs KEYS...           tag=NAME        what the guest mounts: mount -t virtiofs NAME /mnt
                                 path=FOLDER     the host's folder
                                 socket=PATH     in place of path=: a vhost-user back end has the folder (virtiofsd)
                                 readonly=on|off (off)   every change is refused
                                 cache=auto|always|none (auto)   the guest asks again after a second; keeps all, and its
                                                 writes for a while, for folders that it has alone; keeps nothing
                                 locks=on|off (off)   flock and fcntl locks hold for the host and other VMs too
                                 uid_map=[GUEST:HOST:COUNT,...], gid_map=[...]   owners with other numbers on the host
                                                 than in the guest; who is in no range is nobody (as root only)
                                 num_queues=N (1), queue_size=N (1024)
                                 id=NAME, pci_segment=N (0), pci_device_id=N
          --balloon KEYS         size=SIZE       RAM that the guest is asked to give up; vm.resize changes it
                                 deflate_on_oom=on|off   it may take some back when it runs out of memory (off)
                                 free_page_reporting=on|off   free pages go back to the host by themselves (off)
                                 statistics=on|off   vm.counters has the guest's figures of its memory (off)
                                 id=NAME, pci_segment=N (0), pci_device_id=N
          --serial MODE          off | null | tty | pty | file=PATH | socket=PATH   the first serial port (null)
          --console MODE         off | null | tty | pty | file=PATH   the virtio console (tty)
          --debug-console MODE   off | null | tty | pty | file=PATH [,iobase=PORT]   the debug port (off, 0xe9)
                                 file=PATH,file_size=SIZE   of all three: at most so much is kept, the newest
          --pvpanic              a device through which the guest reports a panic
          --watchdog             a device that resets a guest which has reported to it and then stops for 20 seconds

        The machine:
          --machine PROFILE      cloud: PCI and ACPI (default); microvm: virtio-mmio, PIC and PIT
          --platform KEYS        num_pci_segments=N (1, at most 96), machine_profile=cloud|microvm
                                 vmgenid=on|off (on)   the guest learns that it goes on from a snapshot (ACPI)
                                 vmclock=on|off (on)   it can see that its clock was disrupted by that or by a move (ACPI)
                                 system_serial_number, system_uuid, oem_strings=[TEXT,...], system_manufacturer,
                                 system_product_name, system_version, system_family, system_sku_number,
                                 chassis_asset_tag = TEXT

          --pci-segment KEYS...  pci_segment=N, mmio32_aperture_weight=N (1), mmio64_aperture_weight=N (1)

        Cloud Hypervisor's flags that are read, and refused by name as long as cnvm does not have what they ask for:
          --device --firmware --generic-vhost-user --landlock --landlock-rules --numa --pmem
          --rtc --tpm --user-device --vdpa

        The VMM:
          --api-socket WHERE     PATH, path=PATH or fd=N: serve the REST API there
          --name NAME            what `cnvm` calls this VM (made of the socket's file name); without --api-socket
                                 the socket is made where cnvm looks for it
          --event-monitor WHERE  path=PATH or fd=N: write a JSON object for each event there
          --restore KEYS         source_url=file:///FOLDER   make the VM from this snapshot, without the flags above
                                 memory_restore_mode=copy|ondemand (copy), prefault=on|off (off)
                                 resume=on|off   let the guest go on at once; otherwise it is paused (off)
                                 net_fds=[ID@[N,...],...]  TAP descriptors for interfaces that had such
                                 net_overrides=[ID@MAC,...]  other addresses for interfaces
                                 disk_overrides=[ID@PATH,...]  disks that lie elsewhere than they did
                                 vsock_socket=PATH   where virtio sockets are served instead
                                 clock=hold|advance   the guest's clocks go on where they stood, or have gone on (hold)
          --no-shutdown          keep running when the guest powers off
          --log-file FILE        log there and not on stderr
          --log-format TEXT      with {boottime} {thread} {level} {location} {msg} {pid}
          -v, -vv, -vvv          log info, debug, trace as well (warnings and errors are always logged)
          --hypervisor NAME      auto (default): kvm where it runs ordinary guests, else soft, saying why; kvm; soft:
                                 the software vCPU, which needs no KVM
          --host-capabilities    print what this host and hypervisor can run, as JSON, and end (see `cnvm check`)
          --seccomp MODE         true, false, log or errno: accepted; system call filters come later
          -V, --version          version (with -v: abilities)
          -h, --help             this text

        Exit code: 0 when the guest or a client ended the VM, 1 after an error.
        """;
}
