using System.Net.Sockets;
using System.Text;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Consoles;
using Cnvm.Vmm.Platform;

namespace Cnvm.Vmm.Tests.Consoles;

public sealed class ConsoleTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-console").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_file_gets_all_output_in_order()
    {
        string path = Path.Combine(_folder, "serial.log");
        string text = string.Concat(Enumerable.Range(0, 5000).Select(i => $"{i}\n"));
        using (ConsoleSet consoles = Open(new VmConfig(Serial: new SerialConfig(File: path, Mode: ConsoleMode.File))))
        {
            ReadOnlySpan<byte> bytes = Encoding.ASCII.GetBytes(text);
            while (bytes.Length > 0)
            {
                bytes = bytes[consoles.Serial!.Write(bytes)..];
            }
        }

        Assert.Equal(text, File.ReadAllText(path));
    }

    [Fact]
    public void A_file_with_a_limit_keeps_the_newest_lines()
    {
        const int Limit = 128 << 10;
        string path = Path.Combine(_folder, "serial.log");
        string[] lines = [.. Enumerable.Range(0, 100_000).Select(i => $"line {i} of a guest that does not stop")];
        long longest = 0;
        using (ConsoleSet consoles = Open(new VmConfig(Serial: new SerialConfig(File: path, Mode: ConsoleMode.File, FileSize: Limit))))
        {
            foreach (string line in lines)
            {
                ReadOnlySpan<byte> bytes = Encoding.ASCII.GetBytes(line + "\n");
                while (bytes.Length > 0)
                {
                    bytes = bytes[consoles.Serial!.Write(bytes)..];
                }

                longest = Math.Max(longest, new FileInfo(path).Length);
            }
        }

        string[] kept = File.ReadAllLines(path);
        Assert.InRange(longest, Limit - 1000, Limit);
        Assert.True(new FileInfo(path).Length >= (Limit / 2) - 100);
        Assert.Equal(lines[^kept.Length..], kept);
    }

    [Fact]
    public void What_is_no_regular_file_has_no_limit()
    {
        MachineBuildException refused = Assert.Throws<MachineBuildException>(
            () => Open(new VmConfig(Serial: new SerialConfig(File: "/dev/ptmx", Mode: ConsoleMode.File, FileSize: 1 << 20))));
        Assert.Contains("regular file", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_socket_carries_both_ways_and_a_new_client_takes_over()
    {
        string path = Path.Combine(_folder, "s");
        using ConsoleSet consoles = Open(new VmConfig(Serial: new SerialConfig(Mode: ConsoleMode.Socket, Socket: path)));
        var backend = new ConsoleBackend(consoles.Serial!);
        using var arrived = new SemaphoreSlim(0);
        backend.Connect(() => arrived.Release(), () => { });

        using Socket first = Client(path);
        first.Send("hi"u8);
        Assert.True(arrived.Wait(Patience));
        Span<byte> input = new byte[8];
        int given = backend.Read(input);
        Assert.Equal("hi", Encoding.ASCII.GetString(input[..given]));

        Assert.Equal(3, consoles.Serial!.Write("abc"u8));
        Assert.Equal("abc", Receive(first, 3));

        using Socket second = Client(path);
        Assert.Equal(0, first.Receive(new byte[1]));
        consoles.Serial.Write("x"u8);
        Assert.Equal("x", Receive(second, 1));
    }

    [Fact]
    public void Input_without_room_waits_and_none_is_lost()
    {
        string path = Path.Combine(_folder, "s");
        using ConsoleSet consoles = Open(new VmConfig(Serial: new SerialConfig(Mode: ConsoleMode.Socket, Socket: path)));
        var backend = new ConsoleBackend(consoles.Serial!);
        using var arrived = new SemaphoreSlim(0);
        backend.Connect(() => arrived.Release(), () => { });
        byte[] sent = new byte[100_000];
        new Random(1).NextBytes(sent);
        using Socket client = Client(path);
        var sending = new Thread(() => client.Send(sent));
        sending.Start();
        var got = new List<byte>();
        byte[] piece = new byte[16];
        while (got.Count < sent.Length)
        {
            int given = backend.Read(piece);
            got.AddRange(piece[..given]);
            Assert.True(given > 0 || arrived.Wait(Patience), $"nothing came after {got.Count} bytes");
        }

        Assert.True(sending.Join(Patience));
        Assert.Equal(sent, got);
    }

    [Fact]
    public void A_pseudo_terminal_shows_its_path_in_the_configuration()
    {
        var config = new VmConfig(Serial: new SerialConfig(Mode: ConsoleMode.Pty));
        using ConsoleSet consoles = Open(config);
        string path = consoles.WithPaths(config).Serial.File!;
        Assert.StartsWith("/dev/pts/", path, StringComparison.Ordinal);
        using FileStream terminal = File.Open(path, FileMode.Open, FileAccess.ReadWrite);
        consoles.Serial!.Write("ok"u8);
        byte[] seen = new byte[2];
        terminal.ReadExactly(seen);
        Assert.Equal("ok"u8.ToArray(), seen);
    }

    [Fact]
    public void Output_nobody_takes_never_blocks()
    {
        using ConsoleSet consoles = Open(new VmConfig(Serial: new SerialConfig(Mode: ConsoleMode.Pty)));
        byte[] chunk = new byte[4096];
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(chunk.Length, consoles.Serial!.Write(chunk));
        }
    }

    [Fact]
    public void A_path_that_cannot_be_used_is_named_and_nothing_stays_behind()
    {
        string socket = Path.Combine(_folder, "left");
        var config = new VmConfig(
            Serial: new SerialConfig(Mode: ConsoleMode.Socket, Socket: socket),
            Console: new ConsoleConfig(File: "/nowhere/at/all", Mode: ConsoleMode.File));
        MachineBuildException refused = Assert.Throws<MachineBuildException>(() => Open(config));
        Assert.Contains("console", refused.Message, StringComparison.Ordinal);
        Assert.Contains("/nowhere/at/all", refused.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(_folder));
    }

    private static ConsoleSet Open(VmConfig config) =>
        ConsoleSet.Open(config.Console.Mode == ConsoleMode.Tty ? config with { Console = new ConsoleConfig(Mode: ConsoleMode.Off) } : config, () => { });

    private static Socket Client(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 20_000 };
        socket.Connect(new UnixDomainSocketEndPoint(path));
        return socket;
    }

    private static string Receive(Socket socket, int length)
    {
        byte[] buffer = new byte[length];
        int got = 0;
        while (got < length)
        {
            int n = socket.Receive(buffer.AsSpan(got));
            Assert.NotEqual(0, n);
            got += n;
        }

        return Encoding.ASCII.GetString(buffer);
    }
}
