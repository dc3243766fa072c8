using System.Buffers.Binary;

namespace Cnvm.Arch.Firmware;

/// <summary>A growing buffer of little-endian fields.</summary>
internal class TableWriter
{
    private byte[] _buffer = new byte[512];

    public int Length { get; private set; }

    public Span<byte> Written => _buffer.AsSpan(0, Length);

    public byte[] ToArray() => Written.ToArray();

    public void Byte(byte value) => Reserve(1)[0] = value;

    public void Word(ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Reserve(2), value);

    public void Dword(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Reserve(4), value);

    public void Qword(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Reserve(8), value);

    public void Bytes(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Reserve(bytes.Length));

    /// <summary>Bytes that read as zero.</summary>
    public void Zeros(int count) => Reserve(count).Clear();

    /// <summary>Text in a fixed-width field: cut or padded with <paramref name="padding"/>.</summary>
    public void FixedText(ReadOnlySpan<byte> text, int width, byte padding)
    {
        var field = Reserve(width);
        field.Fill(padding);
        text[..Math.Min(text.Length, width)].CopyTo(field);
    }

    /// <summary>Appends <paramref name="count"/> bytes of undefined content for the caller to fill. Valid until the next append.</summary>
    protected Span<byte> Reserve(int count)
    {
        if (_buffer.Length - Length < count)
        {
            Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, Length + count));
        }

        var span = _buffer.AsSpan(Length, count);
        Length += count;
        return span;
    }
}
