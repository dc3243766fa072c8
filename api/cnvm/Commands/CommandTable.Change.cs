using Cnvm.Cli.Parsing;

namespace Cnvm.Cli.Commands;

// Commands that carry a body.
internal static partial class CommandTable
{
    private const string PciKeys = "id=NAME, pci_segment=N, pci_device_id=N";

    private static IReadOnlyList<Command> Change =>
    [
        new("resize", "change the number of vCPUs, the RAM or the balloon", ResizeRequests.Resize)
        {
            Options =
            [
                new("--cpus", "N", "vCPUs"),
                new("--memory", "SIZE", "RAM in bytes, or with K, M, G or T; of a booted VM more, by multiples of 128M"),
                new("--balloon", "SIZE", "what the balloon takes"),
            ],
        },
        new("resize-disk", "change the size of a disk", ResizeRequests.ResizeDisk)
        {
            Options = [new("--disk", "ID", "which disk"), new("--size", "SIZE", "its new size")],
        },
        new("resize-zone", "change the size of a memory zone", ResizeRequests.ResizeZone)
        {
            Options = [new("--id", "ID", "which zone"), new("--size", "SIZE", "its new size")],
        },
        Add("add-disk", "add a block device", "DISK",
            "path=FILE[,readonly=on][,direct=on][,num_queues=N][,queue_size=N][,serial=TEXT][,image_type=raw|qcow2|fixedvhd|vhdx][,backing_files=on]", DeviceRequests.AddDisk),
        Add("add-net", "add a network device", "NET",
            "tap=NAME | fd=[N,...] (open TAP descriptors of this process) | passt=on[,tcp_ports=[8080:80,...]] | socket=PATH\n[,mac=MAC][,ip=ADDR,mask=MASK][,host_mac=MAC][,mtu=N][,num_queues=N]",
            DeviceRequests.AddNet),
        Add("add-fs", "add a virtio-fs device", "FS", "tag=TAG,path=FOLDER[,readonly=on|off][,cache=auto|always|none][,num_queues=N][,queue_size=N]", DeviceRequests.AddFs),
        Add("add-pmem", "add a persistent memory device", "PMEM", "file=FILE[,size=SIZE][,discard_writes=on]", DeviceRequests.AddPmem),
        Add("add-vsock", "add a socket device", "VSOCK", "cid=N,socket=PATH", DeviceRequests.AddVsock),
        Add("add-vdpa", "add a vDPA device", "VDPA", "path=DEVICE[,num_queues=N]", DeviceRequests.AddVdpa),
        Add("add-device", "pass a host's PCI device through (VFIO)", "DEVICE",
            "path=SYSFS_PATH | fd=N[,iommu=on][,x_nv_gpudirect_clique=N][,x_exclude_mmap_bars=[N,...]]", DeviceRequests.AddDevice),
        Add("add-user-device", "add a device that another process emulates (vfio-user)", "DEVICE", "socket=PATH", DeviceRequests.AddUserDevice),
        Add("add-generic-vhost-user", "add a vhost-user device of any type", "DEVICE",
            "virtio_id=N,socket=PATH[,queue_sizes=[N,...]]", DeviceRequests.AddGenericVhostUser),
        new("remove-device", "take a device away; the guest gives it up when it can", DeviceRequests.Remove)
        {
            Operands = ["DEVICE_ID"],
            Details = "cnvm show lists the ids of a VM's devices.",
        },
    ];

