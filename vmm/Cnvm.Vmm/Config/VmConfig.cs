namespace Cnvm.Vmm.Config;

/// <summary>
/// Everything that says what a virtual machine is: the body of <c>vm.create</c> and what <c>vm.info</c> echoes. Names and defaults are
/// Cloud Hypervisor's; the JSON key of a property is its name in snake_case.
/// </summary>
/// <remarks>
/// Immutable. Every field of the contract is kept and echoed, those that cnvm cannot honour yet too: <see cref="VmConfigValidator"/>
/// refuses them by name. The constructor's parameters carry the defaults because the JSON reader applies those of a constructor only.
/// </remarks>
public sealed record VmConfig(
    CpusConfig? Cpus = null,
    MemoryConfig? Memory = null,
    PayloadConfig? Payload = null,
    IReadOnlyList<RateLimitGroupConfig>? RateLimitGroups = null,
    IReadOnlyList<DiskConfig>? Disks = null,
    IReadOnlyList<NetConfig>? Net = null,
    RngConfig? Rng = null,
    BalloonConfig? Balloon = null,
    IReadOnlyList<GenericVhostUserConfig>? GenericVhostUser = null,
    IReadOnlyList<FsConfig>? Fs = null,
    IReadOnlyList<PmemConfig>? Pmem = null,
    SerialConfig? Serial = null,
    ConsoleConfig? Console = null,
    DebugConsoleConfig? DebugConsole = null,
    IReadOnlyList<DeviceConfig>? Devices = null,
    IReadOnlyList<UserDeviceConfig>? UserDevices = null,
    IReadOnlyList<VdpaConfig>? Vdpa = null,
    VsockConfig? Vsock = null,
    bool Pvpanic = false,
    bool Iommu = false,
    IReadOnlyList<NumaConfig>? Numa = null,
    bool Watchdog = false,
    RtcConfig? Rtc = null,
    bool? Gdb = null,
    PvmemcontrolConfig? Pvmemcontrol = null,
    IReadOnlyList<PciSegmentConfig>? PciSegments = null,
    PlatformConfig? Platform = null,
    TpmConfig? Tpm = null,
    bool LandlockEnable = false,
    IReadOnlyList<LandlockConfig>? LandlockRules = null,
    IvshmemConfig? Ivshmem = null)
{
    public CpusConfig Cpus { get; init; } = Cpus ?? new();

    public MemoryConfig Memory { get; init; } = Memory ?? new();

    public RngConfig Rng { get; init; } = Rng ?? new();

    /// <summary>The 16550; nothing is connected to it by default.</summary>
    public SerialConfig Serial { get; init; } = Serial ?? new();

    /// <summary>The virtio console; on the VMM's terminal by default.</summary>
    public ConsoleConfig Console { get; init; } = Console ?? new();

    public DebugConsoleConfig DebugConsole { get; init; } = DebugConsole ?? new();

    /// <summary>The profile in force: what <see cref="PlatformConfig.MachineProfile"/> says, else <see cref="MachineProfile.Cloud"/>.</summary>
    internal MachineProfile EffectiveProfile => Platform?.MachineProfile ?? MachineProfile.Cloud;

    /// <summary>A machine with ACPI has a generation identifier.</summary>
    internal bool HasGenerationId => Platform?.Vmgenid ?? true;

    /// <summary>A machine with ACPI has a VMClock page.</summary>
    internal bool HasClockPage => Platform?.Vmclock ?? true;

    /// <summary>Number of PCI segments, 1 unless <see cref="PlatformConfig.NumPciSegments"/> says more.</summary>
    internal ushort PciSegmentCount => Platform?.NumPciSegments ?? 1;

    /// <summary>Bytes of RAM that the machine begins with: the memory's size, or the sum of its zones.</summary>
    internal ulong BootMemoryBytes => Memory.TotalBytes;

    /// <summary>All devices that stand on the PCI bus, in the order in which they are made.</summary>
    internal IEnumerable<IPciDeviceConfig> PciDevices()
    {
        foreach ((_, IPciDeviceConfig device) in NamedPciDevices())
        {
            yield return device;
        }
    }

    /// <summary>All devices that stand on the PCI bus with the paths of their fields, in the order in which they are made.</summary>
    internal IEnumerable<(string Field, IPciDeviceConfig Device)> NamedPciDevices()
    {
        IEnumerable<(string, IPciDeviceConfig)>[] groups =
        [
            One("console", Console), Many("disks", Disks), Many("net", Net), One("rng", Rng), Many("fs", Fs),
            Many("generic_vhost_user", GenericVhostUser), Many("pmem", Pmem), One("vsock", Vsock), One("balloon", Balloon),
            Many("vdpa", Vdpa), One("rtc", Rtc), Many("devices", Devices), Many("user_devices", UserDevices),
        ];
        return groups.SelectMany(g => g);
    }

    private static IEnumerable<(string, IPciDeviceConfig)> One(string field, IPciDeviceConfig? device)
    {
        if (device is not null)
        {
            yield return (field, device);
        }
    }

    private static IEnumerable<(string, IPciDeviceConfig)> Many(string field, IReadOnlyList<IPciDeviceConfig>? devices)
    {
        for (int i = 0; i < (devices?.Count ?? 0); i++)
        {
            yield return ($"{field}[{i}]", devices![i]);
        }
    }
}
