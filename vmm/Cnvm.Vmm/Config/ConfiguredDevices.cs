namespace Cnvm.Vmm.Config;

/// <summary>Adds devices to a configuration and takes them away.</summary>
public static class ConfiguredDevices
{
    /// <summary>Returns <paramref name="config"/> with one more device, behind those of its kind; not validated.</summary>
    /// <exception cref="ConfigException">There can be one device of this kind, and there is one.</exception>
    public static VmConfig Add(VmConfig config, IPciDeviceConfig device)
    {
        ArgumentNullException.ThrowIfNull(config);
        return device switch
        {
            DiskConfig disk => config with { Disks = [.. config.Disks ?? [], disk] },
            NetConfig net => config with { Net = [.. config.Net ?? [], net] },
            FsConfig fs => config with { Fs = [.. config.Fs ?? [], fs] },
            GenericVhostUserConfig generic => config with { GenericVhostUser = [.. config.GenericVhostUser ?? [], generic] },
            PmemConfig pmem => config with { Pmem = [.. config.Pmem ?? [], pmem] },
            VdpaConfig vdpa => config with { Vdpa = [.. config.Vdpa ?? [], vdpa] },
            DeviceConfig host => config with { Devices = [.. config.Devices ?? [], host] },
            UserDeviceConfig user => config with { UserDevices = [.. config.UserDevices ?? [], user] },
            VsockConfig vsock => config.Vsock is null
                ? config with { Vsock = vsock }
                : throw new ConfigException("vsock", "the VM has one already; more than one is not possible"),
            _ => throw new ArgumentException($"{device?.GetType().Name} is no device that can be added", nameof(device)),
        };
    }

    /// <summary>Returns <paramref name="config"/> without the device of this name.</summary>
    /// <param name="removed">What was taken away; null if there is no such device, or it belongs to the machine.</param>
    public static VmConfig Remove(VmConfig config, string id, out IPciDeviceConfig? removed)
    {
        ArgumentNullException.ThrowIfNull(config);
        IPciDeviceConfig? found = null;
        VmConfig changed = config with
        {
            Disks = Without(config.Disks),
            Net = Without(config.Net),
            Fs = Without(config.Fs),
            GenericVhostUser = Without(config.GenericVhostUser),
            Pmem = Without(config.Pmem),
            Vdpa = Without(config.Vdpa),
            Devices = Without(config.Devices),
            UserDevices = Without(config.UserDevices),
            Vsock = config.Vsock is { } vsock && vsock.Id == id ? null : config.Vsock,
        };
        removed = changed.Vsock is null && config.Vsock is not null ? config.Vsock : found;
        return removed is null ? config : changed;

        IReadOnlyList<T>? Without<T>(IReadOnlyList<T>? devices)
            where T : class, IPciDeviceConfig
        {
            if (devices?.FirstOrDefault(d => d.Id == id) is not { } match)
            {
                return devices;
            }

            found = match;
            return [.. devices.Where(d => !ReferenceEquals(d, match))];
        }
    }
}
