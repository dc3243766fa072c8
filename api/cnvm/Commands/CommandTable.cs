using Cnvm.Cli.Help;
using Cnvm.Cli.Parsing;

namespace Cnvm.Cli.Commands;

/// <summary>All commands, in the order of the help.</summary>
internal static partial class CommandTable
{
    private static readonly string[] States = ["created", "running", "paused", "shutdown"];

    /// <summary>Sections of the help.</summary>
    public static IReadOnlyList<(string Title, IReadOnlyList<Command> Commands)> Sections { get; } =
    [
        ("Start and find", StartAndFind),
        ("Containers", ContainerSection),
        ("Life cycle", LifeCycle),
        ("Look inside", LookInside),
        ("Change a VM", Change),
        ("Snapshots and migration", Move),
        ("This program", Own),
    ];

    /// <summary>The commands that the help lists.</summary>
    public static IEnumerable<Command> Visible => Sections.SelectMany(s => s.Commands).Where(c => !c.IsHidden);

    public static Command? Find(string name) => Sections.SelectMany(s => s.Commands).FirstOrDefault(c => c.Name == name);

    /// <summary>The command of two words that a word makes of the command before it; null if it makes none.</summary>
    public static Command? FindSecond(Command first, string word) => Find($"{first.Name} {word}");

    private static IReadOnlyList<Command> StartAndFind =>
    [
        new("start", "start a VM in the background; without --kernel, a VMM that waits for create", StartCommand.Run)
        {
            Vm = VmUse.New,
            TakesVmmFlags = true,
            Options =
            [
                new("--name", "NAME", "what to call it (vm1, vm2, ...); the first word does as well"),
                new("--timeout", "TIME", "how long it may take to start (30s)"),
            ],
            Details =
                """
                The VM goes on when this terminal closes. Its serial port is a pseudo-terminal unless --serial or --console
                say otherwise; reach it with cnvm console. Messages of the VMM go to a file that cnvm logs shows. The program
                cnvm-vmm is the one beside cnvm, else the one in PATH; CNVM_VMM names another.
                cnvm-vmm --help explains its flags (--kernel, --disk, --net, --cpus, --memory, ...).

                Example:
                  cnvm start web --kernel vmlinux --cmdline 'console=ttyS0 root=/dev/vda1 rw' --disk path=debian.ext4
                """,
        },
        new("ps", "list the VMs that run, and the containers of cnvm run", ListCommand.Run)
        {
            Vm = VmUse.None,
            Options = [new("--quiet", null, "names of VMs only") { Short = "-q" }],
            Details = "Containers stand in a table of their own, with those that have ended until cnvm rm removes them.",
        },
        new("console", "attach to the VM's console; Ctrl-] detaches", ConsoleCommand.Run)
        {
            Vm = VmUse.Optional,
            Options =
            [
                new("--escape", "KEY", "the key that detaches: ctrl-] or ^] (default), ctrl-a, ..., none"),
                new("--device", "NAME", "serial, console or debug; without it, the first one that can be attached to")
                {
                    Choices = ["serial", "console", "debug"],
                },
            ],
            Details =
                """
                The console has to be a pseudo-terminal or a socket (--serial pty, --console pty, --serial socket=PATH).
                Input and output that are no terminal are passed on as they are, and no key detaches: it goes on behind the end of the
                input, until the VMM ends or a signal comes (timeout 10 cnvm console web < lines).
                """,
        },
        new("logs", "show what a container said, or the VMM of a VM that cnvm start started", LogsCommand.Run) { Vm = VmUse.Name },
        new("wait", "wait until the VM has ended, or is in a state", WaitCommand.Run)
        {
            Vm = VmUse.Optional,
            Options =
            [
                new("--state", "STATE", "created, running, paused or shutdown, instead of the end") { Choices = States },
                new("--timeout", "TIME", "give up after this time, with exit code 4"),
            ],
            Details = "A TIME is a number with ms, s, m or h; without a unit, seconds.",
        },
    ];

