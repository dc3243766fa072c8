using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Tests;

/// <summary>RAM in arrays, one per region, for tests.</summary>
internal sealed class ArrayMemory : IPhysicalMemory
{
    private readonly (AddressRange Range, byte[] Bytes)[] _regions;

    public ArrayMemory(params AddressRange[] regions) => _regions = [.. regions.Select(r => (r, new byte[r.Length]))];

    public ArrayMemory(int size) : this(new AddressRange(0, (ulong)size))
    {
    }

    public Span<byte> GetSpan(ulong gpa, int length)
    {
        foreach (var (range, bytes) in _regions)
        {
            if (range.Contains(gpa) && (ulong)length <= range.End - gpa)
            {
                return bytes.AsSpan((int)(gpa - range.Start), length);
            }
        }

        throw new GuestAddressException(gpa, (ulong)length);
    }
}
