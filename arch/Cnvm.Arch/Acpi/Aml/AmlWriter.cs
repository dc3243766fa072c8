using Cnvm.Arch.Firmware;

namespace Cnvm.Arch.Acpi.Aml;

/// <summary>A buffer that knows AML's opcodes and package lengths (ACPI 6.5, 20.2).</summary>
internal sealed class AmlWriter : TableWriter
{
    private const int MaxPackageLength = (1 << 28) - 1;

    /// <summary>An opcode: one byte, or two when its high byte is the extended prefix 0x5B.</summary>
    public void Opcode(ushort opcode)
    {
        if (opcode > byte.MaxValue)
        {
            Byte((byte)(opcode >> 8));
        }

        Byte((byte)opcode);
    }

    /// <summary>Starts an object that has a PkgLength. Pass the result to <see cref="EndPackage"/> when the body is written.</summary>
    public int BeginPackage() => Length;

    /// <summary>
    /// Puts the PkgLength (20.2.4) in front of the body. It counts its own bytes, hence the search for the width that fits.
    /// </summary>
    public void EndPackage(int start)
    {
        var body = Length - start;
        var width = body + 1 <= 0x3F ? 1 : body + 2 <= 0xFFF ? 2 : body + 3 <= 0xFFFFF ? 3 : 4;
        var total = body + width;
        if (total > MaxPackageLength)
        {
            throw new InvalidOperationException($"An AML object of {total} bytes is larger than PkgLength can say ({MaxPackageLength}).");
        }

        Reserve(width);
        Written.Slice(start, body).CopyTo(Written[(start + width)..]);
        WritePackageLength(Written.Slice(start, width), total);
    }

    /// <summary>A bare PkgLength, as field lists use it for widths in bits (it then counts only the value).</summary>
    public void FieldLength(int bits)
    {
        var width = bits <= 0x3F ? 1 : bits <= 0xFFF ? 2 : bits <= 0xFFFFF ? 3 : 4;
        WritePackageLength(Reserve(width), bits);
    }

    private static void WritePackageLength(Span<byte> destination, int value)
    {
        if (destination.Length == 1)
        {
            destination[0] = (byte)value;
            return;
        }

        destination[0] = (byte)(((destination.Length - 1) << 6) | (value & 0xF));
        for (var i = 1; i < destination.Length; i++)
        {
            destination[i] = (byte)(value >> (4 + (8 * (i - 1))));
        }
    }
}
