using System.Buffers.Binary;
using System.Text;

namespace Cnvm.Virtio.Block.Qcow2;

/// <summary>What the header of a qcow2 image says, checked: tables lie in the file and have sizes that can be.</summary>
internal sealed record Qcow2Header
{
    /// <summary>Most entries that an L1 table may have: 512 TiB in clusters of 64 KiB.</summary>
    public const uint MaxL1Entries = 1024 * 1024;

    /// <summary>Largest refcount table, in bytes.</summary>
    public const ulong MaxRefcountTable = 8 * 1024 * 1024;

    private const int SectorMask = BlockSpec.SectorSize - 1;

    public required int Version { get; init; }

    public required int ClusterBits { get; init; }

    /// <summary>Bytes of the disk; whole sectors.</summary>
    public required ulong Size { get; init; }

    public required uint L1Entries { get; init; }

    public required ulong L1Offset { get; init; }

    public required ulong RefcountOffset { get; init; }

    public required uint RefcountClusters { get; init; }

    public required int RefcountOrder { get; init; }

    public required uint Snapshots { get; init; }

    public required ulong SnapshotOffset { get; init; }

    public required ulong Incompatible { get; init; }

    public required ulong Autoclear { get; init; }

    public required bool IsZstd { get; init; }

    /// <summary>The backing file as the image names it; null: none.</summary>
    public required string? BackingFile { get; init; }

    /// <summary>"raw" or "qcow2"; null when the image does not say.</summary>
    public required string? BackingFormat { get; init; }

    public ulong ClusterBytes => 1UL << ClusterBits;

    public bool IsDirty => (Incompatible & Qcow2Spec.Dirty) != 0;

    public bool IsCorrupt => (Incompatible & Qcow2Spec.Corrupt) != 0;

    public static bool HasMagic(ReadOnlySpan<byte> start) =>
        start.Length >= 4 && BinaryPrimitives.ReadUInt32BigEndian(start) == Qcow2Spec.Magic;

    /// <param name="path">For messages.</param>
    /// <param name="start">The file's beginning: a cluster, or all of it.</param>
    /// <param name="fileSize">Bytes in the file.</param>
    /// <exception cref="BlockImageException">The header is damaged, or asks for what is not supported.</exception>
    public static Qcow2Header Parse(string path, ReadOnlySpan<byte> start, ulong fileSize)
    {
        if (!HasMagic(start) || start.Length < Qcow2Spec.HeaderBytes2)
        {
            throw Wrong(path, "has no qcow2 header");
        }

        uint version = Word(start, Qcow2Spec.HeaderVersion);
        if (version is not (2 or 3))
        {
            throw Wrong(path, $"is qcow version {version}; 2 and 3 are supported");
        }

        bool isNew = version == 3;
        if (isNew && start.Length < Qcow2Spec.HeaderBytes3)
        {
            throw Wrong(path, "ends within its header");
        }

        uint clusterBits = Word(start, Qcow2Spec.HeaderClusterBits);
        if (clusterBits is < Qcow2Spec.MinClusterBits or > Qcow2Spec.MaxClusterBits)
        {
            throw Wrong(path, $"has 2^{clusterBits} bytes in a cluster; 2^9 to 2^21 are possible");
        }

        uint headerLength = isNew ? Word(start, Qcow2Spec.HeaderLength) : Qcow2Spec.HeaderBytes2;
        ulong cluster = 1UL << (int)clusterBits;
        if (headerLength < (isNew ? Qcow2Spec.HeaderBytes3 : Qcow2Spec.HeaderBytes2) || headerLength > cluster || headerLength > (uint)start.Length)
        {
            throw Wrong(path, $"has a header of {headerLength} bytes, which cannot be");
        }

        ulong incompatible = isNew ? Long(start, Qcow2Spec.HeaderIncompatible) : 0;
        start = start[..(int)Math.Min((ulong)start.Length, cluster)];
        bool isZstd = CheckFeatures(path, start, headerLength, incompatible);
        uint order = isNew ? Word(start, Qcow2Spec.HeaderRefcountOrder) : 4;
        if (order > Qcow2Spec.MaxRefcountOrder)
        {
            throw Wrong(path, $"has refcounts of 2^{order} bits; 2^0 to 2^6 are possible");
        }

        if (Word(start, Qcow2Spec.HeaderCrypt) is not 0 and uint method)
        {
            throw Wrong(path, $"is encrypted ({(method == 1 ? "AES" : method == 2 ? "LUKS" : $"method {method}")}), which is not supported");
        }

        Qcow2Header header = new()
        {
            Version = (int)version,
            ClusterBits = (int)clusterBits,
            Size = Long(start, Qcow2Spec.HeaderSize) & ~(ulong)SectorMask,
            L1Entries = Word(start, Qcow2Spec.HeaderL1Entries),
            L1Offset = Long(start, Qcow2Spec.HeaderL1Offset),
            RefcountOffset = Long(start, Qcow2Spec.HeaderRefcountOffset),
            RefcountClusters = Word(start, Qcow2Spec.HeaderRefcountClusters),
            RefcountOrder = (int)order,
            Snapshots = Word(start, Qcow2Spec.HeaderSnapshots),
            SnapshotOffset = Long(start, Qcow2Spec.HeaderSnapshotOffset),
            Incompatible = incompatible,
            Autoclear = isNew ? Long(start, Qcow2Spec.HeaderAutoclear) : 0,
            IsZstd = isZstd,
            BackingFile = BackingName(path, start),
            BackingFormat = FindExtension(start, headerLength, Qcow2Spec.ExtensionBackingFormat, out int at, out int length)
                ? Encoding.UTF8.GetString(start.Slice(at, length)) : null,
        };
        header.CheckTables(path, fileSize);
        return header;
    }

