namespace Cnvm.Hypervisor.Memory;

/// <summary>
/// A device whose writes to guest memory somebody else logs, another process or the kernel, so that it cannot call
/// <see cref="GuestMemory.MarkDirty"/>. Never two calls at a time.
/// </summary>
public interface IDeviceWriteLog
{
    /// <summary>From its return on, every write is logged.</summary>
    /// <exception cref="IOException">That is not possible; nothing has changed.</exception>
    void Start();

    /// <summary>Moves what was logged so far into <paramref name="into"/>.</summary>
    void Collect(DirtyBitmap into);

    /// <summary>Writes need not be logged any more.</summary>
    void Stop();
}
