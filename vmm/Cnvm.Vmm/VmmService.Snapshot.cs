using System.Runtime.ExceptionServices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Consoles;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm;

/// <content>Snapshot and restore.</content>
public sealed partial class VmmService
{
    // Reading JSON of a depth that is limited.
    private const int ReaderStackBytes = 256 << 10;

    public void Snapshot(VmSnapshotConfig snapshot)
    {
        RequestValidator.ThrowIfInvalid(snapshot);
        VirtualMachine machine = RequirePaused("vm.snapshot");
        string folder = SnapshotFiles.FolderOf(snapshot.DestinationUrl, "destination_url");
        DirtyPages? recorded = machine.Changes;
        if (snapshot.Incremental && recorded is null)
        {
            throw new VmmException(
                VmmErrorKind.Invalid, "incremental: nothing was recorded, or RAM was added since: take a whole snapshot with track_changes before");
        }

        if (snapshot.Disks && _config!.Disks?.FirstOrDefault(d => d.VhostUser) is { } served)
        {
            throw new VmmException(VmmErrorKind.Invalid, $"disks: the image of '{served.Id}' is its vhost-user back end's and cannot be copied");
        }

        Emit("vm", "snapshotting");
        try
        {
            byte[] id = RandomId.Make();
            machine.ThrowIfUnsavable();
            if (snapshot.Compress)
            {
                CompressedMemory.ThrowIfUnavailable();
            }

            // What can fail comes before the files have their names: a snapshot that is there has succeeded.
            if (snapshot.TrackChanges && recorded is null)
            {
                machine.TrackChanges(id);
            }

            DirtyPages? changes = snapshot.Incremental || snapshot.TrackChanges ? machine.Changes : null;
            DirtyBitmap? changed = changes?.Collect();
            GiveBackProgram();
            RamSource ram = machine.Ram;
            MemoryState memory = MemoryFileWriter.Plan(ram) with { Parent = snapshot.Incremental ? recorded!.Parent : null };
            Action<SafeFileHandle> writeMemory = file =>
            {
                GiveBackProgram();
                memory = MemoryFileWriter.Write(file, memory, ram.Memory, snapshot.Incremental ? changed : null, snapshot.Compress);
            };
            Func<MachineState> makeState = () =>
            {
                GiveBackProgram();
                MachineState state = machine.Save(id, $"cnvm {_options.Ping.Version}", memory);
                GiveBackProgram();
                return state;
            };
            SnapshotFolder.Write(
                folder,
                _options.ConfigCodec.Write(_config!),
                Array.Exists(memory.Ranges, r => r.IsSaved) ? writeMemory : null,
                makeState,
                snapshot.Disks ? machine.DiskCopies() : null);
            changes?.Saved(id);
        }
        catch (Exception e) when (IsHostFailure(e))
        {
            if (recorded is null)
            {
                machine.StopTrackingChanges();
            }

            throw new VmmException(VmmErrorKind.Internal, "The VM could not be snapshotted; it is as it was", e);
        }

        Emit("vm", "snapshotted");

        // Each step of a snapshot uses code of its own, once; together they would be a mebibyte at the peak. A difference takes a millisecond or two,
        // which this would double.
        void GiveBackProgram()
        {
            if (!snapshot.Incremental)
            {
                ProgramPages.GiveBackProgram();
            }
        }
    }

    public VmSavedState State()
    {
        RequireAtRest("vm.state");
        VirtualMachine machine = Machine();
        bool runs = _state == VmState.Running;
        try
        {
            if (runs)
            {
                machine.Pause();
            }

            MemoryState memory = MemoryFileWriter.Plan(machine.Ram);
            memory = memory with { Ranges = [.. memory.Ranges.Select(r => r with { IsSaved = false, FileOffset = 0 })] };
            MachineState state = machine.Save(RandomId.Make(), $"cnvm {_options.Ping.Version}", memory);
            return new VmSavedState(SnapshotFolder.FormatName, StateFormat.Version, Convert.ToBase64String(StateWriter.Write(state, MachineElements.Describe)));
        }
        catch (Exception e) when (IsHostFailure(e))
        {
            throw new VmmException(VmmErrorKind.Internal, "The VM's state could not be read", e);
        }
        finally
        {
            if (runs)
            {
                machine.Resume();
            }
        }
    }

