using Cnvm.Vmm;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Snapshot;

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

    public void Resume() => Move("resume", VmState.Running);

    public void Reboot() => Move("reboot", VmState.Running);

    public void PowerButton() => Note("power-button");

    public void Nmi() => Note("nmi");

    public void Shutdown() => Move("shutdown", VmState.Shutdown);

    public void Snapshot(SnapshotConfig request) => Note($"snapshot {request.DestinationUrl}");

    public void Restore(RestoreConfig request) => Note(
        $"restore {request.SourceUrl} {request.MemoryRestoreMode} prefault={request.Prefault} resume={request.Resume} "
        + string.Join(' ', request.NetFds?.Select(n => $"{n.Id}:{n.Fds!.Count}") ?? []));

    public void Delete()
    {
        Note("delete");
        _config = null;
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
