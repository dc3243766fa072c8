namespace Cnvm.Bench.Machines;

/// <summary>
/// cnvm with a machine that has written to all of its memory but the first 64 MiB and then leaves guest mode all the time; or an empty one
/// that a snapshot is restored into. Driven by the API.
/// </summary>
internal sealed class SnapshotGuest : IDisposable
{
    private const ulong FillBase = 64 << 20;
    private const string DebugPort = "0xe9";
    private const string NoPort = "0x5e0";

    // What the payload writes all the time.
    private const string Beat = "\0";
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);
    private readonly Child _child;
    private readonly ApiConnection _api;

    private SnapshotGuest(Workspace workspace, string controlSocket)
    {
        _child = new CnvmVmm().Start(workspace, new GuestPlan { ControlSocket = controlSocket }, Limit);
        _api = new ApiConnection(_child, controlSocket, Limit);
    }

    public int ProcessId => _child.Id;

    public Child Process => _child;

    /// <summary>Boots the machine; it has filled its memory.</summary>
    /// <param name="prints">It prints all the time, so that one sees it go on; pause it before the pipe is full.</param>
    public static SnapshotGuest Boot(Workspace workspace, string controlSocket, int memoryMiB, bool prints = false)
    {
        var guest = new SnapshotGuest(workspace, controlSocket);
        try
        {
            ulong pages = (((ulong)memoryMiB << 20) - FillBase) >> 12;
            string config = $$$"""
                {"payload":{"kernel":"{{{workspace.Image(Payload.Image)}}}",
                            "cmdline":"dirty={{{pages}}} base={{{FillBase}}} rounds=1 beat={{{(prints ? DebugPort : NoPort)}}} console=e9"},
                 "memory":{"size":{{{(long)memoryMiB << 20}}}},
                 "serial":{"mode":"Null"},"console":{"mode":"Off"},"debug_console":{"mode":"Tty"}}
                """;
            guest._api.Put("vm.create", config);
            guest._api.Put("vm.boot");
            guest._child.WaitFor("payload: beat");
            return guest;
        }
        catch
        {
            guest.Dispose();
            throw;
        }
    }

    /// <summary>A process that waits for <see cref="Restore"/>.</summary>
    public static SnapshotGuest Empty(Workspace workspace, string controlSocket) => new(workspace, controlSocket);

    /// <summary>Takes a snapshot of the paused machine; returns nanoseconds until the answer.</summary>
    public long Snapshot(string folder, string keys = "") => _api.Put("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"{{keys}}}""");

    /// <summary>Restores and resumes; returns nanoseconds, elapsed and of processor time, until the guest's first output has come through a pipe.</summary>
    public (long Elapsed, long Processor) Restore(string folder, string mode)
    {
        long cpu = _child.ProcessorTime;
        long asked = Child.Now;
        _api.Send("PUT", "vm.restore", $$"""{"source_url":"file://{{folder}}","memory_restore_mode":"{{mode}}","resume":true}""");
        long elapsed = _child.WaitFor(Beat) - asked;
        return (elapsed, _child.ProcessorTime - cpu);
    }

    public void Pause() => _api.Put("vm.pause");

    public void Resume() => _api.Put("vm.resume");

    public void Dispose()
    {
        _api.Dispose();
        _child.Dispose();
    }
}
