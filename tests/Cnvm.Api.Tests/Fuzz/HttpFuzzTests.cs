using System.Text;
using Cnvm.Api.Http;
using Cnvm.Linux;
using Xunit.Abstractions;

namespace Cnvm.Api.Tests.Fuzz;

/// <summary>Bytes and descriptors that are no request, or nearly one, or several: however they are cut.</summary>
[Collection(FuzzRun.Collection)]
public sealed class HttpFuzzTests(ITestOutputHelper output)
{
    private static readonly string[] Fragments =
    [
        "GET /api/v1/vmm.ping HTTP/1.1\r\n\r\n", "GET /api/v1/vm.info HTTP/1.1\r\nHost: x\r\n\r\n", "PUT /api/v1/vm.boot HTTP/1.1\r\n\r\n",
        "PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "PUT /api/v1/vm.create HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nnull",
        "GET ", "PUT ", "POST ", "/api/v1/", "vmm.ping", "vm.create", " HTTP/1.1", " HTTP/1.0", " HTTP/2", "\r\n", "\r\n\r\n", "\n", "\r", "\0", " ", "\t",
        "Content-Length: 0", "Content-Length: 5", "Content-Length: -1", "Content-Length: +1", "Content-Length: 0x5", "Content-Length: 4194304",
        "Content-Length: 4194305", "Content-Length: 99999999999999999999", "content-length:3", "Content-Length : 3", " Content-Length: 3",
        "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Expect: 100-continue", "Expect: 200", "Connection: close", "Host: a", ":", ": x",
        "X: \u00e9", "5\r\nhello\r\n0\r\n\r\n", "{}", "null", "http://x/api/v1/vmm.ping", "%2e%2e", "?a=b", "#",
    ];

    [Fact]
    public void A_head_is_parsed_the_same_however_it_is_cut() => FuzzRun.Repeat(output, 3000, random =>
    {
        byte[] bytes = Bytes(random, 12);
        (HttpHead? whole, string? refusal) = Parse(bytes);
        for (int length = 0; length < bytes.Length; length++)
        {
            (HttpHead? part, string? partRefusal) = Parse(bytes.AsSpan(0, length));
            if (part is not null)
            {
                // Once a head is complete, what follows changes nothing.
                Assert.Equal((part.Method, part.Path, part.ContentLength, part.Length), (whole?.Method, whole?.Path, whole?.ContentLength, whole?.Length));
            }

            // What is refused early is refused for good.
            Assert.True(partRefusal is null || refusal is not null, partRefusal);
        }

        if (whole is not null)
        {
            Assert.InRange(whole.Length, 1, bytes.Length);
            Assert.InRange(whole.ContentLength, 0, HttpLimits.Body);
        }
    });

    [Fact]
    public void Answers_are_the_same_however_requests_are_cut()
    {
        using var server = new ServerFixture();
        FuzzRun.Repeat(output, 60, random =>
        {
            byte[] bytes = Bytes(random, 6);
            string whole = Exchange(server, [bytes]);
            Assert.Equal(whole, Exchange(server, Cut(random, bytes)));
        });
    }

    [Fact]
    public void Clients_of_every_bad_kind_leave_nothing_behind_and_nobody_waiting()
    {
        using var server = new ServerFixture();
        using var ping = new PingWatch(server.SocketPath);
        Assert.True(SpinWait.SpinUntil(() => ping.Count > 0, TimeSpan.FromSeconds(20)));
        var before = OpenDescriptors.Now();
        using (var stayers = new Stayers(server.SocketPath))
        {
            FuzzRun.Repeat(output, 100, random =>
            {
                stayers.Change(random);
                Misbehave(random, server.SocketPath);
            });
        }

        before.ExpectNoMore();
        ping.Expect();
        output.WriteLine($"{ping.Count} pings, the slowest {ping.SlowestMilliseconds:F1} ms");
    }

