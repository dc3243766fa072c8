using Cnvm.Agent.Protocol;
using Cnvm.GuestAgent.Cgroups;
using Cnvm.GuestAgent.Devices;
using Cnvm.GuestAgent.Seccomp;
using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Spec;

/// <summary>Makes a plan of an OCI specification, and refuses what this agent does not do.</summary>
internal static class SpecReader
{
    private const int LongestPath = 4096;
    private const uint EverybodyReadsAndWrites = 0x1b6;

    private static readonly PlannedDevice[] DefaultDevices =
    [
        Memory("/dev/null", 3), Memory("/dev/zero", 5), Memory("/dev/full", 7), Memory("/dev/random", 8), Memory("/dev/urandom", 9),
        new("/dev/tty", FileCalls.S_IFCHR | EverybodyReadsAndWrites, 5, 0, 0, 0),
    ];

    /// <summary>Plan of a container and its first process.</summary>
    /// <exception cref="StageException">Something is missing, wrong or not supported.</exception>
    public static StagePlan Container(Agent.Protocol.Spec spec)
    {
        RefuseHooks(spec.Hooks);
        OciLinux linux = spec.Linux ?? new OciLinux();
        foreach (LinuxNamespace space in linux.Namespaces.Where(n => n.Type is "user" or "time"))
        {
            throw new StageException($"namespaces of type {space.Type} are not supported: the sandbox's machine is the boundary");
        }

        if (spec.Root is not { } root || !IsPath(root.Path))
        {
            throw new StageException("root.path is no absolute path");
        }

        Process process = spec.Process ?? throw new StageException("the specification has no process");
        StagePlan plan = Process(process, null) with
        {
            RootPath = root.Path,
            IsRootReadOnly = root.Readonly,
            RootPropagation = PropagationOf(linux.RootfsPropagation),
            Mounts = [.. spec.Mounts.Select(Mount)],
            Devices = [.. DefaultDevices.Where(d => linux.Devices.All(o => o.Path != d.Path)), .. linux.Devices.Select(Device)],
            MaskedPaths = [.. linux.MaskedPaths.Where(IsPath)],
            ReadOnlyPaths = [.. linux.ReadonlyPaths.Where(IsPath)],
            Sysctls = [.. linux.Sysctl.Select(s => (SysctlPath(s.Key), s.Value))],
            HostName = spec.Hostname.Length <= 64 ? spec.Hostname : throw new StageException("hostname has more than 64 characters"),
        };
        if (linux.Seccomp is not { } seccomp || seccomp.DefaultAction.Length == 0)
        {
            return plan;
        }

        SeccompProfile profile = ProfileOf(seccomp);
        return plan with { SeccompFilter = SeccompCompiler.Compile(profile), SeccompFlags = SeccompCompiler.FlagsOf(profile) };
    }

    /// <summary>Plan of a further process.</summary>
    /// <param name="otherwise">What it can do if it does not say so; null: nothing.</param>
    /// <exception cref="StageException">Something is missing or wrong.</exception>
    public static StagePlan Process(Process process, CapabilitySets? otherwise)
    {
        if (process.Args.Count == 0 || process.Args[0].Length == 0)
        {
            throw new StageException("process.args is empty: there is nothing to execute");
        }

        if (process.Args.Concat(process.Env).Any(t => t.Contains('\0')))
        {
            throw new StageException("process.args or process.env contains a null character");
        }

        if (process.Cwd.Length > 0 && !IsPath(process.Cwd))
        {
            throw new StageException($"process.cwd '{process.Cwd}' is no absolute path");
        }

        User user = process.User ?? new User();
        return new StagePlan
        {
            HasTerminal = process.Terminal,
            TerminalRows = (ushort)Math.Min(process.ConsoleSize?.Height ?? 0, ushort.MaxValue),
            TerminalColumns = (ushort)Math.Min(process.ConsoleSize?.Width ?? 0, ushort.MaxValue),
            Arguments = process.Args,
            Environment = process.Terminal && !process.Env.Any(e => e.StartsWith("TERM=", StringComparison.Ordinal))
                ? [.. process.Env, "TERM=xterm"]
                : process.Env,
            WorkingDirectory = process.Cwd.Length == 0 ? "/" : process.Cwd,
            UserId = user.Uid,
            GroupId = user.Gid,
            AdditionalGroups = user.AdditionalGids,
            UserName = user.Username,
            Capabilities = process.Capabilities is { } c
                ? new CapabilitySets(
                    CapabilityNames.Bits(c.Bounding), CapabilityNames.Bits(c.Effective), CapabilityNames.Bits(c.Inheritable),
                    CapabilityNames.Bits(c.Permitted), CapabilityNames.Bits(c.Ambient))
                : otherwise ?? new CapabilitySets(0, 0, 0, 0, 0),
            NoNewPrivileges = process.NoNewPrivileges,
            Limits = [.. process.Rlimits.Select(Limit)],
            OomScoreAdjustment = process.OomScoreAdj is >= -1000 and <= 1000
                ? (process.OomScoreAdj == 0 ? null : (int)process.OomScoreAdj)
                : throw new StageException($"process.oomScoreAdj {process.OomScoreAdj} is not between -1000 and 1000"),
        };
    }