    private static IReadOnlyList<Command> Move =>
    [
        new("snapshot", "write a paused VM's state into a folder", MoveRequests.Snapshot)
        {
            Operands = ["SNAPSHOT"],
            Details =
                """
                SNAPSHOT is file://FOLDER, or destination_url=file://FOLDER[,track_changes=on][,incremental=on][,compress=on][,disks=on];
                the folder exists and is empty. track_changes records what changes from now on, incremental writes only that, compress
                compresses memory, disks adds copies of the writable disks' images.
                """,
        },
        new("snapshot merge", "make one snapshot of a snapshot and the difference to it", SnapshotCommands.Merge)
        {
            Vm = VmUse.None,
            Operands = ["PARENT", "DIFFERENCE", "DESTINATION"],
            Details =
                """
                All three are folders; DESTINATION exists and has no snapshot. PARENT and DIFFERENCE stay as they are. Differences
                that follow one another are merged one by one, the oldest first.
                """,
        },
        new("inspect", "print the state of a VM or in a snapshot, for people or as JSON", SnapshotCommands.Inspect)
        {
            Vm = VmUse.None,
            Operands = ["VM|SNAPSHOT_FOLDER"],
            Details =
                """
                Numbers are hexadecimal for people and decimal in JSON; long byte strings are cut for people only. Elements of newer
                versions are printed too. A VM is named as elsewhere, or by its socket's path; a running one is paused for a moment.
                """,
        },
        new("check", "whether a host can run a VM's or a snapshot's guest, or every obstacle", SnapshotCommands.Check)
        {
            Vm = VmUse.None,
            Operands = ["VM|SNAPSHOT_FOLDER"],
            Options =
            [
                new("--against", "FILE|host", "what cnvm host-capabilities --json printed on another host; host (default) is this one")
                {
                    Choices = ["host"],
                },
                HostQuery.Hypervisor,
            ],
            Details =
                """
                The exit code is 0 for yes and 1 for no, with the obstacles on standard output, one a line. A snapshot or file that
                cannot be read is an error, on standard error. Of a snapshot, and against this host, the files, folders, sockets and
                interfaces that it needs are looked at too: whether they are there and free, and of the right size. Nothing is changed.
                """,
        },
        new("restore", "make the VM of a snapshot, paused", MoveRequests.Restore)
        {
            Operands = ["RESTORE"],
            Details =
                """
                RESTORE is file://FOLDER, or source_url=file://FOLDER[,prefault=on][,resume=on][,memory_restore_mode=copy|ondemand]
                [,net_fds=[ID@[FD,...],...]][,vfio_fds=[ID@FD,...]][,iommufd_fd=FD][,zone_updates=[ID@NODE,...]]
                [,net_overrides=[ID@MAC,...]][,disk_overrides=[ID@PATH,...]][,vsock_socket=PATH][,clock=hold|advance]. Descriptors are
                those of this process.
                """,
        },
        new("migrate", "move a running VM to another VMM, and show how far it is", MigrateCommand.Run)
        {
            Operands = ["URL"],
            Options =
            [
                new("--downtime", "TIME", "how long the guest may stand still (300ms)"),
                new("--timeout", "TIME", "how long it may take in all (1h)"),
                new("--with-disks", null, "the disks move along, into files of the target"),
                new("--local", null, "hand the memory itself to a VMM of this host, through unix:PATH"),
                new("--connections", "N", "TCP connections that memory goes through side by side, 1 to 128 (1)"),
                new("--finish", null, "past the timeout stop the guest and finish, instead of giving up"),
                new("--postcopy", "WHEN", "run there before all memory is: now (after one round) or fallback (past the timeout)") { Choices = ["now", "fallback"] },
                new("--resume", null, "the connection of a post-copy migration was lost: the target is at URL now"),
                new("--auto-converge", null, "hold back vCPUs of a guest that writes faster than the connection carries"),
                new("--bandwidth", "SIZE", "send at most so much a second"),
                new("--delta-cache", "SIZE", "of pages sent again send what has changed; remember so much of what was sent (0)"),
                new("--tls", "FOLDER", "mutual TLS with ca-cert.pem, client-cert.pem and client-key.pem of this folder"),
                new("--tls-name", "NAME", "name that the certificate there must be for (the host of URL)"),
                new("--compression", "HOW", "auto (LZ4 over TCP), none or lz4") { Choices = ["auto", "none", "lz4"] },
            ],
            Details =
                """
                URL is tcp:HOST:PORT or unix:PATH of a VMM that waits with cnvm receive-migration. Whatever goes wrong, the guest
                is at one of the two, and the message says at which. Ctrl-C cancels. Without --with-disks the target has to see the
                same disks; with it, it makes raw files at the same paths, or where its receive-migration says, and the files here
                stay behind as the guest left them. With --local both are on this host, the memory must be shared (shared=on), and
                nothing is copied: the way to renew a VMM under its guest.

                With --postcopy the guest needs both hosts until its memory is there: each page that it touches comes at once, the
                others follow. If the connection is lost, the guest waits where it needs a page, and this side connects again
                every second, to the same URL or to that of migrate --resume; neither VMM may end before. With --with-disks past
                the timeout only disks are still sent until the rest of them fits --downtime, and then the guest moves.

                Example:
                  there:  cnvm start web2 && cnvm receive-migration web2 tcp:0.0.0.0:7000
                  here:   cnvm migrate web tcp:there:7000
                """,
        },
        new("teleport", "move a VM with its disks to another host, through ssh", TeleportCommand.Run)
        {
            Operands = ["HOST"],
            Options =
            [
                new("--dry-run", null, "say what stands in the way, and move nothing"),
                new("--keep", null, "the VM stays here too, paused, and its VMM does not end"),
                new("--name", "NAME", "what to call it there (as here)"),
                new("--disks", "FOLDER", "where its disks go there (the paths that they have here)"),
                new(TeleportNetworks.Option, "NAME", "network namespace there for its interfaces: a name or a path (the one cnvm has there)"),
                new("--ssh", "PROGRAM", "what to use as ssh, with options if need be (ssh)"),
                new("--remote-cnvm", "PATH", "the program there (cnvm)"),
                new("--direct", "URL", "move through tcp:HOST:PORT, with TLS, and not through ssh"),
                new("--tls", "FOLDER", "ca-cert.pem, client-cert.pem and client-key.pem for that, here"),
                new("--remote-tls", "FOLDER", "ca-cert.pem, server-cert.pem and server-key.pem there (the same folder)"),
                new("--tls-name", "NAME", "whom the certificate there has to name (HOST of the URL)"),
                new("--downtime", "TIME", "how long the guest may stand still (300ms)"),
                new("--timeout", "TIME", "how long it may take in all (1h)"),
                new("--finish", null, "past the timeout stop the guest and finish, instead of giving up"),
                new("--auto-converge", null, "hold back vCPUs of a guest that writes faster than the connection carries"),
                new("--bandwidth", "SIZE", "send at most so much a second"),
                new("--delta-cache", "SIZE", "of pages sent again send what has changed; remember so much of what was sent (0)"),
            ],
            Details =
                """
                Starts a VMM on HOST, given as ssh takes it (USER@HOST), which needs cnvm and cnvm-vmm, and moves the VM there while it runs, as migrate --with-disks does;
                all of it goes through ssh, or with --direct what is large goes beside it. Whatever goes wrong, the VM is at one of the two, and the message says at
                which; what was begun on HOST is taken away again. The files of the disks here stay, and are old once the VM runs there: with --keep the
                paused VM, too. It cannot go on here then: end its VMM with cnvm shutdown-vmm when all is well there.

                A VM whose TAP interfaces are in a network namespace, as a pod's are, moves with --netns only. A pod's are joined to the
                interfaces of that namespace, which has as many, in the same order; the guest keeps its addresses and routes.

                Example:
                  cnvm teleport web me@there --disks /srv/vms --dry-run
                  cnvm teleport web me@there --disks /srv/vms
                  cnvm teleport web me@there --disks /srv/vms --direct tcp:there:7000 --tls /etc/cnvm/tls
                  cnvm teleport pod root@there --netns pod
                """,
        },
        new("__arrive", "the far side of teleport", ArriveCommand.Run) { Vm = VmUse.None, TakesAnyWords = true, IsHidden = true },
        new("__relay", "join standard input and output with a socket", RelayCommand.Run) { Vm = VmUse.None, Operands = ["SOCKET"], IsHidden = true },
        new("send-migration", "move the VM to another VMM that waits with receive-migration", MoveRequests.Send)
        {
            Operands = ["DESTINATION"],
            Details =
                """
                DESTINATION is tcp:HOST:PORT or unix:PATH, or destination_url=URL[,local=on][,preserve_source=on][,downtime_ms=N]
                [,timeout_s=N][,timeout_strategy=cancel|ignore|postcopy][,connections=N][,tls_dir=FOLDER[,tls_peer_name=NAME]][,memory_mode=precopy|postcopy]
                [,with_disks=on][,resume=on].
                Returns at once; cnvm migrate waits and shows how far it is.
                """,
        },
        new("receive-migration", "wait for a VM that send-migration moves here", MoveRequests.Receive)
        {
            Operands = ["RECEIVER"],
            Details =
                """
                RECEIVER is tcp:HOST:PORT or unix:PATH, or receiver_url=URL[,tls_dir=FOLDER[,tls_peer_name=NAME]][,memory_mode=precopy|postcopy]
                [,vfio_fds=[ID@FD,...]][,iommufd_fd=FD][,zone_updates=[ID@NODE,...]][,disks=[ID@FILE,...]][,overwrite=on].
                Disks that move along arrive in new files, at the paths that they have at the source or at those of disks=;
                overwrite=on lets those of disks= take the place of files that are there.
                """,
        },
        new("coredump", "write the guest's memory and registers into a file", MoveRequests.Coredump)
        {
            Operands = ["URL"],
            Details = "URL is file://FILE.",
        },
    ];

    private static Command Add(string name, string summary, string operand, string keys, Func<Invocation, int> run) => new(name, summary, run)
    {
        Operands = [operand],
        Details = $"{operand} is {keys}\nand any of {PciKeys}.\nThe answer is the device's id and PCI address, as JSON; nothing if the VM has not booted yet.",
    };
}