    public void Restore(RestoreConfig restore, IReadOnlyList<FileDescriptor> descriptors)
    {
        ArgumentNullException.ThrowIfNull(descriptors);
        RequestValidator.ThrowIfInvalid(restore, descriptors.Count);
        RequireNone("vm.restore");
        if (restore.VfioFds is not null || restore.IommufdFd is not null)
        {
            throw VmmException.NotSupported("vm.restore with vfio_fds or iommufd_fd");
        }

        string folder = SnapshotFiles.FolderOf(restore.SourceUrl, "source_url");
        Emit("vm", "restoring");
        try
        {
            VmConfig saved = ReadConfig(folder, () => OpenState(folder), out MachineState state);
            Func<ulong>? age = ClockAdvance.Age(state, restore.Clock, static () => ParavirtualClock.RealtimeNow);
            VmConfig config = ForThisHost(saved, restore, descriptors);
            VmConfigValidator.ThrowIfInvalid(config, goesOn: true);
            StartRestored(config, state, age, folder, restore);
        }
        catch (Exception e) when (IsHostFailure(e))
        {
            throw new VmmException(e is VmmException v ? v.Kind : VmmErrorKind.Internal, "The VM could not be restored", e);
        }

        Emit("vm", "restored");
        try
        {
            if (restore.Resume)
            {
                Resume();
            }
        }
        catch (Exception e) when (IsHostFailure(e))
        {
            // Whoever is refused keeps the descriptors and closes them: nothing may go on using them.
            Delete();
            throw new VmmException(VmmErrorKind.Internal, "The VM was restored and could not be resumed; it is deleted again", e);
        }

        _descriptors.AddRange(descriptors);
    }

