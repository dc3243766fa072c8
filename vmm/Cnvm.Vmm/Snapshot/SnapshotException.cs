namespace Cnvm.Vmm.Snapshot;

/// <summary>A snapshot cannot be written or is not usable; the message names the file and what is wrong with it.</summary>
public sealed class SnapshotException : Exception
{
    public SnapshotException(string message)
        : base(message)
    {
    }

    public SnapshotException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
