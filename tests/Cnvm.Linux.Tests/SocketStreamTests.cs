namespace Cnvm.Linux.Tests;

/// <summary>Connecting where nobody accepts.</summary>
public sealed class SocketStreamTests : IDisposable
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-socket-").FullName;
    private readonly List<UnixStream> _waiting = [];
    private readonly UnixListener _listener;
    private readonly StreamEndpoint _endpoint;

    public SocketStreamTests()
    {
        string path = Path.Combine(_folder, "full");
        _listener = UnixListener.Bind(path, 1);
        while (UnixStream.TryConnect(path) is { } stream)
        {
            _waiting.Add(stream);
        }

        Assert.True(StreamEndpoint.TryParse($"unix:{path}", out StreamEndpoint? endpoint));
        _endpoint = endpoint!;
    }

    public void Dispose()
    {
        _waiting.ForEach(w => w.Dispose());
        _listener.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void It_ends_after_the_time()
    {
        LinuxException? failure = Connect(300, static () => false) as LinuxException;
        Assert.Equal(Errno.ETIMEDOUT, failure?.Errno);
    }

    [Fact]
    public void It_ends_when_it_is_given_up()
    {
        Assert.IsType<OperationCanceledException>(Connect(3_600_000, static () => true));
    }

    [Fact]
    public void It_gets_through_when_there_is_room()
    {
        int asked = 0;
        Assert.Null(Connect(60_000, () =>
        {
            if (asked++ == 1)
            {
                _listener.Accept()!.Dispose();
            }

            return false;
        }));
        Assert.InRange(asked, 2, 300);
    }

    [Fact]
    public void Where_nobody_is_it_says_so_at_once()
    {
        Assert.True(StreamEndpoint.TryParse($"unix:{_folder}/nobody", out StreamEndpoint? nobody));
        Assert.Equal(Errno.ENOENT, Assert.Throws<LinuxException>(() => SocketStream.Connect(nobody!, 3_600_000, static () => false)).Errno);
    }

    /// <summary>How it failed; null if it has not.</summary>
    private Exception? Connect(int timeoutMilliseconds, Func<bool> isGivenUp)
    {
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                SocketStream.Connect(_endpoint, timeoutMilliseconds, isGivenUp).Dispose();
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
                failure = e;
            }
        }) { IsBackground = true };
        thread.Start();
        Assert.True(thread.Join(Long), "it waits for somebody who accepts nobody");
        return failure;
    }
}
