using Cnvm.Devices.Pci;
using Cnvm.Devices.Platform;
using Cnvm.Virtio;
using Cnvm.Virtio.RateLimits;
using Cnvm.Virtio.Watchdog;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Consoles;
using Cnvm.Vmm.Platform;

namespace Cnvm.Vmm;

/// <content>Virtio devices: those of the configuration, and those that come and go while the machine runs.</content>
internal sealed partial class VirtualMachine
{
    private Dictionary<string, RateLimiter?> _limiterGroups = [];
    private DescriptorBudget? _folderDescriptors;

    /// <summary>Gives the machine one more device and tells the guest. It runs or is paused.</summary>
    /// <exception cref="MachineBuildException">It cannot take the device; nothing has changed.</exception>
    public PciAddress AddDevice(IPciDeviceConfig device)
    {
        PciHotplug hotplug = Hotplug();
        string id = device.Id!;
        if (device is FsConfig { Socket: null })
        {
            FolderDescriptors.Divide([id]);
        }

        try
        {
            _virtio.Add(CreateDevice(device), device.PciSegment, device.PciDeviceId);
        }
        catch
        {
            _folderDescriptors?.Return(id);
            throw;
        }

        if (_pausedClock is not null)
        {
            _virtio.Pause(id);
        }

        PciAddress place = _virtio.PlaceOf(id)!.Value;
        hotplug.NotifyAdded(place);
        return place;
    }

    /// <summary>Asks the guest to give up the slot of a device.</summary>
    /// <exception cref="MachineBuildException">The guest cannot be asked.</exception>
    public void RequestRemoval(string id) => Hotplug().RequestEject(_virtio.PlaceOf(id)!.Value);

    /// <summary>Takes away the devices whose slots the guest has given up; returns their names.</summary>
    /// <param name="isRemovable">Tells by name whether a device may go; the guest can give up any slot.</param>
    public IReadOnlyList<string> RemoveEjected(Func<string, bool> isRemovable)
    {
        if (_chipset.Hotplug is not { } hotplug)
        {
            return [];
        }

        string[] gone = [.. hotplug.TakeEjected().Select(_virtio.DeviceAt).OfType<string>().Where(isRemovable)];
        if (gone.Length == 0)
        {
            return gone;
        }

        // A vCPU may just be in a register of the device.
        bool isRunning = _pausedClock is null;
        if (isRunning)
        {
            _vcpus.Park();
        }

        foreach (string id in gone)
        {
            _virtio.Remove(id);
            _folderDescriptors?.Return(id);
        }

        if (isRunning && !HasEnded)
        {
            _vcpus.Run();
        }

        return gone;
    }

    private void OnEject() => Request(GuestRequest.Eject, null);

    private DescriptorBudget FolderDescriptors => _folderDescriptors ??= new DescriptorBudget();

    private PciHotplug Hotplug() => _chipset.Hotplug ?? throw new MachineBuildException(
        $"this {_profileName} machine takes no devices while it runs: it has no PCI or no ACPI, or comes from a snapshot of a cnvm without PCI hot-plug");

    private void AddDevices(VmConfig config, ConsoleSet consoles)
    {
        if (config.Console.Mode != ConsoleMode.Off)
        {
            AddConsole(config, consoles);
        }

        _virtio.Reserve(config.PciDevices());
        _limiterGroups = (config.RateLimitGroups ?? []).ToDictionary(g => g.Id, g => DeviceFactory.CreateLimiter(g.RateLimiterConfig));
        AddAll(config.Disks);
        AddAll(config.Net);
        _virtio.Add(DeviceFactory.CreateRng(config.Rng, _logger), config.Rng.PciSegment, config.Rng.PciDeviceId);
        if (config.Fs is { Count: > 0 } folders)
        {
            FolderDescriptors.Divide([.. folders.Where(f => f.Socket is null).Select(f => f.Id!)]);
            AddAll(folders);
        }

        AddAll(config.Vsock is { } vsock ? [vsock] : null);
        if (config.Balloon is { } balloon)
        {
            _balloon = DeviceFactory.CreateBalloon(balloon, _logger);
            _virtio.Add(_balloon, balloon.PciSegment, balloon.PciDeviceId);
        }

        if (config.Watchdog)
        {
            _virtio.Add(new WatchdogDevice(DeviceNames.Watchdog, () => Request(GuestRequest.Reset, "watchdog"), _logger));
        }
    }

    private void AddAll(IEnumerable<IPciDeviceConfig>? devices)
    {
        foreach (IPciDeviceConfig device in devices ?? [])
        {
            _virtio.Add(CreateDevice(device), device.PciSegment, device.PciDeviceId);
        }
    }

    private VirtioDevice CreateDevice(IPciDeviceConfig device) => device switch
    {
        DiskConfig { VhostUser: true } disk => DeviceFactory.CreateVhostUserDisk(disk, _memory, _logger),
        NetConfig { VhostUser: true } net => DeviceFactory.CreateVhostUserNet(net, _memory, _logger),
        FsConfig { Socket: not null } fs => DeviceFactory.CreateVhostUserFs(fs, _memory, _logger),
        DiskConfig disk => DeviceFactory.CreateDisk(
            disk, disk.RateLimitGroup is { } group ? _limiterGroups[group] : DeviceFactory.CreateLimiter(disk.RateLimiterConfig), _logger),
        NetConfig net => DeviceFactory.CreateNet(net, _logger),
        FsConfig fs => DeviceFactory.CreateFs(fs, FolderDescriptors.ShareOf(fs.Id!), FolderDescriptors.Most, _logger),
        VsockConfig vsock => DeviceFactory.CreateVsock(vsock, _logger),
        _ => throw new MachineBuildException($"{device.Id}: devices of this kind cannot be added"),
    };
}
