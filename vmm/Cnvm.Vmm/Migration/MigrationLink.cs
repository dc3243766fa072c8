using Cnvm.Linux;

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

    /// <summary>Asked while the peer takes nothing; true ends the write.</summary>
    public void GiveUpWritesWhen(Func<bool> isGivenUp) => socket.IsWriteGivenUp = isGivenUp;

    /// <summary>Ends what other threads do with it.</summary>
    public void Abort() => socket.Abort();

    /// <summary>Says that nothing more comes.</summary>
    public void CloseWriting() => socket.CloseWriting();

    /// <summary>Says that nothing more comes and reads until the peer has closed too, for a moment at most, so that it gets the last message.</summary>
    public void CloseGently()
    {
        const int MomentMilliseconds = 2000;
        Span<byte> rest = stackalloc byte[4096];
        long started = Environment.TickCount64;
        try
        {
            socket.CloseWriting();
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
