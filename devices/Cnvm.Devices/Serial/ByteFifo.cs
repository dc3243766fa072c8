namespace Cnvm.Devices.Serial;

/// <summary>A ring of up to 16 bytes.</summary>
internal sealed class ByteFifo
{
    public const int Capacity = 16;

    private readonly byte[] _bytes = new byte[Capacity];
    private int _first;

    public int Count { get; private set; }

    public void Clear() => Count = 0;

    /// <summary>The caller has checked that there is room.</summary>
    public void Add(byte value)
    {
        _bytes[(_first + Count) % Capacity] = value;
        Count++;
    }

    /// <summary>The oldest byte; the caller has checked that there is one.</summary>
    public byte Peek() => _bytes[_first];

    public byte Take()
    {
        byte value = _bytes[_first];
        _first = (_first + 1) % Capacity;
        Count--;
        return value;
    }

    public byte[] ToArray()
    {
        byte[] copy = new byte[Count];
        for (int i = 0; i < Count; i++)
        {
            copy[i] = _bytes[(_first + i) % Capacity];
        }

        return copy;
    }

    public void Load(ReadOnlySpan<byte> values)
    {
        Clear();
        foreach (byte value in values)
        {
            Add(value);
        }
    }
}
