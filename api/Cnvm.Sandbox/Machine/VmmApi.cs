using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Cnvm.Sandbox.Machine;

/// <summary>Calls to the REST socket of a VMM, each on a connection of its own. Any thread.</summary>
internal sealed class VmmApi(string socketPath)
{
    private const int MaxAnswerBytes = 1 << 20;
    private const int FirstError = 300;

    /// <summary>Makes one call; returns the answer's body.</summary>
    /// <exception cref="SandboxException">The VMM refuses, or is not there.</exception>
    public async Task<byte[]> CallAsync(string method, string endpoint, string? body, CancellationToken cancellation)
    {
        try
        {
            using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellation).ConfigureAwait(false);
            await using var stream = new NetworkStream(socket, ownsSocket: false);
            string head = $"{method} /api/v1/{endpoint} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n";
            byte[] data = Encoding.UTF8.GetBytes(body ?? "");
            if (data.Length > 0)
            {
                head += string.Create(CultureInfo.InvariantCulture, $"Content-Type: application/json\r\nContent-Length: {data.Length}\r\n");
            }

            await stream.WriteAsync((byte[])[.. Encoding.ASCII.GetBytes(head + "\r\n"), .. data], cancellation).ConfigureAwait(false);
            (int status, byte[] answer) = await ReceiveAsync(stream, endpoint, cancellation).ConfigureAwait(false);
            return status < FirstError
                ? answer
                : throw new SandboxException(
                    SandboxErrorKind.Refused,
                    string.Create(CultureInfo.InvariantCulture, $"the VMM refused {endpoint} ({status}): {Encoding.UTF8.GetString(answer)}"));
        }
        catch (SocketException e)
        {
            throw VmmProcess.Gone($"the VMM does not answer at {socketPath}: {e.Message}", e);
        }
    }

    /// <summary>Adds a device to a guest that runs.</summary>
    /// <returns>Its place on the guest's bus, for the agent.</returns>
    /// <exception cref="SandboxException">The VMM refuses, or is not there.</exception>
    public async Task<string> PlugAsync(string endpoint, string body, CancellationToken cancellation)
    {
        byte[] answer = await CallAsync("PUT", endpoint, body, cancellation).ConfigureAwait(false);
        try
        {
            using JsonDocument said = JsonDocument.Parse(answer);
            return said.RootElement.GetProperty("bdf").GetString()!.Split(':')[^1];
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or NullReferenceException)
        {
            throw new SandboxException(SandboxErrorKind.Refused, $"the VMM does not say where it has added a device ({endpoint}): {e.Message}", e);
        }
    }

    private static async Task<(int Status, byte[] Body)> ReceiveAsync(NetworkStream stream, string endpoint, CancellationToken cancellation)
    {
        byte[] buffer = new byte[4096];
        int length = 0;
        int headEnd;
        while ((headEnd = buffer.AsSpan(0, length).IndexOf("\r\n\r\n"u8)) < 0)
        {
            length += await FillAsync().ConfigureAwait(false);
        }

        string head = Encoding.ASCII.GetString(buffer, 0, headEnd);
        if (head.Length < 12 || !int.TryParse(head.AsSpan(9, 3), NumberStyles.None, CultureInfo.InvariantCulture, out int status))
        {
            throw VmmProcess.Gone($"the VMM's answer to {endpoint} is not HTTP");
        }

        const string Name = "Content-Length: ";
        int at = head.IndexOf(Name, StringComparison.OrdinalIgnoreCase);
        int end = at < 0 ? 0 : head.IndexOf('\r', at);
        int body = 0;
        if (at >= 0 && (!int.TryParse(
            head.AsSpan(at + Name.Length, (end < 0 ? head.Length : end) - at - Name.Length), NumberStyles.None, CultureInfo.InvariantCulture, out body)
            || body > MaxAnswerBytes))
        {
            throw VmmProcess.Gone($"the VMM's answer to {endpoint} is too long");
        }

        while (length < headEnd + 4 + body)
        {
            length += await FillAsync().ConfigureAwait(false);
        }

        return (status, buffer[(headEnd + 4)..(headEnd + 4 + body)]);

        async Task<int> FillAsync()
        {
            if (length == buffer.Length)
            {
                if (length > MaxAnswerBytes)
                {
                    throw VmmProcess.Gone($"the VMM's answer to {endpoint} is too long");
                }

                Array.Resize(ref buffer, buffer.Length * 2);
            }

            int count = await stream.ReadAsync(buffer.AsMemory(length), cancellation).ConfigureAwait(false);
            return count > 0 ? count : throw VmmProcess.Gone($"the VMM ended while it was asked for {endpoint}");
        }
    }
}
