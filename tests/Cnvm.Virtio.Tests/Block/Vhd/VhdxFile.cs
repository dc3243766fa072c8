using System.Buffers.Binary;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Virtio.Block.Vhd;

namespace Cnvm.Virtio.Tests.Block.Vhd;

/// <summary>A VHDX file in memory whose structures a test changes, with checksums that are right again.</summary>
internal sealed class VhdxFile(byte[] bytes)
{
    private const int Sector = VhdxSpec.LogSector;

    public byte[] Bytes => bytes;

    public int LogOffset => (int)Wide((int)Current + VhdxSpec.HeaderLogOffset);

    public int LogLength => (int)Wide((int)Current + VhdxSpec.HeaderLogLength) & int.MaxValue;

    /// <summary>Offset of the header that counts.</summary>
    public ulong Current =>
        Wide((int)VhdxSpec.Header1 + VhdxSpec.HeaderSequence) >= Wide((int)VhdxSpec.Header2 + VhdxSpec.HeaderSequence) ? VhdxSpec.Header1 : VhdxSpec.Header2;

    public int TableOffset => Region(VhdxSpec.BlockAllocationTable);

    public int MetadataOffset => Region(VhdxSpec.Metadata);

    /// <summary>Changes a field in both headers.</summary>
    public VhdxFile SetHeader(int offset, int length, ulong value)
    {
        foreach (ulong at in new[] { VhdxSpec.Header1, VhdxSpec.Header2 })
        {
            Put((int)at + offset, length, value);
            Sum(bytes.AsSpan((int)at, VhdxSpec.HeaderBytes));
        }

        return this;
    }

    public VhdxFile SetLogGuid(Guid guid)
    {
        foreach (ulong at in new[] { VhdxSpec.Header1, VhdxSpec.Header2 })
        {
            guid.TryWriteBytes(bytes.AsSpan((int)at + VhdxSpec.HeaderLogGuid));
            Sum(bytes.AsSpan((int)at, VhdxSpec.HeaderBytes));
        }

        return this;
    }

    /// <summary>Changes a field in both region tables.</summary>
    public VhdxFile SetRegion(int offset, int length, ulong value)
    {
        foreach (ulong at in new[] { VhdxSpec.RegionTable1, VhdxSpec.RegionTable2 })
        {
            Put((int)at + offset, length, value);
            Sum(bytes.AsSpan((int)at, VhdxSpec.TableBytes));
        }

        return this;
    }

    /// <summary>Place of a region's entry in the region tables.</summary>
    public int RegionEntry(Guid id)
    {
        int at = VhdxSpec.RegionEntries;
        while (new Guid(bytes.AsSpan((int)VhdxSpec.RegionTable1 + at, 16)) != id)
        {
            at += VhdxSpec.RegionEntryBytes;
        }

        return at;
    }

    /// <summary>Place of a metadata item's entry in the file.</summary>
    public int MetadataEntry(Guid id)
    {
        int at = MetadataOffset + VhdxSpec.MetadataEntries;
        while (new Guid(bytes.AsSpan(at, 16)) != id)
        {
            at += VhdxSpec.MetadataEntryBytes;
        }

        return at;
    }

    /// <summary>Place of a metadata item's value in the file.</summary>
    public int MetadataValue(Guid id) =>
        MetadataOffset + (int)BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(MetadataEntry(id) + VhdxSpec.MetadataOffset));

    /// <summary>Puts an entry into the log, which may go on at its beginning. Returns where the next one comes.</summary>
    /// <param name="at">Offset in the log.</param>
    /// <param name="changes">Offset in the file, and the 4096 bytes that come there, or null and how many zeroes.</param>
    public int AddLogEntry(
        int at, int tail, ulong sequence, Guid guid, (ulong Offset, byte[]? Data, ulong Zeroes)[] changes, ulong flushed = 0, ulong last = 0)
    {
        int head = (VhdxSpec.LogHeaderBytes + (changes.Length * VhdxSpec.DescriptorBytes) + Sector - 1) / Sector * Sector;
        byte[] entry = new byte[head + (changes.Count(c => c.Data is not null) * Sector)];
        VhdxSpec.LogSignature.CopyTo(entry);
        BinaryPrimitives.WriteInt32LittleEndian(entry.AsSpan(VhdxSpec.LogEntryLength), entry.Length);
        BinaryPrimitives.WriteInt32LittleEndian(entry.AsSpan(VhdxSpec.LogTail), tail);
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(VhdxSpec.LogSequence), sequence);
        BinaryPrimitives.WriteInt32LittleEndian(entry.AsSpan(VhdxSpec.LogDescriptors), changes.Length);
        guid.TryWriteBytes(entry.AsSpan(VhdxSpec.LogGuid));
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(VhdxSpec.LogFlushedFileOffset), flushed == 0 ? (ulong)bytes.Length : flushed);
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(VhdxSpec.LogLastFileOffset), last == 0 ? (ulong)bytes.Length : last);
        int data = head;
        for (int i = 0; i < changes.Length; i++)
        {
            Span<byte> descriptor = entry.AsSpan(VhdxSpec.LogHeaderBytes + (i * VhdxSpec.DescriptorBytes), VhdxSpec.DescriptorBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor[VhdxSpec.DescriptorFileOffset..], changes[i].Offset);
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor[VhdxSpec.DescriptorSequence..], sequence);
            if (changes[i].Data is not { } sector)
            {
                VhdxSpec.ZeroSignature.CopyTo(descriptor);
                BinaryPrimitives.WriteUInt64LittleEndian(descriptor[VhdxSpec.DescriptorLeading..], changes[i].Zeroes);
                continue;
            }

            VhdxSpec.DescriptorSignature.CopyTo(descriptor);
            sector.AsSpan(0, 8).CopyTo(descriptor[VhdxSpec.DescriptorLeading..]);
            sector.AsSpan(Sector - 4).CopyTo(descriptor[VhdxSpec.DescriptorTrailing..]);
            Span<byte> copy = entry.AsSpan(data, Sector);
            sector.CopyTo(copy);
            VhdxSpec.DataSignature.CopyTo(copy);
            BinaryPrimitives.WriteUInt32LittleEndian(copy[4..], (uint)(sequence >> 32));
            BinaryPrimitives.WriteUInt32LittleEndian(copy[(Sector - 4)..], (uint)sequence);
            data += Sector;
        }

        Sum(entry);
        for (int i = 0; i < entry.Length; i++)
        {
            bytes[LogOffset + ((at + i) % LogLength)] = entry[i];
        }

        return (at + entry.Length) % LogLength;
    }

    public ulong Wide(int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));

    public void Put(int at, int length, ulong value)
    {
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(number, value);
        number[..length].CopyTo(bytes.AsSpan(at));
    }

    /// <summary>Makes a structure's checksum right.</summary>
    public static void Sum(Span<byte> structure)
    {
        structure.Slice(VhdxSpec.Checksum, 4).Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(structure[VhdxSpec.Checksum..], Crc32C.Of(structure));
    }

    private int Region(Guid id) => (int)Wide((int)VhdxSpec.RegionTable1 + RegionEntry(id) + VhdxSpec.RegionOffset);
}
