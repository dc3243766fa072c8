using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Cnvm.Sandbox.Machine;

/// <summary>Connections to vsock ports of a guest through the VMM's Unix socket: "CONNECT port", then "OK" and a port, then bytes.</summary>
internal static class HybridVsock
{
    private const int MaxAnswerBytes = 64;

    /// <summary>Connects; the result is the caller's.</summary>
    /// <returns>Null if nobody listens at the port yet.</returns>
    /// <exception cref="SandboxException">It answers something else.</exception>
    public static async Task<Stream?> TryConnectAsync(string socketPath, uint port, CancellationToken cancellation)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellation).ConfigureAwait(false);
            byte[] request = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"CONNECT {port}\n"));
            await socket.SendAsync(request, cancellation).ConfigureAwait(false);
            if (await ReadLineAsync(socket, cancellation).ConfigureAwait(false) is not { } line)
            {
                socket.Dispose();
                return null;
            }

            return line.StartsWith("OK ", StringComparison.Ordinal)
                ? new NetworkStream(socket, ownsSocket: true)
                : throw new SandboxException(SandboxErrorKind.Refused, $"{socketPath} answers '{line}' to CONNECT: it is no socket of a VMM's vsock");
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionRefused or SocketError.ConnectionReset
            or SocketError.AddressNotAvailable or SocketError.Shutdown)
        {
            socket.Dispose();
            return null;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>The answer, of which not a byte too much is read: what follows belongs to the connection.</summary>
    private static async Task<string?> ReadLineAsync(Socket socket, CancellationToken cancellation)
    {
        byte[] line = new byte[MaxAnswerBytes];
        for (int length = 0; length < line.Length; length++)
        {
            if (await socket.ReceiveAsync(line.AsMemory(length, 1), cancellation).ConfigureAwait(false) == 0)
            {
                return null;
            }

            if (line[length] == '\n')
            {
                return Encoding.ASCII.GetString(line, 0, length);
            }
        }

        return Encoding.ASCII.GetString(line);
    }
}
