using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Consoles;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Snapshot;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm;

/// <content>Snapshot and restore.</content>
public sealed partial class VmmService
{
    private const int IdBytes = 16;

    // Duplicates of descriptors that came with a restore; open as long as the VM, so that a reboot finds them.
    private readonly List<FileDescriptor> _netFds = [];

    public void Snapshot(SnapshotConfig request)
    {
        ArgumentNullException.ThrowIfNull(request);
        VirtualMachine machine = Machine();
        if (_state != VmState.Paused)
        {
            throw new VmmException(VmmErrorKind.Internal, $"The VM could not be snapshotted: it is {_state}, not Paused");
        }

        string folder = SnapshotFiles.FolderOf(request.DestinationUrl, "destination_url");
        DirtyPages? changes = request.Incremental ? machine.Changes : null;
        if (request.Incremental && changes is null)
        {
            throw new VmmException(
                VmmErrorKind.Invalid, "incremental: nothing was recorded; take the snapshot before with track_changes");
        }

        Emit("vm", "snapshotting");
        try
        {
            byte[] id = NewId();
            RamSource ram = machine.Ram;
            MemoryState memory = MemoryFileWriter.Plan(ram) with { Parent = changes?.Parent };
            Action<SafeFileHandle> writeMemory = file => memory = MemoryFileWriter.Write(file, memory, ram.Memory, changes?.Collect());
            SnapshotFolder.Write(
                folder,
                _options.ConfigCodec.Write(_config!),
                Array.Exists(memory.Ranges, r => r.IsSaved) ? writeMemory : null,
                () => machine.Save(id, $"cnvm {_options.Ping.Version}", memory));
            changes?.Saved(id);
            if (request.TrackChanges && changes is null)
            {
                machine.TrackChanges(id);
            }
        }
        catch (Exception e) when (IsHostFailure(e))
        {
            throw new VmmException(VmmErrorKind.Internal, "The VM could not be snapshotted; it is as it was", e);
        }

        Emit("vm", "snapshotted");
    }

    public void Restore(RestoreConfig request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (_config is not null)
        {
            throw new VmmException(VmmErrorKind.Internal, "A VM has been created already: send vm.delete first");
        }

        string folder = SnapshotFiles.FolderOf(request.SourceUrl, "source_url");
        if (request.Prefault && request.MemoryRestoreMode == MemoryRestoreMode.OnDemand)
        {
            throw new VmmException(VmmErrorKind.Invalid, "prefault and memory_restore_mode OnDemand exclude each other");
        }

        Emit("vm", "restoring");
        try
        {
            MachineState state = SnapshotFolder.ReadState(folder);
            if (state.Memory.Parent is not null)
            {
                throw new SnapshotException($"{folder} is a difference to another snapshot: merge the two first");
            }

            VmConfig config = ForThisHost(_options.ConfigCodec.Read(SnapshotFolder.ReadConfig(folder)), request);
            VmConfigValidator.ThrowIfInvalid(config);
            StartRestored(config, state, folder, request);
        }
        catch (Exception e) when (IsHostFailure(e))
        {
            CloseNetFds();
            throw new VmmException(e is VmmException v ? v.Kind : VmmErrorKind.Internal, "The VM could not be restored", e);
        }

        Emit("vm", "restored");
        if (request.Resume)
        {
            Resume();
        }
    }

    private static byte[] NewId()
    {
        var id = new byte[IdBytes];
        using var entropy = new EntropySource("/dev/urandom");
        nint read = entropy.Read(id);
        return read == IdBytes ? id : throw new LinuxException("getrandom", (int)-read);
    }

    /// <summary>What the request says differs from the host that the snapshot was taken on.</summary>
    private VmConfig ForThisHost(VmConfig config, RestoreConfig request)
    {
        Dictionary<string, RestoredNetConfig> given = [];
        foreach (RestoredNetConfig net in request.NetFds ?? [])
        {
            if (!given.TryAdd(net.Id, net) || config.Net?.Any(n => n.Id == net.Id) is not true)
            {
                throw new VmmException(VmmErrorKind.Invalid, $"net_fds: '{net.Id}' stands twice, or the snapshot has no such interface");
            }
        }

        List<NetConfig>? nets = config.Net?.Select(n => WithQueues(n, given.GetValueOrDefault(n.Id ?? ""))).ToList();
        List<MemoryZoneConfig>? zones = config.Memory.Zones?.ToList();
        foreach (ZoneUpdateConfig update in request.ZoneUpdates ?? [])
        {
            int at = zones?.FindIndex(z => z.Id == update.Id) ?? -1;
            if (at < 0)
            {
                throw new VmmException(VmmErrorKind.Invalid, $"zone_updates: the snapshot has no memory zone '{update.Id}'");
            }

            zones![at] = zones[at] with { HostNumaNode = update.HostNumaNode };
        }

        return config with { Net = nets, Memory = config.Memory with { Zones = zones } };
    }

    private NetConfig WithQueues(NetConfig net, RestoredNetConfig? given)
    {
        if (given is null)
        {
            return net.Fds is null
                ? net
                : throw new VmmException(
                    VmmErrorKind.Invalid, $"{net.Id}: the interface had TAP queues by descriptor; send new ones with the request and name them in net_fds");
        }

        if (given.Fds is not { Count: > 0 } || net.NumQueues != 2 * given.Fds.Count)
        {
            throw new VmmException(
                VmmErrorKind.Invalid, $"net_fds: {net.Id} has {net.NumQueues / 2} queue pairs and needs as many descriptors, not {given.Fds?.Count ?? 0}");
        }

        List<FileDescriptor> kept = [.. given.Fds.Select(fd => new FileDescriptor(FileDescriptor.Duplicate(fd)))];
        _netFds.AddRange(kept);
        return net with { Fds = [.. kept.Select(fd => fd.Value)], Tap = null };
    }

    private void CloseNetFds()
    {
        foreach (FileDescriptor fd in _netFds)
        {
            fd.Dispose();
        }

        _netFds.Clear();
    }

    private void StartRestored(VmConfig config, MachineState state, string folder, RestoreConfig request)
    {
        _hypervisor ??= _options.OpenHypervisor();
        IReadOnlyList<string> obstacles = GuestContract.Obstacles(state, HostCapabilities.Of(_hypervisor));
        if (obstacles.Count > 0)
        {
            throw new VmmException(VmmErrorKind.Internal, $"This host cannot run the snapshot's guest: {string.Join("; ", obstacles)}");
        }

        ConsoleSet consoles = ConsoleSet.Open(config, Quit);
        try
        {
            VmConfig shown = consoles.WithPaths(config);
            var image = new MemoryImage(Path.Combine(folder, SnapshotFiles.Memory), state.Memory, request.MemoryRestoreMode, request.Prefault);
            _machine = VirtualMachine.Restore(_hypervisor, shown, consoles, _options.Logging, OnGuestRequest, state, image);
            _consoles = consoles;
            _config = shown;
            _state = VmState.Paused;
        }
        catch
        {
            consoles.Dispose();
            throw;
        }

        ResizeConsole();
    }
}
