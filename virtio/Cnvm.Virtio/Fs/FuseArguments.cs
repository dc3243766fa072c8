using System.Runtime.CompilerServices;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio.Fs;

/// <summary>What follows a request's header: no more than the header says, and no more than the driver gave.</summary>
internal ref struct FuseArguments(ChainReader reader, uint bytes)
{
    private ChainReader _reader = reader;

    /// <summary>Bytes not read yet.</summary>
    public uint Remaining { get; private set; } = bytes;

    /// <summary>Copies a structure out; false, reading nothing, when there is less.</summary>
    public bool TryRead<T>(out T value)
        where T : unmanaged
    {
        value = default;
        if (Remaining < Unsafe.SizeOf<T>() || !_reader.TryRead(out value))
        {
            return false;
        }

        Remaining -= (uint)Unsafe.SizeOf<T>();
        return true;
    }

    /// <summary>Copies bytes out; returns how many.</summary>
    public int Read(scoped Span<byte> destination)
    {
        int bytes = _reader.Read(destination[..(int)Math.Min((uint)destination.Length, Remaining)]);
        Remaining -= (uint)bytes;
        return bytes;
    }
}
