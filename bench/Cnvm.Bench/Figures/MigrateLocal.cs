using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// A Linux guest of 1 GiB, half of it in use, is handed with its memory to another process of the same host, as when the VMM is renewed. No
/// peer: QEMU's way to do it needs other machines than the one that is measured elsewhere.
/// </summary>
internal sealed class MigrateLocal(Workspace workspace) : Experiment
{
    private const int MemoryMiB = 1024;
    private const int DowntimeMilliseconds = 50;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);
    private int _count;

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new("migrate-local-1g-total", "ms", "a guest of 1 GiB is handed to another process with its memory, elapsed"),
        new("migrate-local-1g-downtime", "ms", $"it stands still meanwhile; {DowntimeMilliseconds} ms are the goal"),
    ];

    public override IReadOnlyList<string> Sides { get; } = [CnvmVmm.Soft.Name];

    protected override int DefaultRounds => 3;

    protected override double[] Sample(string side)
    {
        Vmm machine = CnvmVmm.Soft;
        string from = Path("from");
        string to = Path("to");
        string url = "unix:" + Path("move");
        using ShellGuest guest = ShellGuest.Boot(machine, workspace, Limit, p => p with { Memory = MemoryMiB, ControlSocket = from, NamedMemory = true });
        guest.Ask(MigrateGuest.Fill + "; echo filled");
        Child target = machine.Start(workspace, guest.Plan with { ControlSocket = to, Arrives = true }, Limit);
        try
        {
            using var receiver = new CnvmMigration(target, to);
            using var sender = new CnvmMigration(guest.Process, from, ",\"local\":true");
            receiver.Receive(url);
            MoveResult result = sender.Send(url, DowntimeMilliseconds);
            guest.Follow(target);
            guest.Ask("echo here");
            return [result.TotalMilliseconds, result.DowntimeMilliseconds];
        }
        catch
        {
            target.Dispose();
            throw;
        }
    }

    private string Path(string name) => workspace.File($"local-{name}-{_count++}");
}
