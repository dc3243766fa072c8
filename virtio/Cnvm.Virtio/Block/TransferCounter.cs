using System.Diagnostics;

namespace Cnvm.Virtio.Block;

/// <summary>Counts transfers in one direction of one queue. Written by the queue's worker alone; read by anyone.</summary>
internal sealed class TransferCounter
{
    private ulong _bytes;
    private ulong _operations;
    private long _total;
    private long _minimum = long.MaxValue;
    private long _maximum;

    public ulong Bytes => Volatile.Read(ref _bytes);

    public ulong Operations => Volatile.Read(ref _operations);

    /// <summary>Stopwatch ticks of all operations together.</summary>
    public long TotalTicks => Volatile.Read(ref _total);

    /// <summary>Stopwatch ticks; long.MaxValue before the first.</summary>
    public long MinimumTicks => Volatile.Read(ref _minimum);

    public long MaximumTicks => Volatile.Read(ref _maximum);

    public static ulong Microseconds(long ticks) => (ulong)(ticks * (1_000_000.0 / Stopwatch.Frequency));

    public void Add(uint bytes, long ticks)
    {
        Volatile.Write(ref _bytes, _bytes + bytes);
        Volatile.Write(ref _operations, _operations + 1);
        Volatile.Write(ref _total, _total + ticks);
        if (ticks < _minimum)
        {
            Volatile.Write(ref _minimum, ticks);
        }

        if (ticks > _maximum)
        {
            Volatile.Write(ref _maximum, ticks);
        }
    }
}
