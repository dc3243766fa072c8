using System.Buffers.Binary;

namespace Cnvm.Virtio.Block.Vhd;

/// <summary>What the footer of a VHD image says, checked. Fields that mean nothing here stay as they are.</summary>
internal sealed class VhdFooter
{
    private const int SectorsPerTrack = 63;
    private readonly byte[] _bytes;

    private VhdFooter(byte[] bytes) => _bytes = bytes;

    /// <summary>As it lies in the file.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>Of <see cref="VhdSpec"/>.</summary>
    public uint Type => BinaryPrimitives.ReadUInt32BigEndian(_bytes.AsSpan(VhdSpec.FooterType));

    /// <summary>Bytes of the disk; whole sectors.</summary>
    public ulong Size => BinaryPrimitives.ReadUInt64BigEndian(_bytes.AsSpan(VhdSpec.FooterCurrentSize));

    /// <summary>Where a dynamic image's header is.</summary>
    public ulong DataOffset => BinaryPrimitives.ReadUInt64BigEndian(_bytes.AsSpan(VhdSpec.FooterDataOffset));

    public static bool HasCookie(ReadOnlySpan<byte> sector) => sector.StartsWith(VhdSpec.Cookie);

    /// <param name="path">For messages.</param>
    /// <param name="sector">The footer, or the copy of it.</param>
    /// <exception cref="BlockImageException">It is damaged or not supported.</exception>
    public static VhdFooter Parse(string path, ReadOnlySpan<byte> sector)
    {
        if (sector.Length < VhdSpec.FooterBytes || !HasCookie(sector))
        {
            throw Wrong(path, "has no footer: it is damaged, or was not copied whole");
        }

        byte[] bytes = sector[..VhdSpec.FooterBytes].ToArray();
        uint sum = BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(VhdSpec.FooterChecksum));
        if (sum != Checksum(bytes, VhdSpec.FooterChecksum))
        {
            throw Wrong(path, "has a footer whose checksum is wrong: it is damaged");
        }

        VhdFooter footer = new(bytes);
        uint version = BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(VhdSpec.FooterVersion));
        if (version >> 16 != VhdSpec.Version >> 16)
        {
            throw Wrong(path, $"is of version {version >> 16}.{version & 0xffff}, which is not supported (1.0 is)");
        }

        if (footer.Type == VhdSpec.Differencing)
        {
            throw Wrong(path, "is a differencing disk, which is not supported: merge it with its parent, or convert it (qemu-img convert -O qcow2)");
        }

        if (footer.Type is not (VhdSpec.Fixed or VhdSpec.Dynamic))
        {
            throw Wrong(path, $"is of disk type {footer.Type}, which is not supported (fixed and dynamic are)");
        }

        return footer.Size == 0 || footer.Size % BlockSpec.SectorSize != 0 || footer.Size > long.MaxValue
            ? throw Wrong(path, $"says that its disk has {footer.Size} bytes, which cannot be")
            : footer;
    }

    /// <summary>The footer of the same disk with another size, which then counts rather than the geometry.</summary>
    public VhdFooter WithSize(ulong size)
    {
        byte[] bytes = (byte[])_bytes.Clone();
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(VhdSpec.FooterCurrentSize), size);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(VhdSpec.FooterGeometry), Geometry(size / BlockSpec.SectorSize));
        VhdSpec.CreatorOfExactSizes.CopyTo(bytes.AsSpan(VhdSpec.FooterCreator));
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(VhdSpec.FooterChecksum), Checksum(bytes, VhdSpec.FooterChecksum));
        return new VhdFooter(bytes);
    }

    /// <summary>The one's complement of the sum of all bytes but the checksum's own.</summary>
    /// <param name="at">Where the checksum is.</param>
    public static uint Checksum(ReadOnlySpan<byte> bytes, int at)
    {
        uint sum = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            sum += i >= at && i < at + sizeof(uint) ? 0u : bytes[i];
        }

        return ~sum;
    }

    public static BlockImageException Wrong(string path, string what) => new($"disk {path}: the VHD image {what}");

    /// <summary>Cylinders (16 bits), heads and sectors per track (8 bits each) for a number of sectors (appendix "CHS calculation").</summary>
    private static uint Geometry(ulong sectors)
    {
        const uint MaxCylinders = 65535, MaxHeads = 16, MaxTrack = 255, Track = 17, LongTrack = 31, Cylinders = 1024;
        sectors = Math.Min(sectors, (ulong)MaxCylinders * MaxHeads * MaxTrack);
        uint track = MaxTrack;
        uint heads = MaxHeads;
        if (sectors < (ulong)MaxCylinders * MaxHeads * SectorsPerTrack)
        {
            track = Track;
            heads = Math.Max(4, (uint)(((sectors / track) + Cylinders - 1) / Cylinders));
            if (sectors / track >= heads * Cylinders || heads > MaxHeads)
            {
                track = LongTrack;
                heads = MaxHeads;
            }

            if (sectors / track >= heads * Cylinders)
            {
                track = SectorsPerTrack;
                heads = MaxHeads;
            }
        }

        return ((uint)(sectors / track / heads) << 16) | (heads << 8) | track;
    }
}