    /// <summary>
    /// Reads a snapshot's configuration on a thread of its own, and its state here: the first use of either takes milliseconds.
    /// </summary>
    private VmConfig ReadConfig(string folder, Func<MachineState> readState, out MachineState state)
    {
        VmConfig? config = null;
        ExceptionDispatchInfo? failure = null;
        void Read()
        {
            try
            {
                config = _options.ConfigCodec.Read(SnapshotFolder.ReadConfig(folder));
            }
            catch (VmmException e)
            {
                string path = Path.Combine(folder, SnapshotFiles.Config);
                failure = ExceptionDispatchInfo.Capture(new SnapshotException($"{path} is no VM's configuration", e));
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        }

        var reader = new Thread(Read, ReaderStackBytes) { Name = "config", IsBackground = true };
        reader.Start();
        try
        {
            state = readState();
        }
        finally
        {
            reader.Join();
        }

        failure?.Throw();
        return config!;
    }

    /// <summary>A snapshot's state, and the hypervisor for it.</summary>
    private MachineState OpenState(string folder)
    {
        MachineState state = SnapshotFolder.ReadState(folder);
        if (SnapshotObstacles.OfDifference(folder, state) is { } obstacle)
        {
            throw new SnapshotException(obstacle);
        }

        _hypervisor ??= _options.OpenHypervisor();
        return state;
    }

    /// <summary>What the request says differs from the host that the snapshot was taken on.</summary>
    private static VmConfig ForThisHost(VmConfig config, RestoreConfig request, IReadOnlyList<FileDescriptor> descriptors)
    {
        Dictionary<string, IReadOnlyList<int>> given = [];
        int taken = 0;
        foreach (RestoredNet net in request.NetFds ?? [])
        {
            var own = new List<int>();
            foreach (FileDescriptor descriptor in descriptors.Skip(taken).Take((int)net.NumFds))
            {
                own.Add(descriptor.Value);
            }

            if (!given.TryAdd(net.Id, own)
                || config.Net?.Any(n => n.Id == net.Id) is not true)
            {
                throw new ConfigException("net_fds", $"'{net.Id}' stands twice, or the snapshot has no such interface");
            }

            taken += (int)net.NumFds;
        }

        List<NetConfig>? nets = config.Net?.Select(n => WithQueues(n, given.GetValueOrDefault(n.Id ?? ""))).ToList();
        foreach (NetOverride other in request.NetOverrides ?? [])
        {
            int at = nets?.FindIndex(n => n.Id == other.Id) ?? -1;
            if (at < 0)
            {
                throw new ConfigException("net_overrides", $"the snapshot has no interface '{other.Id}'");
            }

            NetConfig net = nets![at];
            if ((net.Socket is null && other.Socket is not null) || (net.IsStream && other.Tap is not null))
            {
                throw new ConfigException(
                    "net_overrides", $"'{other.Id}' is {(net.Socket is not null ? "at a socket" : net.Passt is not null ? "at passt" : "not at a socket")}, and stays so");
            }

            nets[at] = net with { Mac = other.Mac ?? net.Mac, Tap = other.Tap ?? net.Tap, Socket = other.Socket ?? net.Socket };
        }

        List<MemoryZoneConfig>? zones = config.Memory.Zones?.ToList();
        foreach (MemoryZoneUpdate update in request.ZoneUpdates ?? [])
        {
            int at = zones?.FindIndex(z => z.Id == update.Id) ?? -1;
            if (at < 0)
            {
                throw new ConfigException("zone_updates", $"the snapshot has no memory zone '{update.Id}'");
            }

            zones![at] = zones[at] with { HostNumaNode = update.HostNumaNode };
        }

        List<DiskConfig>? disks = config.Disks?.ToList();
        foreach (DiskOverride other in request.DiskOverrides ?? [])
        {
            int at = disks?.FindIndex(d => d.Id == other.Id) ?? -1;
            if (at < 0)
            {
                throw new ConfigException("disk_overrides", $"the snapshot has no disk '{other.Id}'");
            }

            DiskConfig disk = disks![at];
            if (disk.VhostUser)
            {
                throw new ConfigException("disk_overrides", $"the image of '{other.Id}' is its vhost-user back end's");
            }

            disks[at] = disk with
            {
                Path = other.Path ?? disk.Path, ImageType = other.ImageType ?? disk.ImageType, BackingFiles = other.BackingFiles ?? disk.BackingFiles,
            };
        }

        VsockConfig? vsock = config.Vsock;
        if (request.VsockSocket is { } socket)
        {
            vsock = vsock is not null ? vsock with { Socket = socket } : throw new ConfigException("vsock_socket", "the snapshot has no virtio socket device");
        }

        return config with { Net = nets, Disks = disks, Vsock = vsock, Memory = config.Memory with { Zones = zones } };
    }

    private static NetConfig WithQueues(NetConfig net, IReadOnlyList<int>? given)
    {
        if (given is null)
        {
            return net.Fds is null
                ? net
                : throw new ConfigException(
                    "net_fds", $"{net.Id} had TAP queues by descriptor: send new ones with the request and name them here");
        }

        if (net.IsStream)
        {
            throw new ConfigException("net_fds", $"{net.Id} is at a socket and has no TAP queues: name another socket in net_overrides");
        }

        return net.NumQueues == 2 * given.Count
            ? net with { Fds = given, Tap = null }
            : throw new ConfigException("net_fds", $"{net.Id} has {net.NumQueues / 2} queue pairs and needs as many descriptors, not {given.Count}");
    }

    private void StartRestored(VmConfig config, MachineState state, Func<ulong>? age, string folder, RestoreConfig request)
    {
        var image = new MemoryImage(Path.Combine(folder, SnapshotFiles.Memory), state.Memory, request.MemoryRestoreMode, request.Prefault);
        string[] obstacles = [.. GuestContract.Obstacles(state, HostCapabilities.Of(_hypervisor!)), .. SnapshotObstacles.Find(image, state, config)];
        if (obstacles.Length > 0)
        {
            throw new VmmException(VmmErrorKind.Internal, $"This host cannot run the snapshot's guest: {string.Join("; ", obstacles)}");
        }

        byte[] generation = RandomId.Make();
        ConsoleSet consoles = ConsoleSet.Open(config, Quit);
        try
        {
            VmConfig shown = consoles.WithPaths(config);
            _machine = VirtualMachine.Restore(_hypervisor!, shown, consoles, _options.Logging, OnGuestRequest, state, image, age);
            _machine.ObserveDevices(_deviceEvents.Add);
            _machine.ChangeGeneration(generation);
            _consoles = consoles;
            _config = shown;
            _names = new DeviceNames();
            _state = VmState.Paused;
        }
        catch
        {
            consoles.Dispose();
            throw;
        }

        ResizeConsole();
        RemoveEjected();

        // Neither the answer nor the guest's first steps wait for it.
        _thread.PostWhenQuiet(CollectGarbage);
    }
}