    public static ContainerLimits Limits(LinuxResources? resources) => resources is null ? ContainerLimits.None : new ContainerLimits(
        resources.Memory?.Limit ?? 0, resources.Memory?.Reservation ?? 0, resources.Memory?.Swap ?? 0,
        resources.Cpu?.Shares ?? 0, resources.Cpu?.Quota ?? 0, resources.Cpu?.Period ?? 0,
        resources.Cpu?.Cpus ?? "", resources.Cpu?.Mems ?? "", resources.Pids?.Limit ?? 0, DeviceRules.Of(resources));

    private static PlannedDevice Memory(string path, uint minor) => new(path, FileCalls.S_IFCHR | EverybodyReadsAndWrites, 1, minor, 0, 0);

    private static bool IsPath(string path) => path.StartsWith('/') && path.Length <= LongestPath && !path.Contains('\0');

    private static void RefuseHooks(Hooks? hooks)
    {
        if (hooks is null)
        {
            return;
        }

        (string Name, IReadOnlyList<Hook> Hooks)[] kinds =
        [
            ("prestart", hooks.Prestart), ("createRuntime", hooks.CreateRuntime), ("createContainer", hooks.CreateContainer),
            ("startContainer", hooks.StartContainer), ("poststart", hooks.Poststart), ("poststop", hooks.Poststop),
        ];
        foreach ((string name, IReadOnlyList<Hook> list) in kinds)
        {
            if (list.Count > 0)
            {
                throw new StageException($"hooks.{name} ({list[0].Path}) is not supported in a sandbox: hooks are the host's to run");
            }
        }
    }

    private static PlannedMount Mount(Mount mount)
    {
        if (!IsPath(mount.Destination))
        {
            throw new StageException($"mount destination '{mount.Destination}' is no absolute path");
        }

        MountWords options = MountOptions.Parse(mount.Options);
        bool isBind = mount.Type is "bind" or "rbind" || (options.Flags & Mounts.MS_BIND) != 0;
        if (isBind)
        {
            ulong flags = options.Flags | Mounts.MS_BIND | (mount.Type == "rbind" ? Mounts.MS_REC : 0);
            return IsPath(mount.Source)
                ? new PlannedMount(mount.Source, mount.Destination, "", flags, options.Propagation, "")
                : throw new StageException($"mount at {mount.Destination}: the source '{mount.Source}' is no absolute path");
        }

        // There is one hierarchy of control groups here, whatever the specification was written for.
        return mount.Type is "cgroup" or "cgroup2"
            ? new PlannedMount("cgroup", mount.Destination, "cgroup2", options.Flags, options.Propagation, "")
            : new PlannedMount(
                mount.Source.Length == 0 ? mount.Type : mount.Source, mount.Destination, mount.Type, options.Flags, options.Propagation, options.Data);
    }

    private static PlannedDevice Device(LinuxDevice device)
    {
        uint kind = device.Type switch
        {
            "c" or "u" => FileCalls.S_IFCHR,
            "b" => FileCalls.S_IFBLK,
            "p" => FileCalls.S_IFIFO,
            _ => throw new StageException($"device {device.Path}: there is no type '{device.Type}'"),
        };
        if (!IsPath(device.Path) || device.Major is < 0 or > uint.MaxValue || device.Minor is < 0 or > uint.MaxValue)
        {
            throw new StageException($"device '{device.Path}' {device.Major}:{device.Minor} is not possible");
        }

        uint permissions = device.FileMode & 0xfff;
        return new PlannedDevice(
            device.Path, kind | (permissions == 0 ? EverybodyReadsAndWrites : permissions), (uint)device.Major, (uint)device.Minor, device.Uid, device.Gid);
    }

    private static (int Resource, ulong Soft, ulong Hard) Limit(POSIXRlimit limit) =>
        (LimitNames.NumberOf(limit.Type) ?? throw new StageException($"there is no resource limit '{limit.Type}'"), limit.Soft, limit.Hard);

    private static string SysctlPath(string name) =>
        name.Length is > 0 and <= 256 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' or '/') && !name.Contains("..", StringComparison.Ordinal)
            ? name.Replace('.', '/')
            : throw new StageException($"there is no sysctl '{name}'");

    private static ulong PropagationOf(string name) => name.Length == 0
        ? 0
        : MountWords.PropagationOf(name) ?? throw new StageException($"linux.rootfsPropagation: there is no '{name}'");

    private static SeccompProfile ProfileOf(LinuxSeccomp seccomp) => new(
        seccomp.DefaultAction, seccomp.Architectures, seccomp.Flags,
        [
            .. seccomp.Syscalls.Select(s => new SeccompRule(
                s.Names, s.Action, s.Errnoret, [.. s.Args.Select(a => new SeccompCondition((int)Math.Min(a.Index, 6), a.Value, a.ValueTwo, a.Op))])),
        ]);
}
