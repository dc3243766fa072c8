namespace Cnvm.CommandLine;

/// <summary>What <c>cnvm-vhost-user-fs --help</c> prints.</summary>
internal static class FsBackendHelp
{
    public const string Text =
        """
        cnvm-vhost-user-fs: serves a folder to virtual machines (virtio-fs), as a vhost-user back end.

        Usage:
          cnvm-vhost-user-fs --shared-dir PATH --socket-path PATH [--cache MODE] [--readonly] [...]

        Examples:
          A folder, and a cnvm that uses it:
            cnvm-vhost-user-fs --shared-dir /srv/work --socket-path /run/fs.sock &
            cnvm-vmm ... --memory size=1G,shared=on --fs tag=work,socket=/run/fs.sock
          Cloud Hypervisor:
            cloud-hypervisor ... --memory size=1G,shared=on --fs tag=work,socket=/run/fs.sock
          QEMU:
            qemu-system-x86_64 ... -m 1G -object memory-backend-memfd,id=m,size=1G,share=on \
                -machine q35,memory-backend=m -chardev socket,id=c,path=/run/fs.sock \
                -device vhost-user-fs-pci,chardev=c,tag=work
          In the guest:
            mount -t virtiofs work /mnt

        The folder and its socket:
          --shared-dir PATH      the folder; the guest reaches nothing outside it
          --socket-path PATH     where front ends connect; only this user may. Also --socket
          --fd N                 a listening socket that this program was started with, in place of a path
          --cache auto|always|none   how long the guest may believe what it knows: a second (auto); a day, and writes may
                                 wait, for folders that it has alone (always); not at all (none, also never)
          --readonly             every change is refused with EROFS
          --num-queues N         most request queues that a front end may use, each with a thread (1, at most 255)
          --uid-map [GUEST:HOST:COUNT,...], --gid-map [GUEST:HOST:COUNT,...]
                                 users and groups that have other numbers on the host; for root only
          --print-capabilities   what this program can do, as JSON, for programs that start it

        The program:
          --log-file FILE        log there and not on stderr
          --log-level LEVEL      error, warn (as without), info, debug or trace; -v, -vv, -vvv are the last three
          -V, --version          version
          -h, --help             this text

        What a front end needs:
          Guest memory that this program can map: memfd, tmpfs or hugetlbfs, shared. The tag is the front end's to say.
          Front ends are served one after another. With a front end goes its session: all files that the guest had open
          or knew are closed. A front end that breaks the protocol loses its connection, and the next one may come.
          Writes to guest memory are logged (LOG_SHMFD), so that whoever migrates machines can. Requests in flight are
          noted in memory of the front end (INFLIGHT_SHMFD), but never done twice: a new instance of this program answers
          what the one before it had not finished with EPROTO, as everything else until the guest has unmounted the
          folder and mounts it anew.
          Started as root, this program makes files for the guest's users and groups; otherwise all belong to its user.

        Exit code: 0 after SIGTERM, SIGINT or SIGHUP, when requests in flight are done; 1 after an error; 2 after a
        wrong command line.
        """;

    /// <summary>What <c>--print-capabilities</c> prints ("Backend program conventions").</summary>
    public const string Capabilities = """{ "type": "fs" }""";
}
