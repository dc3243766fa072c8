using System.Buffers.Binary;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Balloon;

/// <summary>The guest's figures of its memory (virtio 1.2 §5.5.6.3). Written by the worker; read by any thread.</summary>
internal sealed class BalloonStatistics
{
    private const int MaxEntries = 64;

    private static readonly string[] Names =
    [
        "swap_in", "swap_out", "major_faults", "minor_faults", "free_memory", "total_memory", "available_memory", "disk_caches",
        "hugetlb_allocations", "hugetlb_failures",
    ];

    private readonly ulong[] _values = new ulong[BalloonSpec.StatisticCount];

    public BalloonStatistics() => Clear();

    /// <summary>Figures that the guest gave, by name.</summary>
    public IEnumerable<KeyValuePair<string, ulong>> Known
    {
        get
        {
            for (int i = 0; i < Names.Length; i++)
            {
                ulong value = Volatile.Read(ref _values[i]);
                if (value != BalloonSpec.NoStatistic)
                {
                    yield return new(Names[i], value);
                }
            }
        }
    }

    public void Clear() => Array.Fill(_values, BalloonSpec.NoStatistic);

    /// <summary>Takes what stands in a buffer; tags that nobody knows are passed over.</summary>
    public void Take(ChainReader reader)
    {
        Span<byte> one = stackalloc byte[BalloonSpec.StatisticBytes];

        // A driver sends each tag once; a longer buffer has nothing more to say.
        for (int i = 0; i < MaxEntries && reader.Remaining >= BalloonSpec.StatisticBytes; i++)
        {
            reader.Read(one);
            int tag = BinaryPrimitives.ReadUInt16LittleEndian(one);
            if (tag < _values.Length)
            {
                Volatile.Write(ref _values[tag], BinaryPrimitives.ReadUInt64LittleEndian(one[2..]));
            }
        }
    }
}
