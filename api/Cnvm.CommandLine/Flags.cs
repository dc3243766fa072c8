namespace Cnvm.CommandLine;

/// <summary>All flags: Cloud Hypervisor's, and cnvm's own <c>--machine</c>, <c>--name</c>, <c>--hypervisor</c> and
/// <c>--host-capabilities</c>.</summary>
internal static class Flags
{
    public const string ApiSocket = "--api-socket";
    public const string Balloon = "--balloon";
    public const string Cmdline = "--cmdline";
    public const string Console = "--console";
    public const string Cpus = "--cpus";
    public const string DebugConsole = "--debug-console";
    public const string Device = "--device";
    public const string Disk = "--disk";
    public const string EventMonitor = "--event-monitor";
    public const string Firmware = "--firmware";
    public const string Fs = "--fs";
    public const string GenericVhostUser = "--generic-vhost-user";
    public const string Help = "--help";
    public const string HostCapabilities = "--host-capabilities";
    public const string Hypervisor = "--hypervisor";
    public const string Initramfs = "--initramfs";
    public const string Kernel = "--kernel";
    public const string Landlock = "--landlock";
    public const string LandlockRules = "--landlock-rules";
    public const string LogFile = "--log-file";
    public const string LogFormat = "--log-format";
    public const string Machine = "--machine";
    public const string Memory = "--memory";
    public const string MemoryZone = "--memory-zone";
    public const string Name = "--name";
    public const string Net = "--net";
    public const string NoShutdown = "--no-shutdown";
    public const string Numa = "--numa";
    public const string PciSegment = "--pci-segment";
    public const string Platform = "--platform";
    public const string Pmem = "--pmem";
    public const string Pvpanic = "--pvpanic";
    public const string RateLimitGroup = "--rate-limit-group";
    public const string Restore = "--restore";
    public const string Rng = "--rng";
    public const string Rtc = "--rtc";
    public const string Seccomp = "--seccomp";
    public const string Serial = "--serial";
    public const string Tpm = "--tpm";
    public const string UserDevice = "--user-device";
    public const string Vdpa = "--vdpa";
    public const string Verbose = "--verbose";
    public const string Version = "--version";
    public const string Vsock = "--vsock";
    public const string Watchdog = "--watchdog";

    private static readonly Flag[] All =
    [
        new(ApiSocket, FlagArity.One),
        new(Name, FlagArity.One),
        new(EventMonitor, FlagArity.One),
        new(LogFile, FlagArity.One),
        new(LogFormat, FlagArity.One),
        new(Seccomp, FlagArity.One),
        new(Hypervisor, FlagArity.One),
        new(HostCapabilities, FlagArity.None),
        new(NoShutdown, FlagArity.None),
        new(Restore, FlagArity.One),
        new(Verbose, FlagArity.Count) { Short = "-v" },
        new(Version, FlagArity.None) { Short = "-V" },
        new(Help, FlagArity.None) { Short = "-h" },

        Vm(Kernel, FlagArity.One),
        Vm(Cmdline, FlagArity.One),
        Vm(Initramfs, FlagArity.One),
        Vm(Cpus, FlagArity.One),
        Vm(Memory, FlagArity.One),
        Vm(MemoryZone, FlagArity.Many),
        Vm(Disk, FlagArity.Many),
        Vm(Net, FlagArity.Many),
        Vm(Rng, FlagArity.One),
        Vm(Serial, FlagArity.One),
        Vm(Console, FlagArity.One),
        Vm(DebugConsole, FlagArity.One),
        Vm(Platform, FlagArity.One),
        Vm(Machine, FlagArity.One),
        Vm(RateLimitGroup, FlagArity.Many),
        Vm(Vsock, FlagArity.One),
        Vm(Fs, FlagArity.Many),
        Vm(Balloon, FlagArity.One),
        Vm(Pvpanic, FlagArity.None),
        Vm(Watchdog, FlagArity.None),
        Vm(PciSegment, FlagArity.Many),

        // Read, and refused by the validator as long as cnvm does not have them.
        Vm(Device, FlagArity.Many),
        Vm(Firmware, FlagArity.One),
        Vm(GenericVhostUser, FlagArity.Many),
        Vm(Landlock, FlagArity.None),
        Vm(LandlockRules, FlagArity.Many),
        Vm(Numa, FlagArity.Many),
        Vm(Pmem, FlagArity.Many),
        Vm(Rtc, FlagArity.One),
        Vm(Tpm, FlagArity.One),
        Vm(UserDevice, FlagArity.Many),
        Vm(Vdpa, FlagArity.Many),

        Missing("--dbus-object-path", "D-Bus is"),
        Missing("--dbus-service-name", "D-Bus is"),
        Missing("--dbus-system-bus", "D-Bus is", FlagArity.None),
        Missing("--fw-cfg-config", "fw_cfg is"),
        Missing("--gdb", "the gdb stub is"),
        Missing("--host-data", "host data is"),
        Missing("--igvm", "IGVM is"),
        Missing("--ivshmem", "ivshmem is"),
        Missing("--pvmemcontrol", "pvmemcontrol is", FlagArity.None),
    ];

    /// <summary>Finds a flag by its name or its letter; null if there is none.</summary>
    public static Flag? Find(string word)
    {
        foreach (Flag flag in All)
        {
            if (flag.Name == word || flag.Short == word)
            {
                return flag;
            }
        }

        return null;
    }

    /// <summary>Names of the flags that do something, to suggest one for a word that is none.</summary>
    public static IEnumerable<string> Names => All.Where(f => f.Unsupported is null).Select(f => f.Name);

    private static Flag Vm(string name, FlagArity arity) => new(name, arity) { IsVmConfig = true };

    private static Flag Missing(string name, string subjectAndVerb, FlagArity arity = FlagArity.One) =>
        new(name, arity) { Unsupported = subjectAndVerb };
}
