using System.Buffers.Binary;

namespace Cnvm.Virtio.Block.Vhd;

/// <summary>An entry of a VHDX image's log (MS-VHDX §2.3.1) whose checksum and numbers are right.</summary>
/// <param name="At">Offset in the log.</param>
/// <param name="Length">Bytes; it may go on at the log's beginning.</param>
/// <param name="Tail">Offset in the log of the oldest entry that was needed when it was written.</param>
/// <param name="Sequence">One more than the entry before it.</param>
/// <param name="Descriptors">What it changes.</param>
/// <param name="FlushedFileOffset">Bytes that the file had on stable storage.</param>
/// <param name="LastFileOffset">Bytes that the file has to have.</param>
internal readonly record struct VhdxLogEntry(
    int At, int Length, int Tail, ulong Sequence, int Descriptors, ulong FlushedFileOffset, ulong LastFileOffset)
{
    /// <summary>Where the data of the first descriptor that has any lies, from the entry's beginning.</summary>
    public int DataAt => DataStart(Descriptors);

    /// <param name="ring">The log twice, one behind the other, so that no entry is cut.</param>
    /// <param name="length">Bytes of the log.</param>
    /// <param name="budget">Bytes that may still be summed up; entries that lie over each other would take for ever.</param>
    public static bool TryParse(ReadOnlySpan<byte> ring, int length, int at, Guid guid, ref long budget, out VhdxLogEntry entry)
    {
        entry = default;
        ReadOnlySpan<byte> head = ring.Slice(at, VhdxSpec.LogHeaderBytes);
        if (!head.StartsWith(VhdxSpec.LogSignature) || new Guid(head.Slice(VhdxSpec.LogGuid, 16)) != guid)
        {
            return false;
        }

        uint bytes = Number(head[VhdxSpec.LogEntryLength..]);
        uint tail = Number(head[VhdxSpec.LogTail..]);
        uint descriptors = Number(head[VhdxSpec.LogDescriptors..]);
        ulong sequence = Wide(head[VhdxSpec.LogSequence..]);
        if (bytes == 0 || bytes > length || bytes % VhdxSpec.LogSector != 0 || tail >= length || tail % VhdxSpec.LogSector != 0
            || sequence == 0 || descriptors > bytes / VhdxSpec.DescriptorBytes || DataStart((int)descriptors) > bytes)
        {
            return false;
        }

        ReadOnlySpan<byte> all = ring.Slice(at, (int)bytes);
        budget -= bytes;
        if (budget < 0 || !VhdxChecksum.IsRight(all) || !IsWhole(all, (int)descriptors, sequence))
        {
            return false;
        }

        entry = new VhdxLogEntry(
            at, (int)bytes, (int)tail, sequence, (int)descriptors,
            Wide(head[VhdxSpec.LogFlushedFileOffset..]), Wide(head[VhdxSpec.LogLastFileOffset..]));
        return true;
    }

    /// <summary>One of an entry's descriptors.</summary>
    public static ReadOnlySpan<byte> Descriptor(ReadOnlySpan<byte> entry, int index) =>
        entry.Slice(VhdxSpec.LogHeaderBytes + (index * VhdxSpec.DescriptorBytes), VhdxSpec.DescriptorBytes);

    public static uint Number(ReadOnlySpan<byte> at) => BinaryPrimitives.ReadUInt32LittleEndian(at);

    public static ulong Wide(ReadOnlySpan<byte> at) => BinaryPrimitives.ReadUInt64LittleEndian(at);

    private static int DataStart(int descriptors) =>
        (VhdxSpec.LogHeaderBytes + (descriptors * VhdxSpec.DescriptorBytes) + VhdxSpec.LogSector - 1) & ~(VhdxSpec.LogSector - 1);

    /// <summary>Every descriptor, and every sector of data, belongs to this entry.</summary>
    private static bool IsWhole(ReadOnlySpan<byte> entry, int descriptors, ulong sequence)
    {
        int data = DataStart(descriptors);
        for (int i = 0; i < descriptors; i++)
        {
            ReadOnlySpan<byte> descriptor = Descriptor(entry, i);
            if (Wide(descriptor[VhdxSpec.DescriptorSequence..]) != sequence)
            {
                return false;
            }

            if (descriptor.StartsWith(VhdxSpec.ZeroSignature))
            {
                continue;
            }

            if (!descriptor.StartsWith(VhdxSpec.DescriptorSignature) || data + VhdxSpec.LogSector > entry.Length)
            {
                return false;
            }

            ReadOnlySpan<byte> sector = entry.Slice(data, VhdxSpec.LogSector);
            if (!sector.StartsWith(VhdxSpec.DataSignature)
                || Number(sector[4..]) != (uint)(sequence >> 32) || Number(sector[VhdxSpec.DataTrailing..]) != (uint)sequence)
            {
                return false;
            }

            data += VhdxSpec.LogSector;
        }

        return true;
    }
}
