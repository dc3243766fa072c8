using System.Globalization;

namespace Cnvm.Vmm.Config;

/// <summary>
/// Gives names to devices that were configured without one: a prefix for the kind and a number from one counter that all kinds share,
/// so <c>_disk0</c> is followed by <c>_net1</c>. Fixed devices have fixed names.
/// </summary>
/// <remarks>Not thread safe. One object lives as long as the VM, so that a number is never given twice.</remarks>
public sealed class DeviceNames
{
    public const string Serial = "__serial";
    public const string Rng = "__rng";
    public const string Rtc = "__rtc";
    public const string Iommu = "__iommu";
    public const string Balloon = "__balloon";
    public const string Console = "__console";
    public const string Watchdog = "__watchdog";
    public const string Pvpanic = "__pvpanic";
    public const string Ioapic = "__ioapic";

    /// <summary>Start of names that users may not give.</summary>
    public const string ReservedPrefix = "__";

    public const string DiskPrefix = "_disk";
    public const string NetPrefix = "_net";
    public const string FsPrefix = "_fs";
    public const string PmemPrefix = "_pmem";
    public const string VsockPrefix = "_vsock";
    public const string VdpaPrefix = "_vdpa";
    public const string GenericVhostUserPrefix = "_generic_vhost_user";
    public const string VfioPrefix = "_vfio";
    public const string VfioUserPrefix = "_vfio_user";

    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);

    /// <summary>The number that the next name tries first; saved with the VM.</summary>
    public ulong NextNumber { get; private set; }

    public DeviceNames(ulong nextNumber = 0) => NextNumber = nextNumber;

    /// <summary>Makes a name that no device has.</summary>
    /// <param name="prefix">One of this class's prefixes.</param>
    public string Next(string prefix)
    {
        string name;
        do
        {
            name = prefix + NextNumber.ToString(CultureInfo.InvariantCulture);
            NextNumber++;
        }
        while (!_taken.Add(name));

        return name;
    }

    /// <summary>Marks a name as used; false if it was already.</summary>
    public bool Take(string name) => _taken.Add(name);

    /// <summary>Gives a device's name back.</summary>
    public void Release(string name) => _taken.Remove(name);

    /// <summary>Returns <paramref name="config"/> with a name for every device, in the order in which devices are made.</summary>
    public VmConfig AssignTo(VmConfig config)
    {
        foreach (IPciDeviceConfig device in config.PciDevices())
        {
            if (device.Id is not null)
            {
                _taken.Add(device.Id);
            }
        }

        return config with
        {
            Disks = Named(config.Disks, (d, id) => d with { Id = id }, DiskPrefix),
            Net = Named(config.Net, (d, id) => d with { Id = id }, NetPrefix),
            Fs = Named(config.Fs, (d, id) => d with { Id = id }, FsPrefix),
            GenericVhostUser = Named(config.GenericVhostUser, (d, id) => d with { Id = id }, GenericVhostUserPrefix),
            Pmem = Named(config.Pmem, (d, id) => d with { Id = id }, PmemPrefix),
            Vsock = config.Vsock is { Id: null } vsock ? vsock with { Id = Next(VsockPrefix) } : config.Vsock,
            Vdpa = Named(config.Vdpa, (d, id) => d with { Id = id }, VdpaPrefix),
            Devices = Named(config.Devices, (d, id) => d with { Id = id }, VfioPrefix),
            UserDevices = Named(config.UserDevices, (d, id) => d with { Id = id }, VfioUserPrefix),
        };
    }

    private List<T>? Named<T>(IReadOnlyList<T>? devices, Func<T, string, T> withId, string prefix)
        where T : class, IPciDeviceConfig
    {
        if (devices is null)
        {
            return null;
        }

        var named = new List<T>(devices.Count);
        foreach (T device in devices)
        {
            named.Add(device.Id is null ? withId(device, Next(prefix)) : device);
        }

        return named;
    }
}
