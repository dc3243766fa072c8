using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Cnvm.Linux;
using Cnvm.Linux.Fuse;

namespace Cnvm.Virtio.Fs;

/// <content>Reading directories.</content>
internal sealed unsafe partial class FuseHandler
{
    // struct linux_dirent64 (getdents(2)).
    private const int EntryOffset = 8;
    private const int EntryLength = 16;
    private const int EntryType = 18;
    private const int EntryName = 19;

    /// <summary>Room for the longest entry of the kernel.</summary>
    private const int MinEntryBytes = 280;

    /// <summary>Half of the buffer has what the kernel gave, the other half the answer.</summary>
    private const int ListBytes = BufferBytes / 2;
    private const int DirentBytes = 24;
    private const int DirentAlignment = 8;

    private uint ReadDirectory(FuseArguments arguments, bool plus)
    {
        if (!arguments.TryRead(out fuse_read_in request) || request.offset > long.MaxValue)
        {
            return Fail(-Errno.EINVAL);
        }

        using FileUse directory = _folder.UseHandle(request.fh, isDirectory: true);
        if (directory.Error != 0)
        {
            return Fail(directory.Error);
        }

        // As much as becomes no more than fits: an entry with a name of one byte grows from 24 to 32, or 160, bytes. So nothing has to be
        // put back, which some file systems cannot do while entries are removed.
        int room = (int)Math.Min(Math.Min(request.size, Math.Max(_chain.WritableBytes, ReplyHeaderBytes) - ReplyHeaderBytes), ListBytes);
        int asked = plus ? room / 160 * 24 : room / 32 * 24;
        if (asked < MinEntryBytes)
        {
            asked = MinEntryBytes;
        }

        byte* list = _buffer + ListBytes;
        int got;
        FsHandle handle = directory.Handle!;
        lock (handle)
        {
            long offset = (long)request.offset;
            long at = offset == handle.Position ? offset : FileCalls.Seek(directory.Fd, offset, SeekSet);
            got = at < 0 ? (int)at : FileCalls.ReadDirectory(directory.Fd, list, asked);
            handle.Position = got < EntryName ? -1 : LastOffset(list, got);
        }

        if (got < 0)
        {
            return Fail(got);
        }

        int written = 0;
        for (int from = 0; got - from > EntryName;)
        {
            ReadOnlySpan<byte> entry = new(list + from, got - from);
            int length = BinaryPrimitives.ReadUInt16LittleEndian(entry[EntryLength..]);
            int added = AddEntry(handle.Node, directory.Fd, list + from, length, plus, room - written, _buffer + written);
            if (added == 0)
            {
                break;
            }

            written += added;
            from += length;
        }

        return Reply(0, new ReadOnlySpan<byte>(_buffer, written));
    }

    private static long LastOffset(byte* list, int bytes)
    {
        long offset = 0;
        for (int at = 0; bytes - at > EntryName; at += Unsafe.ReadUnaligned<ushort>(list + at + EntryLength))
        {
            // SAFETY: records of the kernel, each wholly in the buffer.
            offset = Unsafe.ReadUnaligned<long>(list + at + EntryOffset);
        }

        return offset;
    }

    /// <summary>Makes an entry of the kernel's one of the answer.</summary>
    /// <returns>Bytes used; 0 if there is no room.</returns>
    private int AddEntry(ulong node, int directory, byte* entry, int length, bool plus, int room, byte* into)
    {
        byte* name = entry + EntryName;
        int nameLength = new ReadOnlySpan<byte>(name, length - EntryName).IndexOf((byte)0);
        int head = plus ? sizeof(fuse_entry_out) : 0;
        int used = head + ((DirentBytes + nameLength + DirentAlignment - 1) & ~(DirentAlignment - 1));
        if (used > room)
        {
            return 0;
        }

        new Span<byte>(into, used).Clear();
        bool isDots = CheckName(new ReadOnlySpan<byte>(name, nameLength)) != 0;
        if (plus && !isDots && FindEntry(directory, name, out fuse_entry_out found) == 0)
        {
            // Without a number the driver looks the name up itself.
            Unsafe.WriteUnaligned(into, found);
        }

        var dirent = new fuse_dirent
        {
            // What lies above the shared folder is none of the guest's business.
            ino = isDots && node == FuseAbi.FUSE_ROOT_ID ? _folder.RootInode : Unsafe.ReadUnaligned<ulong>(entry),
            off = Unsafe.ReadUnaligned<ulong>(entry + EntryOffset),
            namelen = (uint)nameLength,
            type = entry[EntryType],
        };
        Unsafe.WriteUnaligned(into + head, dirent);
        new ReadOnlySpan<byte>(name, nameLength).CopyTo(new Span<byte>(into + head + DirentBytes, nameLength));
        return used;
    }
}
