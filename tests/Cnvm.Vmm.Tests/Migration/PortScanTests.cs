using System.Net;
using System.Net.Sockets;
using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Somebody tries all kinds of protocols on the migration port, over TCP, before the guest comes and all the while.</summary>
public sealed class PortScanTests
{
    private const int AtOnce = 8;

    private static readonly byte[][] Probes =
    [
        [],
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n"u8.ToArray(),
        "SSH-2.0-OpenSSH_9.2\r\n"u8.ToArray(),
        "EHLO a\r\n"u8.ToArray(),
        "\r\n\r\n"u8.ToArray(),
        "CNVMMIGR"u8.ToArray(),
        [.. "CNVMMIGR"u8, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0],
        [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, .. new byte[505]],
        [3, 0, 0, 0x13, 0x0e, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0],
        [0, 0, 0, 0x85, 0xff, (byte)'S', (byte)'M', (byte)'B', .. new byte[129]],
        [.. Enumerable.Range(0, 4096).Select(i => (byte)(i * 37))],
    ];

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void It_ends_neither_the_wait_nor_the_move(int connections)
    {
        Assert.True(StreamEndpoint.TryParse($"tcp:127.0.0.1:{FreePort()}", out StreamEndpoint? endpoint));
        using var move = new Move { TargetEndpoint = endpoint, Connections = connections };
        MoveTests.Fill(move.Departure);

        // A second and more of it.
        move.Limits.BandwidthBytesPerS = 1 << 20;
        move.StartTarget();
        int scanned = 0;
        for (int i = 0; i < Probes.Length * 4; i++)
        {
            scanned += Probe(endpoint!, i) ? 1 : 0;
        }

        Assert.Equal(Probes.Length * 4, scanned);
        Assert.Equal(MigrationPhase.Connecting, move.TargetProgress.Phase);
        using var ending = new ManualResetEventSlim(false);
        Thread[] scanners =
        [
            .. Enumerable.Range(0, AtOnce).Select(number => new Thread(() =>
            {
                for (int i = number; !ending.Wait(5); i++)
                {
                    Probe(endpoint!, i);
                }
            })),
        ];
        Array.ForEach(scanners, s => s.Start());
        move.StartSource();
        Assert.True(move.WaitForSource(), $"{move.SourceProgress.Info()}");
        ending.Set();
        Array.ForEach(scanners, s => s.Join());
        move.WaitForEnd();
        MigrationInfo end = move.SourceProgress.Info();
        Assert.True((end.Phase, move.World.Running) == (MigrationPhase.Completed, FakeArrival.Side), $"{end}");
        move.AssertMemoryArrived();
    }

    /// <summary>Tries one thing, and goes in one of three ways; false if nobody takes the connection.</summary>
    private static bool Probe(StreamEndpoint endpoint, int number)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 50, SendTimeout = 50 };
        try
        {
            // Not many can wait there while a guest comes.
            if (!socket.ConnectAsync(IPAddress.Loopback, endpoint.Port).Wait(5_000))
            {
                return false;
            }

            socket.Send(Probes[number % Probes.Length]);
            switch (number % 3)
            {
                case 0:
                    // A reset instead of an end.
                    socket.LingerState = new LingerOption(true, 0);
                    break;
                case 1:
                    socket.Shutdown(SocketShutdown.Send);
                    _ = socket.Receive(new byte[100]);
                    break;
                default:
                    break;
            }

            return true;
        }
        catch (Exception e) when (e is SocketException or AggregateException)
        {
            // Turned away, or nothing was said in time.
            return true;
        }
    }

    private static int FreePort()
    {
        using var finder = new TcpListener(IPAddress.Loopback, 0);
        finder.Start();
        return ((IPEndPoint)finder.LocalEndpoint).Port;
    }
}
