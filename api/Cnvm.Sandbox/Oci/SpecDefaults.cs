using Cnvm.Agent.Protocol;

namespace Cnvm.Sandbox.Oci;

/// <summary>Specifications for containers that come without one: what containerd gives an ordinary container, as far as a guest of its own needs it.</summary>
internal static class SpecDefaults
{
    private const string Version = "1.0.2";
    private const string DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    private const ulong SoftOpenFiles = 1024;
    private const ulong HardOpenFiles = 524288;

    private static readonly string[] Capabilities =
    [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP",
        "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
    ];

    private static readonly string[] FurtherCapabilities =
    [
        "CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_BLOCK_SUSPEND", "CAP_BPF", "CAP_CHECKPOINT_RESTORE", "CAP_DAC_READ_SEARCH", "CAP_IPC_LOCK",
        "CAP_IPC_OWNER", "CAP_LEASE", "CAP_LINUX_IMMUTABLE", "CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_NET_ADMIN", "CAP_NET_BROADCAST",
        "CAP_PERFMON", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_MODULE", "CAP_SYS_NICE", "CAP_SYS_PACCT", "CAP_SYS_PTRACE", "CAP_SYS_RAWIO",
        "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_SYSLOG", "CAP_WAKE_ALARM",
    ];

    private static readonly string[] MaskedPaths =
    [
        "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
        "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
    ];

    private static readonly string[] ReadonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

    /// <exception cref="SandboxException">The options make no sense.</exception>
    public static Spec Make(ContainerOptions options) => new()
    {
        Version = Version,
        Process = FirstProcess(options.Process, options.Rootfs.Path, options.Privileged),
        Hostname = options.Hostname ?? "",
        Mounts =
        [
            Mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
            Mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
            Mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
            Mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
            Mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", options.Privileged ? "rw" : "ro"),
        ],
        Linux = new OciLinux
        {
            Namespaces = [Namespace("pid"), Namespace("ipc"), Namespace("uts"), Namespace("mount")],
            MaskedPaths = options.Privileged ? [] : MaskedPaths,
            ReadonlyPaths = options.Privileged ? [] : ReadonlyPaths,
            Resources = options.MemoryBytes is { } bytes ? new LinuxResources { Memory = new LinuxMemory { Limit = bytes } } : null,
        },
    };

    /// <summary>The first process of a container.</summary>
    public static Process FirstProcess(ProcessOptions options, string rootfs, bool privileged = false)
    {
        if (options.Arguments.Count == 0)
        {
            throw new SandboxException(SandboxErrorKind.Invalid, "the container has no program to run: the image names none, so give a command");
        }

        ContainerUser user = ContainerUser.Find(options.User ?? "", rootfs);
        IReadOnlyList<string> capabilities = privileged ? [.. Capabilities, .. FurtherCapabilities] : Capabilities;
        bool isRoot = user.User == 0;
        return new Process
        {
            Terminal = options.Terminal,
            Args = options.Arguments,
            Env = Variables([], options, user),
            Cwd = options.WorkingDirectory is { Length: > 0 } folder ? folder : "/",
            User = Of(user),
            Capabilities = new LinuxCapabilities
            {
                // Who is not root has none, and gets none by a program's set-user-id bit beyond these.
                Bounding = capabilities, Effective = isRoot ? capabilities : [], Permitted = isRoot ? capabilities : [],
            },
            Rlimits = [new POSIXRlimit { Type = "RLIMIT_NOFILE", Soft = SoftOpenFiles, Hard = HardOpenFiles }],
        };
    }

    /// <summary>A further process of a container: like the first one but for what is said.</summary>
    public static Process FurtherProcess(Process first, ProcessOptions options, string rootfs)
    {
        if (options.Arguments.Count == 0)
        {
            throw new SandboxException(SandboxErrorKind.Invalid, "which program? a further process has none of its own");
        }

        ContainerUser? user = options.User is { } text ? ContainerUser.Find(text, rootfs) : null;
        LinuxCapabilities? capabilities = first.Capabilities;
        if (user is not null && capabilities is not null)
        {
            IReadOnlyList<string> own = user.User == 0 ? capabilities.Bounding : [];
            capabilities = capabilities with { Effective = own, Permitted = own, Inheritable = [], Ambient = [] };
        }

        return first with
        {
            Terminal = options.Terminal,
            Args = options.Arguments,
            Env = Variables(first.Env, options, user),
            Cwd = options.WorkingDirectory ?? first.Cwd,
            User = user is null ? first.User : Of(user),
            Capabilities = capabilities,
        };
    }

    private static List<string> Variables(IReadOnlyList<string> first, ProcessOptions options, ContainerUser? user)
    {
        var variables = new List<string>();
        foreach (string variable in (IEnumerable<string>)[$"PATH={DefaultPath}", .. options.Terminal ? ["TERM=xterm"] : (string[])[], .. first])
        {
            Set(variables, variable);
        }

        if (user is not null)
        {
            Set(variables, $"HOME={user.Home}");
        }

        foreach (string variable in options.Environment)
        {
            if (variable.IndexOf('=', StringComparison.Ordinal) < 1)
            {
                throw new SandboxException(SandboxErrorKind.Invalid, $"'{variable}' is no variable as NAME=VALUE");
            }

            Set(variables, variable);
        }

        return variables;
    }

    private static void Set(List<string> variables, string variable)
    {
        string name = variable[..(variable.IndexOf('=', StringComparison.Ordinal) + 1)];
        variables.RemoveAll(v => v.StartsWith(name, StringComparison.Ordinal));
        variables.Add(variable);
    }

    private static User Of(ContainerUser user) => new() { Uid = user.User, Gid = user.Group, AdditionalGids = user.Groups };

    private static Mount Mount(string destination, string type, string source, params string[] options) =>
        new() { Destination = destination, Type = type, Source = source, Options = options };

    private static LinuxNamespace Namespace(string type) => new() { Type = type };
}
