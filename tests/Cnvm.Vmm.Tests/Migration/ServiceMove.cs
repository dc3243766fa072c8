using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Tests.Snapshot;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A machine moves from one VMM of this process to another one, as requests ask for it.</summary>
internal static class ServiceMove
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>What the source says when it is over at both sides.</summary>
    /// <param name="socket">A file in the target's folder.</param>
    /// <param name="disks">Where disks are at the target.</param>
    public static MigrationInfo Run(SnapshotService source, SnapshotService target, string socket, params IReadOnlyList<DiskPlacement> disks)
    {
        string url = $"unix:{target.File(socket)}";
        using var received = new ManualResetEventSlim(false);
        using var sent = new ManualResetEventSlim(false);
        MigrationInfo? end = null;
        target.OnVmm(vmm => vmm.ReceiveMigration(new ReceiveMigrationData(url, Disks: disks), [], _ => received.Set()));
        source.OnVmm(vmm =>
        {
            vmm.SendMigration(new SendMigrationData(url));
            vmm.WaitForMigration(info =>
            {
                end = info;
                sent.Set();
            });
        });
        Assert.True(sent.Wait(Limit) && received.Wait(Limit), $"source {source.Vmm.Migration()}, target {target.Vmm.Migration()}");

        // It is told before what is left of the machine goes.
        source.OnVmm(static _ => { });
        return end!;
    }
}
