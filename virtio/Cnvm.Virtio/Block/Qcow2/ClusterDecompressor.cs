using System.Buffers;
using System.IO.Compression;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Qcow2;

/// <summary>Compressed clusters of one image; remembers the last. Under the lock of its image.</summary>
internal sealed unsafe class ClusterDecompressor(IImageFile file, int clusterBits, bool isZstd)
{
    private byte[]? _cluster;
    private ulong _entry;

    /// <summary>Where the compressed bytes of an L2 entry begin, and how many there can be.</summary>
    public static (ulong Offset, ulong Length) Locate(ulong entry, int clusterBits)
    {
        int shift = 62 - (clusterBits - 8);
        ulong offset = entry & ((1UL << shift) - 1);
        ulong sectors = ((entry >> shift) & ((1UL << (clusterBits - 8)) - 1)) + 1;
        return (offset, (sectors * BlockSpec.SectorSize) - (offset & (BlockSpec.SectorSize - 1)));
    }

    /// <summary>Decompresses a cluster. Returns 0 or a negative error number.</summary>
    /// <param name="fileEnd">Compressed bytes begin before this.</param>
    public int Load(ulong entry, ulong fileEnd, out ReadOnlySpan<byte> cluster)
    {
        if (_cluster is not null && _entry == entry)
        {
            cluster = _cluster;
            return 0;
        }

        cluster = default;
        (ulong offset, ulong length) = Locate(entry, clusterBits);
        if (offset >= fileEnd)
        {
            return -Errno.EIO;
        }

        byte[] packed = ArrayPool<byte>.Shared.Rent((int)length);
        try
        {
            fixed (byte* p = packed)
            {
                IoVec v = new() { Base = (nint)p, Length = (nuint)length };
                int result = new VectorCursor(&v, 1).ReadFrom(file, offset, length);
                if (result < 0)
                {
                    return result;
                }
            }

            // Until it is whole it belongs to no entry; 0 is not a compressed one.
            _cluster ??= new byte[1 << clusterBits];
            _entry = 0;
            int bytes = isZstd ? Zstd.DecompressFirst(packed.AsSpan(0, (int)length), _cluster) : Inflate(packed, (int)length);
            if (bytes != _cluster.Length)
            {
                return -Errno.EIO;
            }

            _entry = entry;
            cluster = _cluster;
            return 0;
        }
        catch (InvalidDataException)
        {
            return -Errno.EIO;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(packed);
        }
    }

    /// <summary>Forgets what is remembered.</summary>
    public void Clear() => _entry = 0;

    private int Inflate(byte[] packed, int length)
    {
        using MemoryStream source = new(packed, 0, length, writable: false);
        using DeflateStream inflate = new(source, CompressionMode.Decompress);
        return inflate.ReadAtLeast(_cluster!, _cluster!.Length, throwOnEndOfStream: false);
    }
}