    /// <summary>L1 entries that a disk of a size needs; more than fits in an int for impossible sizes.</summary>
    public ulong L1EntriesFor(ulong size)
    {
        int shift = (2 * ClusterBits) - 3;
        return (size >> shift) + ((size & ((1UL << shift) - 1)) != 0 ? 1UL : 0);
    }

    public static BlockImageException Wrong(string path, string what) => new($"disk {path}: the qcow2 image {what}");

    private static uint Word(ReadOnlySpan<byte> start, int at) => BinaryPrimitives.ReadUInt32BigEndian(start[at..]);

    private static ulong Long(ReadOnlySpan<byte> start, int at) => BinaryPrimitives.ReadUInt64BigEndian(start[at..]);

    private static bool CheckFeatures(string path, ReadOnlySpan<byte> start, uint headerLength, ulong incompatible)
    {
        if ((incompatible & Qcow2Spec.ExternalData) != 0)
        {
            throw Wrong(path, "keeps its data in another file (external data file), which is not supported");
        }

        if ((incompatible & Qcow2Spec.ExtendedL2) != 0)
        {
            throw Wrong(path, "has extended L2 entries (subclusters), which are not supported");
        }

        ulong unknown = incompatible & ~(Qcow2Spec.Dirty | Qcow2Spec.Corrupt | Qcow2Spec.CompressionType);
        if (unknown != 0)
        {
            int bit = System.Numerics.BitOperations.TrailingZeroCount(unknown);
            throw Wrong(path, $"needs a feature that is not supported: bit {bit}{FeatureName(start, headerLength, bit)}");
        }

        byte compression = headerLength > Qcow2Spec.HeaderCompression ? start[Qcow2Spec.HeaderCompression] : Qcow2Spec.CompressionZlib;
        bool isSaid = (incompatible & Qcow2Spec.CompressionType) != 0;
        return (compression, isSaid) switch
        {
            (Qcow2Spec.CompressionZlib, false) => false,
            (Qcow2Spec.CompressionZstd, true) => true,
            _ => throw Wrong(path, $"has compression type {compression}{(isSaid ? "" : " without the feature for it")}; zlib (0) and zstd (1) are supported"),
        };
    }

