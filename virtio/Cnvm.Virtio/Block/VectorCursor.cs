using System.Runtime.InteropServices;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block;

/// <summary>Goes through the memory of a transfer from its beginning to its end. The memory outlives it.</summary>
internal unsafe struct VectorCursor(IoVec* vectors, int count)
{
    /// <summary>Pieces that one system call gets.</summary>
    private const int Batch = 64;

    private IoVec* _next = vectors;
    private int _count = count;
    private nuint _used;

    /// <summary>Fills the next bytes from a file; what lies behind its end is zero. Returns 0 or a negative error number.</summary>
    public int ReadFrom(IImageFile file, ulong offset, ulong length) => Move(file, offset, length, isRead: true);

    /// <summary>Writes the next bytes to a file. Returns 0 or a negative error number.</summary>
    public int WriteTo(IImageFile file, ulong offset, ulong length) => Move(file, offset, length, isRead: false);

    /// <summary>Fills the next bytes with zeroes.</summary>
    public void Clear(ulong length)
    {
        while (length > 0 && TryPiece(length, out byte* p, out nuint n))
        {
            // SAFETY: the caller of the transfer vouches for its memory.
            NativeMemory.Clear(p, n);
            length -= n;
        }
    }

    /// <summary>Fills the next bytes from memory.</summary>
    public void CopyFrom(byte* source, ulong length)
    {
        while (length > 0 && TryPiece(length, out byte* p, out nuint n))
        {
            // SAFETY: as above; the source has at least this length.
            Buffer.MemoryCopy(source, p, n, n);
            source += n;
            length -= n;
        }
    }

    private int Move(IImageFile file, ulong offset, ulong length, bool isRead)
    {
        IoVec* batch = stackalloc IoVec[Batch];
        while (length > 0)
        {
            // What a short transfer leaves is cut anew, so the cursor goes on only by what was moved.
            VectorCursor ahead = this;
            int count = 0;
            ulong bytes = 0;
            while (count < Batch && bytes < length && ahead.TryPiece(length - bytes, out byte* p, out nuint n))
            {
                batch[count++] = new IoVec { Base = (nint)p, Length = n };
                bytes += n;
            }

            if (count == 0)
            {
                return -Errno.EFAULT;
            }

            nint moved = isRead ? file.Read(batch, count, offset) : file.Write(batch, count, offset);
            if (moved is -Errno.EINTR or -Errno.EAGAIN)
            {
                continue;
            }

            if (moved < 0)
            {
                return (int)moved;
            }

            if (moved == 0)
            {
                if (!isRead)
                {
                    return -Errno.EIO;
                }

                Clear(length);
                return 0;
            }

            if ((ulong)moved == bytes)
            {
                this = ahead;
            }
            else
            {
                Skip((ulong)moved);
            }

            offset += (ulong)moved;
            length -= (ulong)moved;
            if (isRead && (ulong)moved < bytes && offset >= file.Size)
            {
                // O_DIRECT does not read at an end that is not a multiple of its block.
                Clear(length);
                return 0;
            }
        }

        return 0;
    }

    public void Skip(ulong length)
    {
        while (length > 0 && TryPiece(length, out _, out nuint n))
        {
            length -= n;
        }
    }

    private bool TryPiece(ulong most, out byte* piece, out nuint length)
    {
        // SAFETY: the vectors are as many as the caller said.
        while (_count > 0 && _used == _next->Length)
        {
            _next++;
            _count--;
            _used = 0;
        }

        if (_count == 0)
        {
            piece = null;
            length = 0;
            return false;
        }

        piece = (byte*)_next->Base + _used;
        length = (nuint)Math.Min(most, _next->Length - _used);
        _used += length;
        return true;
    }
}
