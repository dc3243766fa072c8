using System.Buffers.Binary;

namespace Cnvm.Arch.Acpi.Aml;

/// <summary>A growing byte buffer that knows AML's primitive encodings (ACPI 6.5, 20.2).</summary>
internal sealed class AmlWriter
{
    private const int MaxPackageLength = (1 << 28) - 1;

    private byte[] _buffer = new byte[512];
    private int _length;

    public int Length => _length;

    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, _length);

    public byte[] ToArray() => Written.ToArray();

    public void Byte(byte value) => Reserve(1)[0] = value;

    public void Word(ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Reserve(2), value);

    public void Dword(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Reserve(4), value);

    public void Qword(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Reserve(8), value);

    public void Bytes(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Reserve(bytes.Length));

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
    public int BeginPackage() => _length;

    /// <summary>Puts the PkgLength (20.2.4) in front of the body. It counts its own bytes, hence the search for the width that fits.</summary>
    public void EndPackage(int start)
    {
        var body = _length - start;
        var width = body + 1 <= 0x3F ? 1 : body + 2 <= 0xFFF ? 2 : body + 3 <= 0xFFFFF ? 3 : 4;
        var total = body + width;
        if (total > MaxPackageLength)
        {
            throw new InvalidOperationException($"An AML object of {total} bytes is larger than PkgLength can say ({MaxPackageLength}).");
        }

        Reserve(width);
        _buffer.AsSpan(start, body).CopyTo(_buffer.AsSpan(start + width));
        WritePackageLength(_buffer.AsSpan(start, width), total);
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

    private Span<byte> Reserve(int count)
    {
        if (_buffer.Length - _length < count)
        {
            Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, _length + count));
        }

        var span = _buffer.AsSpan(_length, count);
        _length += count;
        return span;
    }
}
