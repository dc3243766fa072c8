using Cnvm.Linux;
using Cnvm.Virtio.Block;

namespace Cnvm.Virtio.Tests.Block.Qcow2;

/// <summary>Requests to an image as a block device makes them, with what the disk should have beside them.</summary>
internal sealed unsafe class ImageDriver : IDisposable
{
    private const int Depth = 4;
    private readonly IBlockImage _image;
    private readonly IBlockQueue _queue;

    public ImageDriver(IBlockImage image, byte[]? content = null)
    {
        _image = image;
        _queue = image.OpenQueue(Depth, "test");
        Content = content ?? new byte[image.Size];
    }

    /// <summary>What the disk has, if all is well.</summary>
    public byte[] Content { get; set; }

    public int Read(long offset, Span<byte> data)
    {
        fixed (byte* p = data)
        {
            // In pieces of odd lengths, as a guest may have them.
            IoVec* v = stackalloc IoVec[3];
            int first = data.Length / 3;
            v[0] = new IoVec { Base = (nint)p, Length = (nuint)first };
            v[1] = new IoVec { Base = (nint)p + first, Length = 1 };
            v[2] = new IoVec { Base = (nint)p + first + 1, Length = (nuint)(data.Length - first - 1) };
            return Submit(BlockOperation.Read, v, 3, offset, data.Length);
        }
    }

    public int Write(long offset, byte[] data)
    {
        int result = WriteBlind(offset, data);
        if (result >= 0)
        {
            data.CopyTo(Content, offset);
        }

        return result;
    }

    /// <summary>Writes to a disk that is too large to have its content beside it.</summary>
    public int WriteBlind(long offset, byte[] data)
    {
        fixed (byte* p = data)
        {
            IoVec* v = stackalloc IoVec[2];
            v[0] = new IoVec { Base = (nint)p, Length = (nuint)(data.Length - 1) };
            v[1] = new IoVec { Base = (nint)p + data.Length - 1, Length = 1 };
            return Submit(BlockOperation.Write, v, 2, offset, data.Length);
        }
    }

    public int Flush() => Submit(BlockOperation.Flush, null, 0, 0, 0);

    public int Zero(BlockOperation operation, long offset, int length)
    {
        int result = Submit(operation, null, 0, offset, length);
        if (result < 0)
        {
            return result;
        }

        if (operation == BlockOperation.Discard)
        {
            // A discard may do what it likes with whole parts of the range; what it says now has to stay.
            byte[] now = new byte[length];
            Assert.Equal(length, Read(offset, now));
            for (int i = 0; i < length; i++)
            {
                Assert.True(now[i] == 0 || now[i] == Content[offset + i], $"byte {offset + i} is {now[i]} after a discard");
            }

            now.CopyTo(Content, offset);
        }
        else
        {
            Content.AsSpan((int)offset, length).Clear();
        }

        return result;
    }

    /// <summary>Does something that a random number chooses, and checks what can be checked at once.</summary>
    public void Step(Random random, int most)
    {
        int sectors = Content.Length / 512;
        int count = random.Next(4) == 0 ? random.Next(1, most + 1) : random.Next(1, Math.Min(9, most + 1));
        int first = random.Next(sectors);
        count = Math.Min(count, sectors - first);
        long offset = (long)first * 512;
        int length = count * 512;
        int kind = random.Next(20);
        int result = 0;
        switch (kind)
        {
            case < 10:
                byte[] data = new byte[length];
                random.NextBytes(data);
                result = Write(offset, data);
                break;
            case < 12:
                result = Zero(BlockOperation.WriteZeroes, offset, length);
                break;
            case < 14:
                result = Zero(BlockOperation.WriteZeroesUnmap, offset, length);
                break;
            case < 16:
                result = Zero(BlockOperation.Discard, offset, length);
                break;
            case < 17:
                result = Flush();
                break;
            default:
                byte[] read = new byte[length];
                result = Read(offset, read);
                Assert.True(read.AsSpan().SequenceEqual(Content.AsSpan((int)offset, length)), $"{length} bytes at {offset} differ");
                break;
        }

        Assert.True(result >= 0, $"step {kind} at {offset}, {length} bytes: {result}");
    }

    /// <summary>Fails when the disk has not what it should have.</summary>
    public void CheckContent()
    {
        byte[] all = new byte[Content.Length];
        Assert.Equal(all.Length, Read(0, all));
        int at = all.AsSpan().CommonPrefixLength(Content);
        Assert.True(at == all.Length, $"byte {at} is {(at < all.Length ? all[at] : 0)}");
    }

    /// <summary>End of the last sector in which two contents differ.</summary>
    public static long LastDifference(byte[] a, byte[] b)
    {
        int last = a.Length - 1;
        while (a[last] == b[last])
        {
            last--;
        }

        return ((last / 512) + 1) * 512;
    }

    public void Dispose()
    {
        _queue.Dispose();
        _image.Dispose();
    }

    private int Submit(BlockOperation operation, IoVec* vectors, int count, long offset, int length)
    {
        _queue.Submit(operation, vectors, count, (ulong)offset, (ulong)length, 1);
        _queue.Kick();
        int token, result;
        while (!_queue.TryComplete(out token, out result))
        {
            _queue.Wait();
        }

        Assert.Equal(1, token);
        return result;
    }
}
