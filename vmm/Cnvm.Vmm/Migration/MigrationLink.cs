using Cnvm.Linux;
using Cnvm.Linux.Tls;

namespace Cnvm.Vmm.Migration;

/// <summary>A connection: the bytes, and a way to end it from another thread.</summary>
/// <param name="socket">Owned.</param>
/// <param name="stream">What messages go through, the socket itself or something around it; owned.</param>
internal sealed class MigrationLink(SocketStream socket, Stream stream) : IDisposable
{
    public Stream Stream => stream;

    /// <summary>Longest silence of the peer in milliseconds.</summary>
    public int Patience
    {
        set
        {
            socket.ReadTimeout = value;
            socket.WriteTimeout = value;
        }
    }

    /// <summary>Descriptors can go along: a Unix socket.</summary>
    public bool CarriesDescriptors => socket.CarriesDescriptors && stream == socket;

    /// <inheritdoc cref="SocketStream.HasInput"/>
    public bool HasInput => socket.HasInput;

    /// <inheritdoc cref="SocketStream.ReceiveDescriptors"/>
    public void ReceiveDescriptors(List<FileDescriptor> into) => socket.ReceiveDescriptors(into);

    /// <inheritdoc cref="SocketStream.EndDescriptors"/>
    public void EndDescriptors() => socket.EndDescriptors();

    /// <inheritdoc cref="SocketStream.AttachDescriptors"/>
    public void AttachDescriptors(int[] descriptors) => socket.AttachDescriptors(descriptors);

    /// <summary>
    /// The peer may say nothing for as long as it likes: somebody else knows how long an answer may take. A host that is dead is noticed by
    /// the connection itself (keep-alive), or when it takes nothing.
    /// </summary>
    public void WaitForWords() => socket.ReadTimeout = Timeout.Infinite;

    /// <summary>Asked while the peer takes nothing; true ends the write.</summary>
    public void GiveUpWritesWhen(Func<bool> isGivenUp) => socket.IsWriteGivenUp = isGivenUp;

    /// <inheritdoc cref="SocketStream.IsReadGivenUp"/>
    public void GiveUpReadsWhen(Func<bool>? isGivenUp) => socket.IsReadGivenUp = isGivenUp;

    /// <inheritdoc cref="SocketStream.HeardAt"/>
    public long HeardAt => socket.HeardAt;

    /// <summary>Ends what another thread reads, or would, while messages can still be sent; false: no longer.</summary>
    public void EndReading(bool isEnded = true) => socket.ReadDeadline = isEnded ? 0 : long.MaxValue;

    /// <summary>All that is still read must have come by then.</summary>
    public void EndReadingAfter(TimeSpan time) => socket.ReadDeadline = Environment.TickCount64 + (long)time.TotalMilliseconds;

    /// <summary>Ends what other threads do with it.</summary>
    public void Abort() => socket.Abort();

    /// <inheritdoc cref="SocketStream.CloseReading"/>
    public void CloseReading() => socket.CloseReading();

    /// <inheritdoc cref="SocketStream.WaitForClose"/>
    public bool WaitForClose(TimeSpan time, Func<bool> isGivenUp) => socket.WaitForClose(time, isGivenUp);

    /// <summary>Says that nothing more comes.</summary>
    public void CloseWriting()
    {
        (stream as TlsStream)?.CloseWriting();
        socket.CloseWriting();
    }

    /// <summary>Says that nothing more comes and reads until the peer has closed too, for a moment at most, so that it gets the last message.</summary>
    public void CloseGently()
    {
        const int MomentMilliseconds = 2000;
        Span<byte> rest = stackalloc byte[4096];
        long started = Environment.TickCount64;
        try
        {
            CloseWriting();
            socket.ReadTimeout = MomentMilliseconds;
            while (socket.Read(rest) > 0 && Environment.TickCount64 - started < MomentMilliseconds)
            {
                // What still comes is of no use any more.
                rest.Clear();
            }
        }
        catch (IOException)
        {
            // The peer is gone, and with it the reason to wait.
            return;
        }
    }

    public void Dispose()
    {
        stream.Dispose();
        socket.Dispose();
    }
}
