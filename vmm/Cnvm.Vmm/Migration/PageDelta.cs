using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Cnvm.Vmm.Migration;

/// <summary>What has changed of a page: a number of runs, and of each its offset, its length and its bytes (PROTOCOL.md).</summary>
internal static class PageDelta
{
    /// <summary>A page that has changed more goes as a whole.</summary>
    public const int MostBytes = MigrationWire.PageBytes / 2;

    /// <summary>Bytes of a page in which nothing has changed.</summary>
    public const int EmptyBytes = sizeof(ushort);

    private const int RunHeaderBytes = 2 * sizeof(ushort);

    /// <summary>Writes what has changed, in words of 8 bytes; 0 if it is too much.</summary>
    /// <param name="into"><see cref="MostBytes"/>.</param>
    public static int TryWrite(ReadOnlySpan<byte> before, ReadOnlySpan<byte> now, Span<byte> into)
    {
        ReadOnlySpan<ulong> old = MemoryMarshal.Cast<byte, ulong>(before);
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(now);
        int at = EmptyBytes;
        ushort runs = 0;
        for (int i = old.CommonPrefixLength(words); i < words.Length; i += old[i..].CommonPrefixLength(words[i..]))
        {
            int end = i + 1;
            while (end < words.Length && old[end] != words[end])
            {
                end++;
            }

            int bytes = (end - i) * sizeof(ulong);
            if (at + RunHeaderBytes + bytes > into.Length)
            {
                return 0;
            }

            BinaryPrimitives.WriteUInt16LittleEndian(into[at..], (ushort)(i * sizeof(ulong)));
            BinaryPrimitives.WriteUInt16LittleEndian(into[(at + sizeof(ushort))..], (ushort)bytes);
            now.Slice(i * sizeof(ulong), bytes).CopyTo(into[(at + RunHeaderBytes)..]);
            at += RunHeaderBytes + bytes;
            runs++;
            i = end;
        }

        BinaryPrimitives.WriteUInt16LittleEndian(into, runs);
        return at;
    }

    /// <summary>Puts into a page what has changed of it; returns the bytes that said so.</summary>
    /// <exception cref="MigrationException">They are cut off, or say something that is no part of a page.</exception>
    public static int Apply(ReadOnlySpan<byte> from, Span<byte> page)
    {
        if (from.Length < EmptyBytes)
        {
            throw new MigrationException("message Deltas is cut off");
        }

        int runs = BinaryPrimitives.ReadUInt16LittleEndian(from);
        int at = EmptyBytes;
        int last = 0;
        for (; runs > 0; runs--)
        {
            if (from.Length - at < RunHeaderBytes)
            {
                throw new MigrationException("message Deltas is cut off");
            }

            int offset = BinaryPrimitives.ReadUInt16LittleEndian(from[at..]);
            int length = BinaryPrimitives.ReadUInt16LittleEndian(from[(at + sizeof(ushort))..]);
            at += RunHeaderBytes;
            if (length == 0 || offset < last || offset + length > page.Length || length > from.Length - at)
            {
                throw new MigrationException($"message Deltas has {length} bytes at offset {offset} of a page, of which {last} have been passed");
            }

            from.Slice(at, length).CopyTo(page[offset..]);
            at += length;
            last = offset + length;
        }

        return at;
    }
}
