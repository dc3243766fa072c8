using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Transport;

/// <summary>Writes to the queue registers that both transports have.</summary>
internal static class QueueRegister
{
    public static readonly Func<QueueState, ulong, QueueState> Size =
        static (q, v) => q with { Size = (ushort)v };
    public static readonly Func<QueueState, ulong, QueueState> DescriptorLow =
        static (q, v) => q with { DescriptorTable = Low(q.DescriptorTable, v) };
    public static readonly Func<QueueState, ulong, QueueState> DescriptorHigh =
        static (q, v) => q with { DescriptorTable = High(q.DescriptorTable, v) };
    public static readonly Func<QueueState, ulong, QueueState> AvailLow =
        static (q, v) => q with { AvailRing = Low(q.AvailRing, v) };
    public static readonly Func<QueueState, ulong, QueueState> AvailHigh =
        static (q, v) => q with { AvailRing = High(q.AvailRing, v) };
    public static readonly Func<QueueState, ulong, QueueState> UsedLow =
        static (q, v) => q with { UsedRing = Low(q.UsedRing, v) };
    public static readonly Func<QueueState, ulong, QueueState> UsedHigh =
        static (q, v) => q with { UsedRing = High(q.UsedRing, v) };

    private static ulong Low(ulong old, ulong value) => (old & 0xffff_ffff_0000_0000) | (uint)value;

    private static ulong High(ulong old, ulong value) => (uint)old | (value << 32);
}