    private static string FeatureName(ReadOnlySpan<byte> start, uint headerLength, int bit)
    {
        if (!FindExtension(start, headerLength, Qcow2Spec.ExtensionFeatureNames, out int at, out int length))
        {
            return "";
        }

        for (int i = 0; i + Qcow2Spec.FeatureNameBytes <= length; i += Qcow2Spec.FeatureNameBytes)
        {
            ReadOnlySpan<byte> feature = start.Slice(at + i, Qcow2Spec.FeatureNameBytes);
            if (feature[0] == 0 && feature[1] == bit)
            {
                ReadOnlySpan<byte> name = feature[2..];
                int end = name.IndexOf((byte)0);
                return $" ({Printable(Encoding.UTF8.GetString(end < 0 ? name : name[..end]))})";
            }
        }

        return "";
    }

    private static bool FindExtension(ReadOnlySpan<byte> start, uint headerLength, uint type, out int at, out int length)
    {
        const int ExtensionHeader = 8;
        long position = headerLength;
        while (position + ExtensionHeader <= start.Length)
        {
            uint found = Word(start, (int)position);
            uint bytes = Word(start, (int)position + 4);
            position += ExtensionHeader;
            if (found == Qcow2Spec.ExtensionEnd || bytes > start.Length - position)
            {
                break;
            }

            if (found == type)
            {
                at = (int)position;
                length = (int)bytes;
                return true;
            }

            position += ((long)bytes + 7) & ~7L;
        }

        at = 0;
        length = 0;
        return false;
    }

    private static string? BackingName(string path, ReadOnlySpan<byte> start)
    {
        ulong offset = Long(start, Qcow2Spec.HeaderBackingOffset);
        uint length = Word(start, Qcow2Spec.HeaderBackingLength);
        if (offset == 0)
        {
            return null;
        }

        if (length is 0 or > Qcow2Spec.MaxBackingName || offset > (ulong)start.Length || length > (ulong)start.Length - offset)
        {
            throw Wrong(path, "names its backing file outside of its first cluster");
        }

        string name = Encoding.UTF8.GetString(start.Slice((int)offset, (int)length));
        return name.Contains('\0') ? throw Wrong(path, "names its backing file with a null byte") : name;
    }

    private static string Printable(string text) => new(Array.ConvertAll(text.ToCharArray(), c => char.IsControl(c) ? '?' : c));

    private void CheckTables(string path, ulong fileSize)
    {
        ulong mask = ClusterBytes - 1;
        ulong needed = L1EntriesFor(Size);
        if (Size > long.MaxValue || needed > MaxL1Entries || L1Entries > MaxL1Entries)
        {
            throw Wrong(
                path, $"of {Size} bytes in clusters of {ClusterBytes} needs too large an L1 table ({Math.Max(needed, L1Entries)} entries; {MaxL1Entries} at most)");
        }

        if (L1Entries < needed)
        {
            throw Wrong(path, $"has an L1 table of {L1Entries} entries and needs {needed}");
        }

        CheckInside(path, "L1 table", L1Offset, (ulong)L1Entries * sizeof(ulong), fileSize, mask);
        if (RefcountClusters == 0 || (ulong)RefcountClusters << ClusterBits > MaxRefcountTable)
        {
            throw Wrong(path, $"has a refcount table of {RefcountClusters} clusters, which cannot be");
        }

        CheckInside(path, "refcount table", RefcountOffset, (ulong)RefcountClusters << ClusterBits, fileSize, mask);
        if (Snapshots > Qcow2Spec.MaxSnapshots)
        {
            throw Wrong(path, $"has {Snapshots} snapshots; {Qcow2Spec.MaxSnapshots} are possible");
        }

        if (Snapshots > 0)
        {
            CheckInside(path, "snapshot table", SnapshotOffset, (ulong)Snapshots * Qcow2Spec.SnapshotBytes, fileSize, mask);
        }
    }

    private static void CheckInside(string path, string table, ulong offset, ulong length, ulong fileSize, ulong mask)
    {
        if (length == 0)
        {
            return;
        }

        // Tables begin at clusters, and none in the first, which is the header's.
        if ((offset & mask) != 0 || offset <= mask)
        {
            throw Wrong(path, $"has its {table} at {offset}, which is not a cluster of its own");
        }

        if (offset > fileSize || length > fileSize - offset)
        {
            throw Wrong(path, $"has its {table} outside of the file ({offset} and {length} bytes; the file has {fileSize})");
        }
    }
}
