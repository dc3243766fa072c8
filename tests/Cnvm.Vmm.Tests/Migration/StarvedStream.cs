using Cnvm.Linux;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A connection on which this process runs out of memory when it reads.</summary>
/// <param name="inner">Owned.</param>
/// <param name="reads">How often it may read before.</param>
internal sealed class StarvedStream(Stream inner, int reads) : SpanStream
{
    private int _left = reads;

    /// <summary>It has happened.</summary>
    public bool HasStarved => Volatile.Read(ref _left) < 0;

    public override int Read(Span<byte> buffer) => Interlocked.Decrement(ref _left) < 0 ? throw new OutOfMemoryException() : inner.Read(buffer);

    public override void Write(ReadOnlySpan<byte> buffer) => inner.Write(buffer);

    protected override void Dispose(bool disposing)
    {
        inner.Dispose();
        base.Dispose(disposing);
    }
}
