using Cnvm.Linux;
using Cnvm.Virtio.Block;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Metrics;
using Cnvm.Vmm.Requests;

namespace Cnvm.Vmm;

// Changes of what the machine consists of.
public sealed partial class VmmService
{
    private static readonly Dictionary<string, IReadOnlyDictionary<string, ulong>> NoCounters = [];

    // Descriptors that came over the API: they stay open as long as the configuration names them, so that a reboot finds them.
    private readonly List<FileDescriptor> _descriptors = [];

    // Devices that the guest has been asked to give up, and has not yet.
    private readonly HashSet<string> _leaving = new(StringComparer.Ordinal);

    public PciDeviceInfo? AddDevice(IPciDeviceConfig device, IReadOnlyList<FileDescriptor> descriptors)
    {
        RequireAtRest("vm.add-device");
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(descriptors);
        VmConfig config = _config ?? throw VmmException.NotCreated();
        VmConfig changed = ConfiguredDevices.Add(config, device);
        VmConfigValidator.ThrowIfInvalid(changed, goesOn: _machine is not null);
        if (_machine is { } machine)
        {
            return Plug(machine, config, changed, descriptors);
        }

        _config = WithMacs(changed);
        _descriptors.AddRange(descriptors);
        return null;
    }

    public void RemoveDevice(string id)
    {
        RequireAtRest("vm.remove-device");
        VmConfig config = _config ?? throw VmmException.NotCreated();
        VmConfig changed = ConfiguredDevices.Remove(config, id, out IPciDeviceConfig? removed);
        if (removed is null)
        {
            throw new VmmException(VmmErrorKind.NotFound, $"The VM has no device '{id}' that could be removed");
        }

        if (_machine is { } machine)
        {
            try
            {
                machine.RequestRemoval(id);
            }
            catch (MachineBuildException e)
            {
                throw new VmmException(VmmErrorKind.Internal, $"The device '{id}' could not be removed", e);
            }

            _leaving.Add(id);
            return;
        }

        _config = changed;
        Forget(removed);
    }

    public void Resize(VmResize resize)
    {
        RequireAtRest("vm.resize");
        ArgumentNullException.ThrowIfNull(resize);
        VmConfig config = _config ?? throw VmmException.NotCreated();
        RequestValidator.ThrowIfInvalid(resize);
        if (resize.DesiredVcpus > config.Cpus.MaxVcpus)
        {
            throw new ConfigException("desired_vcpus", $"{resize.DesiredVcpus} vCPUs; this VM can have at most {config.Cpus.MaxVcpus} (cpus.max_vcpus)");
        }

        VmConfig changed = config with
        {
            Cpus = config.Cpus with { BootVcpus = resize.DesiredVcpus ?? config.Cpus.BootVcpus },
            Memory = resize.DesiredRam is { } ram ? WithSize(config.Memory, ram) : config.Memory,
            Balloon = resize.DesiredBalloon is not { } balloon ? config.Balloon
                : config.Balloon is { } present ? present with { Size = balloon }
                : throw new ConfigException("desired_balloon", "the VM has no balloon"),
        };
        VmConfigValidator.ThrowIfInvalid(changed, goesOn: _machine is not null);
        Emit("vm", "resizing");
        _plugsVcpus |= PlugsVcpus;
        if (_machine is { } machine && resize.DesiredVcpus is { } vcpus)
        {
            ResizeVcpus(machine, vcpus);

            // Memory may be refused still, and these have come, or were asked to go.
            _config = config with { Cpus = changed.Cpus };
        }

        AddMemory(config.Memory, changed.Memory);
        _config = changed;
        if (resize.DesiredBalloon is { } bytes)
        {
            _machine?.ResizeBalloon(bytes);
        }

        Emit("vm", "resized");
    }

    public void ResizeDisk(VmResizeDisk resize)
    {
        RequireAtRest("vm.resize-disk");
        ArgumentNullException.ThrowIfNull(resize);
        VmConfig config = _config ?? throw VmmException.NotCreated();
        VirtualMachine machine = Machine();
        if (config.Disks?.Any(d => d.Id == resize.Id) is not true)
        {
            throw new VmmException(VmmErrorKind.NotFound, $"The VM has no disk '{resize.Id}'");
        }

        RequestValidator.ThrowIfInvalid(resize);
        if (config.Disks.Any(d => d.Id == resize.Id && d.VhostUser))
        {
            throw new VmmException(VmmErrorKind.Invalid, $"The size of disk '{resize.Id}' is its vhost-user back end's affair");
        }

        try
        {
            machine.ResizeDisk(resize.Id, resize.DesiredSize);
        }
        catch (BlockImageException e)
        {
            throw new VmmException(VmmErrorKind.Internal, e.Message, e);
        }
    }

