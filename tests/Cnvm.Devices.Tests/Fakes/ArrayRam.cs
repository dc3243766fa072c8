using Cnvm.Arch;

namespace Cnvm.Devices.Tests.Fakes;

/// <summary>RAM from address 0 on.</summary>
internal sealed class ArrayRam(int bytes) : IPhysicalMemory
{
    private readonly byte[] _bytes = new byte[bytes];

    public Span<byte> GetSpan(ulong gpa, int length) => gpa + (ulong)length <= (ulong)_bytes.Length
        ? _bytes.AsSpan((int)gpa, length)
        : throw new GuestAddressException(gpa, (ulong)length);
}
