namespace Cnvm.VmmProgram.CommandLine;

/// <summary>All flags: Cloud Hypervisor's, and cnvm's own <c>--machine</c>.</summary>
internal static class Flags
{
    public const string ApiSocket = "--api-socket";
    public const string Cmdline = "--cmdline";
    public const string Console = "--console";
    public const string Cpus = "--cpus";
    public const string DebugConsole = "--debug-console";
    public const string Disk = "--disk";
    public const string EventMonitor = "--event-monitor";
    public const string Help = "--help";
    public const string Hypervisor = "--hypervisor";
    public const string Initramfs = "--initramfs";
    public const string Kernel = "--kernel";
    public const string LogFile = "--log-file";
    public const string LogFormat = "--log-format";
    public const string Machine = "--machine";
    public const string Memory = "--memory";
    public const string MemoryZone = "--memory-zone";
    public const string Net = "--net";
    public const string NoShutdown = "--no-shutdown";
    public const string Platform = "--platform";
    public const string Pvpanic = "--pvpanic";
    public const string Restore = "--restore";
    public const string Rng = "--rng";
    public const string Seccomp = "--seccomp";
    public const string Serial = "--serial";
    public const string Verbose = "--verbose";
    public const string Version = "--version";

    private static readonly Flag[] All =
    [
        new(ApiSocket, FlagArity.One),
        new(EventMonitor, FlagArity.One),
        new(LogFile, FlagArity.One),
        new(LogFormat, FlagArity.One),
        new(Seccomp, FlagArity.One),
        new(Hypervisor, FlagArity.One),
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
        Vm(Pvpanic, FlagArity.None),

        Missing("--balloon", "the balloon is"),
        Missing("--dbus-object-path", "D-Bus is"),
        Missing("--dbus-service-name", "D-Bus is"),
        Missing("--dbus-system-bus", "D-Bus is", FlagArity.None),
        Missing("--device", "VFIO is", FlagArity.Many),
        Missing("--firmware", "firmware is"),
        Missing("--fs", "virtio-fs is", FlagArity.Many),
        Missing("--fw-cfg-config", "fw_cfg is"),
        Missing("--gdb", "the gdb stub is"),
        Missing("--generic-vhost-user", "vhost-user is", FlagArity.Many),
        Missing("--host-data", "host data is"),
        Missing("--igvm", "IGVM is"),
        Missing("--ivshmem", "ivshmem is"),
        Missing("--landlock", "Landlock is", FlagArity.None),
        Missing("--landlock-rules", "Landlock is", FlagArity.Many),
        Missing("--numa", "guest NUMA is", FlagArity.Many),
        Missing("--pci-segment", "aperture weights are", FlagArity.Many),
        Missing("--pmem", "virtio-pmem is", FlagArity.Many),
        Missing("--pvmemcontrol", "pvmemcontrol is", FlagArity.None),
        Missing("--rate-limit-group", "rate limits are", FlagArity.Many),
        Missing("--rtc", "virtio-rtc is"),
        Missing("--tpm", "the TPM is"),
        Missing("--user-device", "vfio-user is", FlagArity.Many),
        Missing("--vdpa", "vDPA is", FlagArity.Many),
        Missing("--vsock", "virtio-vsock is"),
        Missing("--watchdog", "the watchdog is", FlagArity.None),
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
