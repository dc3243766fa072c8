using System.Runtime.InteropServices;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Block;

/// <summary>One request of a queue from its descriptors to its status byte. Made once for each place and reused.</summary>
internal sealed unsafe class BlockRequest : IDisposable
{
    /// <summary>Largest bounce buffer; longer transfers pass through it in turns.</summary>
    private const uint BounceBytes = 1024 * 1024;

    private readonly IoVec* _vectors;
    private void* _bounce;
    private int _first;
    private int _count;

    public BlockRequest(int token, int chainCapacity)
    {
        Token = token;
        Chain = new DescriptorChain(chainCapacity);
        // SAFETY: freed in Dispose.
        _vectors = (IoVec*)NativeMemory.Alloc((nuint)chainCapacity, (nuint)sizeof(IoVec));
    }

    public int Token { get; }

    public DescriptorChain Chain { get; }

    public BlockOperation Operation { get; set; }

    /// <summary>Bytes from the start of the image where the next step begins.</summary>
    public ulong Offset { get; set; }

    /// <summary>Bytes left to do.</summary>
    public ulong Remaining { get; set; }

    /// <summary>Bytes of data in all.</summary>
    public uint DataBytes { get; private set; }

    /// <summary>When the request was taken, in Stopwatch ticks.</summary>
    public long Started { get; set; }

    /// <summary>A write whose data is down and which waits for the flush that write-through asks for.</summary>
    public bool IsFlushing { get; set; }

    /// <summary>Makes the request a transfer of the chain's data.</summary>
    /// <param name="alignment">What the image asks of memory; a chain that has not got it is copied.</param>
    public void SetTransfer(BlockOperation operation, ulong offset, uint bytes, uint alignment)
    {
        Operation = operation;
        Offset = offset;
        Remaining = bytes;
        DataBytes = bytes;
        IsFlushing = false;
        _first = 0;
        _count = operation == BlockOperation.Read
            ? Chain.SliceWritable(0, bytes, _vectors)
            : Chain.SliceReadable(BlockSpec.HeaderBytes, bytes, _vectors);
        if (alignment > 1 && !IsAligned(alignment))
        {
            _bounce = NativeMemory.AlignedAlloc(Math.Min((nuint)bytes, BounceBytes), alignment);
        }
    }

    public void SetRange(BlockOperation operation, ulong offset, ulong bytes)
    {
        Operation = operation;
        Offset = offset;
        Remaining = bytes;
        DataBytes = 0;
        IsFlushing = false;
    }

    /// <summary>Hands the next step to the image.</summary>
    public void Submit(IBlockQueue io)
    {
        if (IsFlushing || Operation is not (BlockOperation.Read or BlockOperation.Write))
        {
            io.Submit(IsFlushing ? BlockOperation.Flush : Operation, null, 0, Offset, Remaining, Token);
            return;
        }

        if (_bounce is null)
        {
            io.Submit(Operation, _vectors + _first, _count - _first, Offset, Remaining, Token);
            return;
        }

        uint part = (uint)Math.Min(Remaining, BounceBytes);
        if (Operation == BlockOperation.Write)
        {
            ChainReader reader = new(Chain);
            reader.Skip(BlockSpec.HeaderBytes + DataBytes - (uint)Remaining);
            // SAFETY: the buffer is at least this long.
            reader.Read(new Span<byte>(_bounce, (int)part));
        }

        // The chain's own vectors are not needed: the bytes are copied.
        _vectors[0] = new IoVec { Base = (nint)_bounce, Length = part };
        io.Submit(Operation, _vectors, 1, Offset, part, Token);
    }

    /// <summary>Takes bytes that a step moved; what is left is submitted again.</summary>
    public void Advance(uint bytes)
    {
        if (_bounce is not null)
        {
            if (Operation == BlockOperation.Read)
            {
                ChainWriter writer = new(Chain);
                writer.Advance((int)(DataBytes - (uint)Remaining));
                // SAFETY: the kernel filled this much of the buffer.
                writer.Write(new ReadOnlySpan<byte>(_bounce, (int)bytes));
            }
        }
        else
        {
            uint left = bytes;
            while (left > 0)
            {
                // SAFETY: the vectors cover all that remains, of which the bytes are a part.
                ref IoVec v = ref _vectors[_first];
                uint part = Math.Min(left, (uint)v.Length);
                v.Base += (nint)part;
                v.Length -= part;
                left -= part;
                if (v.Length == 0)
                {
                    _first++;
                }
            }
        }

        Offset += bytes;
        Remaining -= bytes;
    }

    /// <summary>Gives up what the request needed while it ran.</summary>
    public void End()
    {
        NativeMemory.AlignedFree(_bounce);
        _bounce = null;
    }

    public void Dispose()
    {
        End();
        NativeMemory.Free(_vectors);
        Chain.Dispose();
    }

    private bool IsAligned(uint alignment)
    {
        for (int i = 0; i < _count; i++)
        {
            if ((((nuint)_vectors[i].Base | _vectors[i].Length) & (alignment - 1)) != 0)
            {
                return false;
            }
        }

        return true;
    }
}
