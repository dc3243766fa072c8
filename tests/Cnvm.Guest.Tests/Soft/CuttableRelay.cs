using System.Net.Sockets;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>A connection between two Unix sockets that can be cut, as a network can.</summary>
internal sealed class CuttableRelay : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly string _to;
    private readonly Lock _gate = new();
    private readonly List<Socket> _sockets = [];
    private readonly Task _accepting;
    private bool _isCut;

    public CuttableRelay(string from, string to)
    {
        _to = to;
        _listener.Bind(new UnixDomainSocketEndPoint(from));
        _listener.Listen();
        _accepting = AcceptAsync();
    }

    /// <summary>From now on nobody gets through.</summary>
    public void Cut()
    {
        lock (_gate)
        {
            _isCut = true;
            _sockets.ForEach(s => s.Dispose());
        }

        _listener.Dispose();
    }

    public void Dispose()
    {
        Cut();
        _accepting.Wait();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                Socket near = await _listener.AcceptAsync();
                var far = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await far.ConnectAsync(new UnixDomainSocketEndPoint(_to));
                lock (_gate)
                {
                    _sockets.Add(near);
                    _sockets.Add(far);
                    if (_isCut)
                    {
                        _sockets.ForEach(s => s.Dispose());
                    }
                }

                _ = PassAsync(near, far);
                _ = PassAsync(far, near);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Cut.
            return;
        }
    }

    private static async Task PassAsync(Socket from, Socket to)
    {
        byte[] buffer = new byte[64 << 10];
        try
        {
            for (int count; (count = await from.ReceiveAsync(buffer)) > 0;)
            {
                for (int sent = 0; sent < count;)
                {
                    sent += await to.SendAsync(buffer.AsMemory(sent, count - sent));
                }
            }

            to.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Cut, or one of the two has closed.
            to.Dispose();
        }
    }
}
