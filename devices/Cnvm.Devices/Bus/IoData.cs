using System.Buffers.Binary;

namespace Cnvm.Devices.Bus;

/// <summary>The bytes of an access as the little-endian number that x86 carries in them.</summary>
public static class IoData
{
    /// <summary>The number in 1 to 8 bytes.</summary>
    public static ulong Get(ReadOnlySpan<byte> data)
    {
        switch (data.Length)
        {
            case 1:
                return data[0];
            case 2:
                return BinaryPrimitives.ReadUInt16LittleEndian(data);
            case 4:
                return BinaryPrimitives.ReadUInt32LittleEndian(data);
            case 8:
                return BinaryPrimitives.ReadUInt64LittleEndian(data);
            default:
                ulong value = 0;
                for (int i = Math.Min(data.Length, 8) - 1; i >= 0; i--)
                {
                    value = (value << 8) | data[i];
                }

                return value;
        }
    }

    /// <summary>Fills <paramref name="data"/> with the low bytes of <paramref name="value"/>; bytes past the eighth become zero.</summary>
    public static void Set(Span<byte> data, ulong value)
    {
        switch (data.Length)
        {
            case 1:
                data[0] = (byte)value;
                break;
            case 2:
                BinaryPrimitives.WriteUInt16LittleEndian(data, (ushort)value);
                break;
            case 4:
                BinaryPrimitives.WriteUInt32LittleEndian(data, (uint)value);
                break;
            case 8:
                BinaryPrimitives.WriteUInt64LittleEndian(data, value);
                break;
            default:
                for (int i = 0; i < data.Length; i++)
                {
                    data[i] = i < 8 ? (byte)(value >> (8 * i)) : (byte)0;
                }

                break;
        }
    }
}
