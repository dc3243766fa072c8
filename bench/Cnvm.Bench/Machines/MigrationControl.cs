namespace Cnvm.Bench.Machines;

/// <summary>A VMM's control connection, as far as live migration goes.</summary>
internal abstract class MigrationControl : IDisposable
{
    /// <summary>Longest time for a move.</summary>
    protected static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    public static MigrationControl Connect(Vmm machine, Child child, string path) =>
        machine is CnvmVmm ? new CnvmMigration(child, path) : new QemuMigration(child, path);

    /// <summary>Begins to listen for a guest, and returns when it does.</summary>
    /// <param name="url">tcp:HOST:PORT.</param>
    public abstract void Receive(string url);

    /// <summary>Moves the guest away.</summary>
    /// <param name="downtimeMilliseconds">How long it may stand still.</param>
    /// <exception cref="MeasurementException">It did not arrive.</exception>
    public abstract MoveResult Send(string url, int downtimeMilliseconds);

    public abstract void Dispose();
}