    private static IReadOnlyList<Command> LifeCycle =>
    [
        new("create", "give a VMM its VM: a JSON file, - for standard input, or flags of cnvm-vmm", CreateCommand.Run)
        {
            Vm = VmUse.Optional,
            Operands = ["[FILE]"],
            TakesVmmFlags = true,
            Details =
                """
                The VM is created and not started: cnvm boot does that. The JSON is the VmConfig of the REST API.

                Examples:
                  cnvm create web config.json
                  cnvm create web - < config.json
                  cnvm create web --kernel vmlinux --disk path=debian.ext4 --serial pty
                """,
        },
        Simple("boot", "boot the created VM", "PUT", "vm.boot", VmUse.Optional),
        Simple("pause", "stop the vCPUs; resume goes on", "PUT", "vm.pause", VmUse.Optional),
        Simple("resume", "let a paused VM run on", "PUT", "vm.resume", VmUse.Optional),
        Simple("power-button", "press the power button: the guest shuts down in order", "PUT", "vm.power-button"),
        Simple("reboot", "reset the machine, without asking the guest", "PUT", "vm.reboot"),
        Simple("nmi", "send an NMI to the guest", "PUT", "vm.nmi"),
        Simple("shutdown", "stop the VM at once; its configuration stays and can be booted again", "PUT", "vm.shutdown"),
        Simple("delete", "stop the VM at once and forget its configuration; the VMM stays", "PUT", "vm.delete"),
        Simple("shutdown-vmm", "stop the VM at once and end its VMM", "PUT", "vmm.shutdown"),
    ];

    private static IReadOnlyList<Command> LookInside =>
    [
        new("show", "what the VM is and does, for people", ShowCommand.Run) { Vm = VmUse.Optional },
        Simple("info", "configuration and state, as JSON", "GET", "vm.info", VmUse.Optional),
        new("events", "what has happened: states, devices, the guest's panic", EventsCommand.Run)
        {
            Vm = VmUse.Optional,
            Options = [new("--follow", null, "go on until the VMM ends") { Short = "-f" }],
            Details = "Seconds since the VMM's start, source, event. With --json, an object a line.",
        },
        Simple("counters", "device counters, as JSON", "GET", "vm.counters", VmUse.Optional),
        Simple("ping", "version and process of the VMM, as JSON", "GET", "vmm.ping", VmUse.Optional),
        new("host-capabilities", "what this host and hypervisor can run", HostCapabilitiesCommand.Run)
        {
            Vm = VmUse.None,
            Options = [HostQuery.Hypervisor],
            Details =
                """
                With --json, the output is the file that cnvm check takes on another host:
                  cnvm host-capabilities --json > this-host.json
                """,
        },
    ];

    private static IReadOnlyList<Command> Own =>
    [
        new("completion", "print a completion script", CompletionCommand.Run)
        {
            Vm = VmUse.None,
            Operands = ["SHELL"],
            Details =
                """
                SHELL is bash, zsh or fish. To have completion in every shell:
                  bash: cnvm completion bash > ~/.local/share/bash-completion/completions/cnvm
                  zsh:  cnvm completion zsh > a folder of $fpath, as _cnvm
                  fish: cnvm completion fish > ~/.config/fish/completions/cnvm.fish
                """,
        },
        new("__complete", "what may come next on a command line, a candidate a line", CompletionCommand.Complete)
        {
            Vm = VmUse.None,
            TakesAnyWords = true,
            IsHidden = true,
        },
        new("__man", "print a man page", ManPage.Run) { Vm = VmUse.None, Operands = ["PROGRAM"], IsHidden = true },
    ];

    private static Command Simple(string name, string summary, string method, string endpoint, VmUse vm = VmUse.Required) =>
        new(name, summary, invocation => RequestCommand.Send(invocation, method, endpoint)) { Vm = vm };
}
