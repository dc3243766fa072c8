using System.Diagnostics;
using Cnvm.Hypervisor;
using Cnvm.Linux;
using Cnvm.Vmm;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Metrics;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Requests;

namespace Cnvm.Api.Tests;

/// <summary>A VMM that records calls and does what a test tells it to.</summary>
internal sealed class FakeVmm : IVmm
{
    private VmConfig? _config;

    public List<string> Calls { get; } = [];

    /// <summary>Runs at the start of every call but ping, with the call's name.</summary>
    public Action<string> OnCall { get; set; } = static _ => { };

    public VmState State { get; private set; } = VmState.Created;

    public VmConfig? Config => _config;

    public EventHistory Events { get; } = new(Stopwatch.GetTimestamp());

    public VmmPing Ping() => new("v9.9.9+test", "9.9.9", 4711, ["kvm"]);

    public void Create(VmConfig config)
    {
        Note("create");
        _config = _config is null ? config : throw new VmmException(VmmErrorKind.Internal, "A VM has been created already");
        State = VmState.Created;
    }

    public void Boot() => Move("boot", VmState.Running);

    public VmInfo Info()
    {
        Note("info");
        return new VmInfo(_config ?? throw VmmException.NotCreated(), State, 1UL << 30);
    }

    public IReadOnlyDictionary<string, IReadOnlyDictionary<string, ulong>> Counters()
    {
        Note("counters");
        return new Dictionary<string, IReadOnlyDictionary<string, ulong>>
        {
            ["_net1"] = new Dictionary<string, ulong> { ["rx_bytes"] = ulong.MaxValue, ["tx_bytes"] = 7 },
        };
    }

    public void Pause() => Move("pause", VmState.Paused);

    VmSavedState IVmm.State()
    {
        Note("state");
        return _config is null ? throw VmmException.NotCreated() : new VmSavedState("cnvm-state", 1, "AQID");
    }

    public void Resume() => Move("resume", VmState.Running);

    public void Reboot() => Move("reboot", VmState.Running);

    public void PowerButton() => Note("power-button");

    public void Nmi() => Note("nmi");

    public void Shutdown() => Move("shutdown", VmState.Shutdown);

    public void Delete()
    {
        Note("delete");
        _config = null;
    }

    public VmmMetrics Metrics()
    {
        Note("metrics");
        var exits = new VcpuExitCounters { PortIn = 3, MmioWrite = 5 };
        return new VmmMetrics(_config is null ? null : State, 1UL << 30, [exits], Counters());
    }

    /// <summary>What the last added device was, with its descriptors, which stay open until this is told to close them.</summary>
    public (IPciDeviceConfig Device, IReadOnlyList<FileDescriptor> Descriptors)? Added { get; private set; }

    public PciDeviceInfo? AddDevice(IPciDeviceConfig device, IReadOnlyList<FileDescriptor> descriptors)
    {
        Note("add");
        VmConfig config = _config ?? throw VmmException.NotCreated();
        _config = ConfiguredDevices.Add(config, device);
        Added = (device, descriptors);
        return State == VmState.Running ? new PciDeviceInfo(device.Id ?? "_new0", "0000:00:06.0") : null;
    }

    public void RemoveDevice(string id) => Note($"remove {id}");

    public void Resize(VmResize resize) => Note($"{resize}");

    public void ResizeDisk(VmResizeDisk resize) => Note($"{resize}");

    public void ResizeZone(VmResizeZone resize) => Note($"{resize}");

    public void Snapshot(VmSnapshotConfig snapshot) => Note($"{snapshot}");

    public void Restore(RestoreConfig restore, IReadOnlyList<FileDescriptor> descriptors) => Note(
        $"restore {restore.SourceUrl} {restore.MemoryRestoreMode} prefault={restore.Prefault} resume={restore.Resume} {descriptors.Count}");

    public void Coredump(VmCoredumpData coredump) => Note($"{coredump}");

    public void SendMigration(SendMigrationData send) => Note($"{send}");

    public void ReceiveMigration(ReceiveMigrationData receive, IReadOnlyList<FileDescriptor> descriptors, Action<VmmException?> onEnd)
    {
        Note($"receive {receive.ReceiverUrl}");
        onEnd(null);
    }

    public MigrationInfo Migration()
    {
        Note("migration");
        return new MigrationInfo(
            MigrationSide.Source, MigrationPhase.Precopy, GuestPlace.Here, "unix:/s", null, null, 2, 1 << 30, 3, 4, 5, 6, 7, 8, 9, null, 0, 10, null, 11, 12, 13, 14, 15, 16);
    }

    public void CancelMigration() => Note("migration-cancel");

    public void SetMigration(MigrationSettings settings) => Note($"{settings}");

    /// <summary>Who waits for the migration's end; nobody tells them unless a test does.</summary>
    public List<Action<MigrationInfo>> MigrationWaits { get; } = [];

    /// <summary>Tells all who wait that it is over.</summary>
    public void EndMigration()
    {
        Action<MigrationInfo>[] waits;
        lock (MigrationWaits)
        {
            waits = [.. MigrationWaits];
            MigrationWaits.Clear();
        }

        foreach (Action<MigrationInfo> wait in waits)
        {
            wait(Migration() with { Phase = MigrationPhase.Completed });
        }
    }

    public void WaitForMigration(Action<MigrationInfo> onEnd)
    {
        Note("migration-wait");
        lock (MigrationWaits)
        {
            MigrationWaits.Add(onEnd);
        }
    }

    public void ShutdownVmm() => Note("shutdown-vmm");

    private void Move(string call, VmState state)
    {
        Note(call);
        _ = _config ?? throw VmmException.NotCreated();
        State = state;
    }

    private void Note(string call)
    {
        lock (Calls)
        {
            Calls.Add(call);
        }

        OnCall(call);
    }
}
