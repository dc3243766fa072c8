using System.Globalization;
using System.Runtime.InteropServices;

namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>
/// A case and what the real processor made of it, as a line of text: undefined flags, how it ended (vector, error code, CR2, RIP),
/// the digest of everything, the code, and the state with the bytes around the middle of the data (other memory is zero).
/// </summary>
internal sealed record TestVector(byte[] Code, CpuImage Start, byte[] Memory, ulong Undefined, int Vector, uint Error, ulong Cr2,
    ulong Rip, ulong Digest)
{
    private const int MemoryBytes = 512;
    private const int MemoryStart = 0x1000 - (MemoryBytes / 2);

    /// <summary>Cuts a case's memory down to what a line holds.</summary>
    public static TestCase Reduce(TestCase test)
    {
        byte[] memory = new byte[GuestLayout.DataSize];
        test.Memory.AsSpan(MemoryStart, MemoryBytes).CopyTo(memory.AsSpan(MemoryStart));
        return test with { Memory = memory };
    }

    public static string Line(TestCase test, CpuImage end, ReadOnlySpan<byte> memoryAfter)
    {
        ulong undefined = test.Undefined(end);
        byte[] state = new byte[128 + 8 + CpuImage.XsaveBytes + MemoryBytes];
        MemoryMarshal.AsBytes(test.Start.General.AsSpan()).CopyTo(state);
        BitConverter.TryWriteBytes(state.AsSpan(128), test.Start.Flags);
        test.Start.Xsave.CopyTo(state, 136);
        test.Memory.AsSpan(MemoryStart, MemoryBytes).CopyTo(state.AsSpan(136 + CpuImage.XsaveBytes));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{undefined:x} {end.Vector} {end.Error:x} {end.Cr2:x} {end.Rip:x} {end.Digest(undefined, memoryAfter):x} {Convert.ToHexStringLower(test.Code)} {Convert.ToBase64String(state)}");
    }

    public static TestVector Parse(string line)
    {
        string[] parts = line.Split(' ');
        byte[] state = Convert.FromBase64String(parts[7]);
        CpuImage start = new() { Flags = BitConverter.ToUInt64(state, 128) };
        MemoryMarshal.Cast<byte, ulong>(state.AsSpan(0, 128)).CopyTo(start.General);
        state.AsSpan(136, CpuImage.XsaveBytes).CopyTo(start.Xsave);
        byte[] memory = new byte[GuestLayout.DataSize];
        state.AsSpan(136 + CpuImage.XsaveBytes, MemoryBytes).CopyTo(memory.AsSpan(MemoryStart));
        return new TestVector(
            Convert.FromHexString(parts[6]), start, memory, Hex(parts[0]), int.Parse(parts[1], CultureInfo.InvariantCulture),
                (uint)Hex(parts[2]),
            Hex(parts[3]), Hex(parts[4]), Hex(parts[5]));
    }

    private static ulong Hex(string text) => ulong.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
