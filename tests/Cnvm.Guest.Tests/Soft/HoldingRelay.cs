using System.Buffers.Binary;
using System.Net.Sockets;
using Cnvm.Vmm.Migration;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>
/// Connections between two Unix sockets that carry the migration protocol (PROTOCOL.md): whole messages are passed on, and at one of them
/// everything stands still until the test has done what it wants.
/// </summary>
internal sealed class HoldingRelay : IDisposable
{
    private const int MagicBytes = 8;
    private const int HeaderBytes = 16;

    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly string _to;
    private readonly Moment _hold;
    private readonly Lock _gate = new();
    private readonly List<Socket> _sockets = [];
    private readonly HashSet<(bool FromSource, FrameType Message)> _passed = [];
    private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<bool> _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _accepting;
    private Moment? _cut;
    private bool _isIsolated;
    private bool _isHeld;

    /// <param name="hold">The message at which everything stands still.</param>
    /// <param name="cut">A message with which its connection is lost, once; others can be made. Null: none.</param>
    public HoldingRelay(string from, string to, Moment hold, Moment? cut)
    {
        _to = to;
        _hold = hold;
        _cut = cut;
        _listener.Bind(new UnixDomainSocketEndPoint(from));
        _listener.Listen();
        _accepting = AcceptAsync();
    }

    /// <summary>Ends when the message is held.</summary>
    public Task Reached => _reached.Task;

    /// <summary>Names of the messages that have passed, for people.</summary>
    public string Passed
    {
        get
        {
            lock (_gate)
            {
                return string.Join(" ", _passed.Select(p => p.Message));
            }
        }
    }

    /// <summary>Goes on: the message that is held comes, or its connection is lost with it.</summary>
    public void Release(bool delivers) => _released.TrySetResult(delivers);

    /// <summary>From now on nobody gets through.</summary>
    public void Isolate()
    {
        lock (_gate)
        {
            _isIsolated = true;
            _sockets.ForEach(s => s.Dispose());
        }

        _listener.Dispose();
    }

    public void Dispose()
    {
        Release(delivers: false);
        Isolate();
        _accepting.Wait();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            Socket near;
            try
            {
                near = await _listener.AcceptAsync();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // Nobody gets through any more.
                return;
            }

            var far = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await far.ConnectAsync(new UnixDomainSocketEndPoint(_to));
                lock (_gate)
                {
                    _sockets.Add(near);
                    _sockets.Add(far);
                    ObjectDisposedException.ThrowIf(_isIsolated, this);
                }

                _ = PassAsync(near, far, fromSource: true);
                _ = PassAsync(far, near, fromSource: false);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // The target is dead, or the network is.
                near.Dispose();
                far.Dispose();
            }
        }
    }

    private async Task PassAsync(Socket from, Socket to, bool fromSource)
    {
        try
        {
            await using var input = new NetworkStream(from);
            await using var output = new NetworkStream(to);
            byte[] magic = new byte[MagicBytes];
            await input.ReadExactlyAsync(magic);
            await output.WriteAsync(magic);
            while (await ReadAsync(input) is { } message)
            {
                var type = (FrameType)BinaryPrimitives.ReadUInt16LittleEndian(message);
                (bool isCut, bool isHeld) = Look(fromSource, type);
                if (isHeld)
                {
                    _reached.SetResult();
                }

                if (isCut || (isHeld && !await _released.Task))
                {
                    from.Dispose();
                    to.Dispose();
                    return;
                }

                await output.WriteAsync(message);
                lock (_gate)
                {
                    _passed.Add((fromSource, type));
                }
            }

            to.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or IOException)
        {
            // The connection was lost, or one of the two has closed it.
            to.Dispose();
        }
    }

    private (bool IsCut, bool IsHeld) Look(bool fromSource, FrameType type)
    {
        lock (_gate)
        {
            if (_cut is { } cut)
            {
                if (Is(cut))
                {
                    _cut = null;
                    return (true, false);
                }

                return default;
            }

            bool isHeld = !_isHeld && Is(_hold);
            _isHeld |= isHeld;
            return (false, isHeld);
        }

        bool Is(Moment moment) =>
            moment.FromSource == fromSource && moment.Message == type && (moment.After is not { } after || _passed.Contains((!fromSource, after)));
    }

    /// <summary>A whole message; null at the end.</summary>
    private static async Task<byte[]?> ReadAsync(NetworkStream from)
    {
        byte[] header = new byte[HeaderBytes];
        int first = await from.ReadAsync(header);
        if (first == 0)
        {
            return null;
        }

        await from.ReadExactlyAsync(header.AsMemory(first));
        byte[] message = new byte[HeaderBytes + BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(4))];
        header.CopyTo(message, 0);
        await from.ReadExactlyAsync(message.AsMemory(HeaderBytes));
        return message;
    }
}