    public void ResizeZone(VmResizeZone resize)
    {
        RequireAtRest("vm.resize-zone");
        ArgumentNullException.ThrowIfNull(resize);
        VmConfig config = _config ?? throw VmmException.NotCreated();
        if (config.Memory.Zones?.Any(z => z.Id == resize.Id) is not true)
        {
            throw new VmmException(VmmErrorKind.Internal, $"The VM has no memory zone '{resize.Id}'");
        }

        VmConfig changed = config with
        {
            Memory = config.Memory with
            {
                Zones = [.. config.Memory.Zones.Select(z => z.Id == resize.Id ? z with { Size = resize.DesiredRam } : z)],
            },
        };
        VmConfigValidator.ThrowIfInvalid(changed, goesOn: _machine is not null);
        if (_machine is not null)
        {
            throw VmmException.NotSupported("vm.resize-zone of a booted VM");
        }

        Emit("vm", "resizing");
        _config = changed;
        Emit("vm", "resized");
    }

    public VmmMetrics Metrics() => new(
        _config is null ? null : _state,
        _machine?.RamBytes ?? _config?.BootMemoryBytes ?? 0,
        _machine?.ExitCounters() ?? [],
        _machine?.Counters() ?? NoCounters);

    /// <summary>Gives a booted machine one more device.</summary>
    private PciDeviceInfo Plug(VirtualMachine machine, VmConfig config, VmConfig changed, IReadOnlyList<FileDescriptor> descriptors)
    {
        changed = WithMacs(_names!.AssignTo(changed));
        HashSet<string?> present = [.. config.PciDevices().Select(d => d.Id)];
        IPciDeviceConfig device = changed.PciDevices().Single(d => !present.Contains(d.Id));
        string id = device.Id!;
        try
        {
            string place = machine.AddDevice(device).ToString();
            _config = changed;
            _descriptors.AddRange(descriptors);
            Record(new VmmEvent("vm", "device-added", new Dictionary<string, string> { ["id"] = id, ["bdf"] = place }));
            return new PciDeviceInfo(id, place);
        }
        catch (Exception e) when (IsHostFailure(e))
        {
            _names.Release(id);
            throw new VmmException(VmmErrorKind.Internal, $"The device '{id}' could not be added", e);
        }
    }

    /// <summary>Devices whose slots the guest has given up are gone, whether anybody asked for it or the guest did so by itself.</summary>
    private void RemoveEjected()
    {
        RemoveEjectedVcpus();
        foreach (string id in _machine?.RemoveEjected(IsRemovable) ?? [])
        {
            _config = ConfiguredDevices.Remove(_config!, id, out IPciDeviceConfig? removed);
            _leaving.Remove(id);
            _names!.Release(id);
            Forget(removed!);
            Record(new VmmEvent("vm", "device-removed", new Dictionary<string, string> { ["id"] = id }));
        }
    }

    private bool IsRemovable(string id)
    {
        _ = ConfiguredDevices.Remove(_config!, id, out IPciDeviceConfig? removed);
        return removed is not null;
    }

    /// <summary>With the machine go the devices that its guest was asked to give up and has not.</summary>
    private void ForgetLeaving()
    {
        foreach (string id in _leaving)
        {
            _config = ConfiguredDevices.Remove(_config!, id, out IPciDeviceConfig? removed);
            if (removed is not null)
            {
                Forget(removed);
            }
        }

        _leaving.Clear();
    }

    /// <summary>Gives back what the API brought for a device that is no longer there.</summary>
    private void Forget(IPciDeviceConfig device)
    {
        if (device is NetConfig { Fds: { } fds })
        {
            Close(fds);
        }
    }

    private void Close(IReadOnlyList<int> fds)
    {
        foreach (FileDescriptor descriptor in _descriptors.Where(d => fds.Contains(d.Value)).ToList())
        {
            _descriptors.Remove(descriptor);
            descriptor.Dispose();
        }
    }

    private void CloseAll()
    {
        foreach (FileDescriptor descriptor in _descriptors)
        {
            descriptor.Dispose();
        }

        _descriptors.Clear();
    }
}