    private static (HttpHead? Head, string? Refusal) Parse(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return (HttpHead.TryParse(bytes), null);
        }
        catch (HttpFormatException e)
        {
            return (null, e.Message);
        }
    }

    private static byte[] Bytes(Random random, int most)
    {
        var text = new StringBuilder();
        int count = random.Next(1, most + 1);
        for (int i = 0; i < count; i++)
        {
            text.Append(Fragments[random.Next(Fragments.Length)]);
            if (random.Next(3) == 0)
            {
                text.Append("\r\n");
            }
        }

        byte[] bytes = Encoding.Latin1.GetBytes(text.ToString());
        for (int i = random.Next(4) == 0 ? random.Next(1, 4) : 0; i > 0; i--)
        {
            bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
        }

        return bytes;
    }

    private static List<byte[]> Cut(Random random, byte[] bytes)
    {
        var parts = new List<byte[]>();
        for (int start = 0; start < bytes.Length;)
        {
            int length = Math.Min(random.Next(3) == 0 ? 1 : random.Next(1, 40), bytes.Length - start);
            parts.Add(bytes[start..(start + length)]);
            start += length;
        }

        return parts;
    }

    /// <summary>Sends the parts one by one, says that there is no more, and returns all that comes back.</summary>
    private static string Exchange(ServerFixture server, IEnumerable<byte[]> parts)
    {
        using UnixStream client = UnixStream.Connect(server.SocketPath);
        foreach (byte[] part in parts)
        {
            // A server that has refused what came before does not take the rest.
            if (client.Send(part) <= 0)
            {
                break;
            }
        }

        client.CloseWriting();
        var answer = new StringBuilder();
        byte[] buffer = new byte[4096];
        int count;
        while ((count = client.Receive(buffer, [])) > 0)
        {
            answer.Append(Encoding.ASCII.GetString(buffer, 0, count));
        }

        // Whether a body has come already when its head is seen decides about the interim answer; both are right.
        return answer.ToString().Replace(Encoding.ASCII.GetString(HttpResponse.Continue), "", StringComparison.Ordinal);
    }

    private static void Misbehave(Random random, string socketPath)
    {
        using UnixStream client = UnixStream.Connect(socketPath);
        int[] counts = [0, 0, 1, 2, 253];
        foreach (byte[] part in Cut(random, random.Next(8) == 0 ? Giant(random) : Bytes(random, 4)))
        {
            // The process's own standard input: any descriptor will do.
            int[] fds = new int[counts[random.Next(counts.Length)]];
            if (client.Send(part, fds) <= 0)
            {
                return;
            }
        }

        switch (random.Next(3))
        {
            case 0:
                client.CloseWriting();
                while (client.Receive(new byte[4096], []) > 0)
                {
                }

                break;
            case 1:
                client.CloseWriting();
                break;
        }
    }

    private static byte[] Giant(Random random)
    {
        string text = random.Next(4) switch
        {
            0 => "GET /" + new string('a', random.Next(1000, 3000)),
            1 => "GET /api/v1/vmm.ping HTTP/1.1\r\n" + string.Concat(Enumerable.Repeat("A: b\r\n", random.Next(60, 70))) + "\r\n",
            2 => "GET /api/v1/vmm.ping HTTP/1.1\r\nA: " + new string('b', random.Next(1015, 1030)) + "\r\n\r\n",
            _ => "PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 4000\r\n\r\n" + new string('[', random.Next(3000, 5000)),
        };
        return Encoding.ASCII.GetBytes(text);
    }

    /// <summary>Clients that connect, say half of something and stay.</summary>
    private sealed class Stayers(string socketPath) : IDisposable
    {
        private const int Most = 5;
        private readonly List<UnixStream> _clients = [];

        public void Change(Random random)
        {
            if (_clients.Count == Most || (_clients.Count > 0 && random.Next(3) == 0))
            {
                int leaver = random.Next(_clients.Count);
                _clients[leaver].Dispose();
                _clients.RemoveAt(leaver);
            }

            UnixStream client = UnixStream.Connect(socketPath);
            client.Send("PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 100\r\n\r\n{"u8[..random.Next(1, 50)], new int[random.Next(3)]);
            _clients.Add(client);
        }

        public void Dispose() => _clients.ForEach(c => c.Dispose());
    }
}
