using System.Buffers.Binary;

namespace Cnvm.Arch.Acpi.Aml;

/// <summary>One resource descriptor (ACPI 6.5, 6.4) for <see cref="AmlBuilder.ResourceTemplate"/>.</summary>
public sealed class AmlResource
{
    // General flags of address space descriptors (6.4.3.5): both ends fixed, positive decode, this device produces the range.
    private const byte FixedProducer = 0x0C;

    // The same, and this device consumes the range.
    private const byte FixedConsumer = 0x0D;

    // Type flags of memory (6.4.3.5.5): cacheable, read and write.
    private const byte CacheableReadWrite = 0x03;

    /// <summary>Where the first address stands in a QWord descriptor, in bytes.</summary>
    public const int QwordFirst = 14;

    /// <summary>Where the last address stands in it.</summary>
    public const int QwordLast = 22;

    /// <summary>Where the length stands in it.</summary>
    public const int QwordLength = 38;

    private AmlResource(byte[] bytes) => Bytes = bytes;

    internal byte[] Bytes { get; }

    /// <summary><c>Memory32Fixed (ReadWrite, address, length)</c>, 6.4.3.4.</summary>
    public static AmlResource Memory32Fixed(uint address, uint length)
    {
        var bytes = new byte[12];
        bytes[0] = 0x86;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(1), 9);
        bytes[3] = 0x01;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), address);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), length);
        return new AmlResource(bytes);
    }

    /// <summary><c>IO (Decode16, port, port, 1, length)</c>, 6.4.2.5.</summary>
    public static AmlResource Io(ushort port, byte length) =>
        new([0x47, 0x01, (byte)port, (byte)(port >> 8), (byte)port, (byte)(port >> 8), 0x01, length]);

    /// <summary><c>Interrupt (ResourceConsumer, ..., Exclusive) {gsi}</c>, active high, 6.4.3.6.</summary>
    public static AmlResource Interrupt(uint gsi, bool edge)
    {
        var bytes = new byte[9];
        bytes[0] = 0x89;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(1), 6);
        bytes[3] = (byte)(0x01 | (edge ? 0x02 : 0x00));
        bytes[4] = 1;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(5), gsi);
        return new AmlResource(bytes);
    }

    /// <summary><c>IRQNoFlags {irq}</c>, 6.4.2.1: an ISA interrupt (edge, active high), 0 to 15.</summary>
    public static AmlResource IsaIrq(byte irq)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(irq, (byte)15);
        var mask = 1 << irq;
        return new AmlResource([0x22, (byte)mask, (byte)(mask >> 8)]);
    }

    /// <summary><c>WordBusNumber (ResourceProducer, ...)</c>, both ends included.</summary>
    public static AmlResource BusRange(byte first, byte last) => Word(0x02, 0x00, first, last);

    /// <summary><c>WordIO (ResourceProducer, ..., EntireRange)</c>, both ends included.</summary>
    public static AmlResource IoRange(ushort first, ushort last) => Word(0x01, 0x03, first, last);

    /// <summary><c>DWordMemory (ResourceProducer, ..., NonCacheable, ReadWrite)</c>, both ends included.</summary>
    public static AmlResource MemoryRange32(uint first, uint last)
    {
        CheckRange(first, last);
        var bytes = AddressSpace(0x87, 4, 0x00, 0x01);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(10), first);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(14), last);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(22), checked(last - first + 1));
        return new AmlResource(bytes);
    }

    /// <summary><c>QWordMemory (ResourceProducer, ..., NonCacheable, ReadWrite)</c>, both ends included.</summary>
    public static AmlResource MemoryRange64(ulong first, ulong last)
    {
        CheckRange(first, last);
        var bytes = AddressSpace(0x8A, 8, 0x00, 0x01);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(14), first);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(22), last);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(38), checked(last - first + 1));
        return new AmlResource(bytes);
    }

    /// <summary>
    /// <c>QWordMemory (ResourceConsumer, ..., Cacheable, ReadWrite)</c> of RAM that a method fills in, by the offsets below.
    /// </summary>
    public static AmlResource Ram64()
    {
        var bytes = AddressSpace(0x8A, 8, 0x00, CacheableReadWrite);
        bytes[4] = FixedConsumer;

        // The largest range that is valid as it stands.
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(QwordLast), ulong.MaxValue - 1);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(QwordLength), ulong.MaxValue);
        return new AmlResource(bytes);
    }

    /// <summary><c>QWordMemory (ResourceConsumer, ..., Cacheable, ReadOnly)</c>, both ends included.</summary>
    public static AmlResource CacheableReadOnly64(ulong first, ulong last)
    {
        AmlResource range = MemoryRange64(first, last);
        range.Bytes[4] = FixedConsumer;
        range.Bytes[5] = 0x02;
        return range;
    }

    private static AmlResource Word(byte type, byte typeFlags, ushort first, ushort last)
    {
        CheckRange(first, last);
        var bytes = AddressSpace(0x88, 2, type, typeFlags);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), first);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(10), last);

        // The whole 64 Ki port space does not fit the length field; ranges here are parts of it.
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(14), checked((ushort)(last - first + 1)));
        return new AmlResource(bytes);
    }

    /// <summary>
    /// Header of a Word, DWord or QWord address space descriptor; granularity, minimum, maximum, translation, length follow.
    /// </summary>
    private static byte[] AddressSpace(byte tag, int fieldSize, byte type, byte typeFlags)
    {
        var bytes = new byte[6 + (5 * fieldSize)];
        bytes[0] = tag;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(1), (ushort)(bytes.Length - 3));
        bytes[3] = type;
        bytes[4] = FixedProducer;
        bytes[5] = typeFlags;
        return bytes;
    }

    private static void CheckRange(ulong first, ulong last)
    {
        if (last < first)
        {
            throw new ArgumentException($"A resource range must not end (0x{last:x}) before it starts (0x{first:x}).", nameof(last));
        }
    }
}
