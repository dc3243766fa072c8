using Cnvm.Cli.Parsing;

namespace Cnvm.Cli.Commands;

// Containers, each in a VM of its own.
internal static partial class CommandTable
{
    private static readonly Option Interactive = new("--interactive", null, "what comes in here goes to the program") { Short = "-i" };
    private static readonly Option Tty = new("--tty", null, "give the program a terminal") { Short = "-t" };
    private static readonly Option Variable = new("--env", "NAME=VALUE", "a variable; NAME alone takes the value from here") { Short = "-e", IsRepeatable = true };
    private static readonly Option WorkingDirectory = new("--workdir", "PATH", "folder in the container that the program begins in") { Short = "-w" };
    private static readonly Option ProcessUser = new("--user", "USER[:GROUP]", "as whom it runs, by names of the container or by number") { Short = "-u" };

    private static IReadOnlyList<Command> ContainerSection =>
    [
        new("run", "run a container image as a VM: the image is the VM", RunCommand.Run)
        {
            Vm = VmUse.None,
            Operands = ["IMAGE", "[COMMAND...]"],
            TakesAnyWords = true,
            EndsWithCommandLine = true,
            Options =
            [
                Interactive, Tty,
                new("--detach", null, "in the background; prints its name") { Short = "-d" },
                new("--name", "NAME", "what to call it (c1, c2, ...)"),
                new("--rm", null, "of one in the background, leave nothing at its end"),
                new("--volume", "HOST:GUEST[:ro]", "a folder of the host in the container (a file as root)") { Short = "-v", IsRepeatable = true },
                new("--pull", null, "fetch IMAGE again, although it has been fetched: its name may mean a newer one"),
                Variable, WorkingDirectory, ProcessUser,
                new("--publish", "HOST:GUEST", "a port of the host that leads to one of the container, through passt; /udp behind it for UDP") { Short = "-p", IsRepeatable = true },
                new("--network", "NAME", "none (default), or passt, which --publish implies") { Choices = ["none", "passt"] },
                new("--memory", "SIZE", "memory of the VM (512M)"),
                new("--cpus", "N", "processors of the VM (1)"),
                new("--entrypoint", "PROGRAM", "in place of that of the image; its arguments are then COMMAND alone"),
                new("--rw-rootfs", null, "what the container writes goes to the folder IMAGE, instead of being forgotten"),
                new("--privileged", null, "all capabilities, no hidden paths: root in a VM of its own"),
                HostQuery.Hypervisor,
                new("--kernel", "FILE", "kernel of the guest (vmlinux-small beside cnvm, or in CNVM_IMAGES)"),
                new("--initramfs", "FILE", "what the guest starts with (sandbox-initramfs.cpio, as the kernel)"),
                new("--template", "FOLDER", "go on from a saved VM in FOLDER instead of booting; the first of its kind makes it"),
                new("--store", "FOLDER", "where images are unpacked (in the cache of the user: .cache/cnvm/images)"),
            ],
            Details =
                """
                IMAGE is on this machine: a folder with an OCI image layout, an archive of one, an archive of docker save, or a folder
                that is a root file system. Of several images in one, IMAGE:NAME is the one of that name. It is unpacked once; no root is
                needed.

                Or IMAGE is docker://NAME (docker-daemon:NAME, containers-storage:NAME): the first time, and with --pull, the program skopeo
                fetches it and says so on stderr; it stays in the cache. Where there is no skopeo, have a machine that has it do
                skopeo copy docker://debian oci:debian, and run the folder debian.

                Without --detach the program is at this terminal, and cnvm ends with its exit code; 125 means that cnvm itself
                failed, 126 that the program cannot be run, 127 that there is none of that name.

                With --template the first VM with so many processors, so much memory and so many volumes is saved when it has booted (some ten
                MiB), whatever its image; the next ones go on from there, each with a clock and random numbers of its own. They have no network.
                Another kernel or another cnvm-vmm makes another one. FOLDER is this user's alone, and may be removed when no such VM runs.

                Examples:
                  cnvm run debian cat /etc/os-release
                  cnvm run docker://docker.io/library/alpine:3.20 uname -a
                  cnvm run -it -v ~/src:/src -w /src --memory 2G debian bash
                  cnvm run -d --name web -p 8080:80 nginx.tar; cnvm logs web; cnvm exec -it web sh; cnvm stop web; cnvm rm web
                """,
        },
        new("exec", "run a further program in a container", ContainerCommands.Exec)
        {
            Vm = VmUse.None,
            Operands = ["CONTAINER", "COMMAND..."],
            TakesAnyWords = true,
            EndsWithCommandLine = true,
            Options = [Interactive, Tty, Variable, WorkingDirectory, ProcessUser],
            Details = "Variables, user and folder are those of the container's first program unless something is said. Exit codes are as those of cnvm run.",
        },
        new("stop", "end containers: ask their first program, and kill it when it does not listen", ContainerCommands.Stop)
        {
            Vm = VmUse.None,
            Operands = ["CONTAINER..."],
            TakesAnyWords = true,
            Options = [new("--timeout", "TIME", "how long it may take to end by itself (10s)")],
        },
        new("rm", "remove what is left of containers that have ended", ContainerCommands.Remove)
        {
            Vm = VmUse.None,
            Operands = ["CONTAINER..."],
            TakesAnyWords = true,
            Options = [new("--force", null, "also of those that run: they are killed") { Short = "-f" }],
        },
        new(RunCommand.KeeperName, "keep a container in the background", RunCommand.Keep) { Vm = VmUse.None, Operands = ["NAME"], IsHidden = true },
    ];
}
