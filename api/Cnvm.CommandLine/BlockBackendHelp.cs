namespace Cnvm.CommandLine;

/// <summary>What <c>cnvm-vhost-user-blk --help</c> prints.</summary>
internal static class BlockBackendHelp
{
    public const string Text =
        """
        cnvm-vhost-user-blk: serves a disk image to virtual machines, as a vhost-user back end.

        Usage:
          cnvm-vhost-user-blk --block-backend path=IMAGE,socket=PATH[,...]
          cnvm-vhost-user-blk --blk-file IMAGE --socket-path PATH [--read-only]

        Examples:
          A raw image with two queues, and a cnvm that uses it:
            cnvm-vhost-user-blk --block-backend path=disk.raw,image_type=raw,socket=/run/blk.sock,num_queues=2 &
            cnvm-vmm ... --cpus 2 --memory size=1G,shared=on --disk vhost_user=on,socket=/run/blk.sock,num_queues=2
          Cloud Hypervisor:
            cloud-hypervisor ... --memory size=1G,shared=on --disk vhost_user=on,socket=/run/blk.sock
          QEMU:
            qemu-system-x86_64 ... -m 1G -object memory-backend-memfd,id=m,size=1G,share=on \
                -machine q35,memory-backend=m -chardev socket,id=c,path=/run/blk.sock,reconnect=1 \
                -device vhost-user-blk-pci,chardev=c,num-queues=1

        The image and its socket:
          --block-backend KEYS   path=IMAGE      the image: a file or a block device
                                 socket=PATH     where front ends connect; only this user may
                                 num_queues=N    most queues that a front end may use (1, at most 256)
                                 queue_size=N    what the driver is told to build requests for (128)
                                 readonly=on|off (off)
                                 direct=on|off   past the host's page cache (off)
                                 image_type=raw|qcow2|fixedvhd|vhdx   otherwise what it looks like; then writes to the first
                                                 sector of what looks raw, or like a fixed VHD, fail
                                 backing_files=on|off   a qcow2 image may build on the files that it names (off)
                                 sparse=on|off   discards give space back (on)
                                 serial=TEXT     at most 20 characters
                                 lock_granularity=byte-range|full   what of the file is locked (byte-range)
                                 queue_affinity=[QUEUE@[CPUS],...]   host CPUs of the queues' threads
                                 bw_size=SIZE, bw_refill_time=MS, ops_size=N, ops_refill_time=MS   limits, with
                                 bw_one_time_burst=SIZE, ops_one_time_burst=N at the start on top
                                 id=NAME         in log lines and names of threads (disk)
                                 poll_queue=off  queues are not polled; on is refused
          --blk-file IMAGE       the same as path=IMAGE
          --socket-path PATH     the same as socket=PATH; also --socket
          --fd N                 a listening socket that this program was started with, in place of a path
          --read-only            the same as readonly=on
          --print-capabilities   what this program can do, as JSON, for programs that start it

        The program:
          --log-file FILE        log there and not on stderr
          --log-level LEVEL      error, warn (as without), info, debug or trace; -v, -vv, -vvv are the last three
          -V, --version          version
          -h, --help             this text

        What a front end needs:
          Guest memory that this program can map: memfd, tmpfs or hugetlbfs, shared. Front ends are served one after
          another, and the image stays open and locked between them. A front end that breaks the protocol loses its
          connection, and the next one may come. Requests in flight are noted in memory of the front end
          (INFLIGHT_SHMFD): a new instance of this program, also after a crash, does again what the one before it had
          not finished, and the guest notices nothing. Writes to guest memory are logged (LOG_SHMFD), so that machines
          can be migrated.

        Exit code: 0 after SIGTERM, SIGINT or SIGHUP, when requests in flight are done; 1 after an error; 2 after a
        wrong command line.
        """;

    /// <summary>What <c>--print-capabilities</c> prints ("Backend program conventions").</summary>
    public const string Capabilities = """{ "type": "block", "features": [ "read-only", "blk-file" ] }""";
}
