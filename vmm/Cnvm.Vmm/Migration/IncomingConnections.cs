using System.Diagnostics;
using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

/// <summary>Those who connect to a target, sixteen heard at once. One thread.</summary>
/// <param name="hear">As of <see cref="IncomingConnection"/>.</param>
/// <param name="onRefused">Told why somebody who was not heard to the end was turned away.</param>
internal sealed class IncomingConnections(StreamListener listener, Func<SocketStream, HeardLink?> hear, Action<string> onRefused) : IDisposable
{
    private const int MostUnheard = 16;

    /// <summary>How long it looks at nobody else while somebody has not said yet who it is.</summary>
    private const int HearingMilliseconds = 10;

    private readonly AutoResetEvent _news = new(false);
    private readonly List<IncomingConnection> _unheard = [];

    /// <summary>Waits for somebody who is of use.</summary>
    /// <param name="timeoutMilliseconds">-1 for as long as it takes.</param>
    /// <returns>The connection, which is the caller's; null after the time, or when the listener was given up.</returns>
    /// <exception cref="LinuxException">The host lets nobody in now; those who are in stay.</exception>
    public HeardLink? Next(int timeoutMilliseconds)
    {
        long started = Stopwatch.GetTimestamp();
        while (true)
        {
            foreach (IncomingConnection known in _unheard.FindAll(c => c.HasEnded))
            {
                _unheard.Remove(known);
                HeardLink? heard = known.Take();
                known.Dispose();
                if (heard is not null)
                {
                    return heard;
                }
            }

            if (listener.IsGivenUp || (timeoutMilliseconds >= 0 && Stopwatch.GetElapsedTime(started).TotalMilliseconds >= timeoutMilliseconds))
            {
                return null;
            }

            if (listener.Accept(_unheard.Count == 0 ? timeoutMilliseconds : 0) is { } socket)
            {
                Hear(socket);
            }

            if (_unheard.Count > 0)
            {
                _news.WaitOne(HearingMilliseconds);
            }
        }
    }

    /// <summary>Ends the connections that nobody took.</summary>
    public void Dispose()
    {
        _unheard.ForEach(c => c.Dispose());
        _news.Dispose();
    }

    private void Hear(SocketStream socket)
    {
        if (_unheard.Count == MostUnheard)
        {
            // Who has business here says at once which, so whoever has been silent the longest has none.
            onRefused("it says nothing, and others wait");
            _unheard[0].Dispose();
            _unheard.RemoveAt(0);
        }

        _unheard.Add(new IncomingConnection(socket, hear, _news));
    }
}
