using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Cnvm.Nested;

/// <summary>Just enough of QEMU's machine protocol: one command at a time on a Unix socket (docs/interop/qmp-spec).</summary>
internal sealed class QmpClient : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly SemaphoreSlim _turn = new(1);
    private StreamReader? _reader;

    public async Task ConnectAsync(string path, CancellationToken cancellation)
    {
        await _socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation).ConfigureAwait(false);
        _reader = new StreamReader(new NetworkStream(_socket, ownsSocket: false), Encoding.UTF8);
        await _reader.ReadLineAsync(cancellation).ConfigureAwait(false);
        await ExecuteAsync("""{"execute":"qmp_capabilities"}""", cancellation).ConfigureAwait(false);
    }

    /// <summary>Runs a command of the human monitor and returns what it prints.</summary>
    public async Task<string> MonitorAsync(string command, CancellationToken cancellation)
    {
        var line = JsonSerializer.Serialize(command);
        var request = $$$"""{"execute":"human-monitor-command","arguments":{"command-line":{{{line}}}}}""";
        using var answer = JsonDocument.Parse(await ExecuteAsync(request, cancellation).ConfigureAwait(false));
        return answer.RootElement.GetProperty("return").GetString() ?? "";
    }

    public void Dispose()
    {
        _reader?.Dispose();
        _socket.Dispose();
        _turn.Dispose();
    }

    private async Task<string> ExecuteAsync(string request, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            await _socket.SendAsync(Encoding.UTF8.GetBytes(request + "\n"), cancellation).ConfigureAwait(false);
            while (true)
            {
                var line = await _reader!.ReadLineAsync(cancellation).ConfigureAwait(false)
                    ?? throw new IOException("QEMU closed its control socket");
                if (line.Contains("\"error\"", StringComparison.Ordinal) && !line.Contains("\"event\"", StringComparison.Ordinal))
                {
                    throw new IOException($"QEMU refused '{request}': {line}");
                }

                // Events come between command and answer.
                if (line.StartsWith("{\"return\"", StringComparison.Ordinal))
                {
                    return line;
                }
            }
        }
        finally
        {
            _turn.Release();
        }
    }
}
