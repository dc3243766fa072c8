using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A disk that arrives, and somebody who is told of everything that is done to it, and may object.</summary>
/// <param name="inner">Not owned.</param>
/// <param name="onCall">Told before: "written", "cleared" or "flushed".</param>
internal sealed class WatchedDisk(IArrivingDisk inner, Action<string> onCall) : IArrivingDisk
{
    public ulong Size => inner.Size;

    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        onCall("written");
        inner.Write(offset, data);
    }

    public void Clear(ulong offset, ulong length)
    {
        onCall("cleared");
        inner.Clear(offset, length);
    }

    public void Flush()
    {
        onCall("flushed");
        inner.Flush();
    }
}
