using System.Diagnostics;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using Cnvm.Linux;
using Cnvm.Linux.Tls;
using Cnvm.Tests;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Moves through mutual TLS, who is refused, and that refusing costs nobody anything.</summary>
public sealed class TlsTests : IDisposable
{
    private const string Name = "cnvm.test";
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-tls-").FullName;
    private readonly TestAuthority _authority = new("cnvm test authority");
    private readonly TestAuthority _other = new("another authority");
    private readonly string _good;

    public TlsTests() => _good = _authority.Fill(Path.Combine(_folder, "good"));

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_guest_moves(bool compress)
    {
        Skip.If(compress && !Lz4.IsAvailable, "liblz4.so.1 is not installed");
        using Move move = Begin(compress: compress);
        move.Departure.OnCollect = n =>
        {
            move.Departure.Write(0x3000, (byte)n);
            move.Departure.Write(0x100_5000, (byte)n);
        };
        move.StartTarget();
        MoveNow(move);
        Assert.False(move.Target.MayBeAsked);
    }

    [Fact]
    public void Every_one_of_several_connections_is_secured()
    {
        using Move move = Begin(plan: [new RamPiece(0, 64 << 20)], connections: 3);
        move.Departure.OnCollect = n => move.Departure.Write(0x3000, (byte)n);
        move.StartTarget();
        MoveNow(move);
        Assert.Equal(3, move.SourceLinks.Count);
        Assert.All(move.SourceLinks, link => Assert.IsType<TlsStream>(link.Stream));
    }

    [Fact]
    public void Much_memory_moves_with_limits_and_pauses_as_without()
    {
        using Move move = Begin(plan: [new RamPiece(0, 64 << 20)]);
        move.Limits.BandwidthBytesPerS = 256 << 20;
        move.Limits.DowntimeMs = 1;
        move.Departure.OnCollect = n =>
        {
            for (ulong page = 0; n < 4 && page < 2000; page++)
            {
                move.Departure.Write(page * 3 << 12, (byte)n);
            }
        };
        move.StartTarget();
        MoveNow(move);
        Assert.InRange(move.SourceProgress.Info().Rounds, 5u, 10u);
    }

    /// <summary>The connection goes at the one moment in which the source cannot know: it asks, through TLS too.</summary>
    [Fact]
    public void A_source_that_does_not_know_asks()
    {
        using Move move = Begin();
        move.Arrival.OnRun = () => move.SourceLink!.Abort();
        move.StartTarget();
        MoveNow(move);
    }

    /// <summary>Whoever is refused hears why before the guest stops; the target waits on, and the next one comes through.</summary>
    [Theory]
    [InlineData("source of another authority", "the peer refuses this side in the TLS handshake: unknown ca")]
    [InlineData("source expired", "the peer refuses this side in the TLS handshake: certificate expired")]
    [InlineData("source for something else", "the peer refuses this side in the TLS handshake: unsupported certificate")]
    [InlineData("source with another name", "the peer refuses this side in the TLS handshake: bad certificate")]
    [InlineData("target of another authority", "the peer's certificate is not accepted: unable to get local issuer certificate")]
    [InlineData("target expired", "the peer's certificate is not accepted: certificate has expired")]
    [InlineData("target for something else", "the peer's certificate is not accepted: unsuitable certificate purpose")]
    [InlineData("target with another name", "the peer's certificate is not accepted: hostname mismatch")]
    [InlineData("target without TLS", "the peer closed the connection during the TLS handshake")]
    [InlineData("source without TLS", "the peer closed the connection")]
    public void Who_is_not_trusted_is_refused_by_name(string who, string why)
    {
        (string side, string what) = (who[..6], who[7..]);
        string bad = what switch
        {
            "of another authority" => _other.Fill(Path.Combine(_folder, "bad"), believed: _authority),
            "expired" => _authority.Fill(Path.Combine(_folder, "bad"), daysLeft: -1),
            "for something else" => _authority.Fill(Path.Combine(_folder, "bad"), isSwapped: true),
            "with another name" => _authority.Fill(Path.Combine(_folder, "bad"), name: "other.test"),
            _ => "",
        };
        MigrationTransport Transport(bool isBad, MigrationSide end) => isBad && bad.Length == 0
            ? MigrationTransport.Plain
            : MigrationTransport.Secure(isBad ? bad : _good, end, Name);
        using Move move = Begin(target: Transport(side == "target", MigrationSide.Target));
        move.SourceTransport = Transport(side == "source", MigrationSide.Source);
        move.StartTarget();
        move.StartSource();
        Assert.True(move.WaitForSource());
        MigrationInfo info = move.SourceProgress.Info();
        Assert.Equal((MigrationPhase.Failed, GuestPlace.Here), (info.Phase, info.Guest));
        Assert.Contains(why, info.Error, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(FakeDeparture.Side, move.World.Running);
        Assert.False(move.Departure.WasStopped);
        Assert.Equal(MigrationPhase.Connecting, move.TargetProgress.Phase);
        if (side == "source")
        {
            move.SourceTransport = Source();
            MoveNow(move);
        }
    }

    [Fact]
    public async Task A_peer_without_a_certificate_is_refused()
    {
        using Move move = Begin();
        move.StartTarget();
        using Socket socket = Dial(move);
        await using var tls = new SslStream(new NetworkStream(socket), leaveInnerStreamOpen: false, (_, shown, _, _) => shown?.Subject == $"CN={Name} server");
        AuthenticationException? refusal = null;
        try
        {
            await tls.AuthenticateAsClientAsync(Name);
            Assert.Equal(0, await tls.ReadAsync(new byte[1]));
        }
        catch (Exception e) when (e is IOException or AuthenticationException)
        {
            refusal = new AuthenticationException(e.ToString());
        }

        Assert.Contains("certificate required", refusal?.Message, StringComparison.OrdinalIgnoreCase);
        Assert.False(move.Arrival.IsPrepared);
        MoveNow(move);
    }

    [Fact]
    public async Task Strangers_at_the_port_end_neither_the_wait_nor_stay()
    {
        using Move move = Begin(target: Transport(MigrationSide.Target, patience: TimeSpan.FromMilliseconds(500)));
        move.StartTarget();
        Dial(move).Dispose();
        using (Socket garbage = Dial(move))
        {
            byte[] noise = new byte[5000];
            Random.Shared.NextBytes(noise);
            garbage.Send(noise);
            AssertClosed(garbage);
        }

        using (Socket silent = Dial(move))
        {
            AssertClosed(silent);
        }

        // A byte at a time, each of them in time: a record of a handshake that never ends (RFC 8446 §5.1).
        using Socket slow = Dial(move);
        var clock = Stopwatch.StartNew();
        byte[] record = [22, 3, 1, 2, 0, .. new byte[512]];
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        try
        {
            for (int i = 0; i < record.Length && !slow.Poll(0, SelectMode.SelectRead); i++)
            {
                slow.Send(record.AsSpan(i, 1));
                Assert.True(await timer.WaitForNextTickAsync());
            }
        }
        catch (SocketException e)
        {
            Assert.Equal(SocketError.Shutdown, e.SocketErrorCode);
        }

        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), $"the target listened for {clock.Elapsed}");
        MoveNow(move);
    }

    /// <summary>Each may take longer than the source waits for its own handshake.</summary>
    [Fact]
    public void Those_who_say_nothing_cost_the_source_nothing()
    {
        using Move move = Begin(target: Transport(MigrationSide.Target, patience: TimeSpan.FromMinutes(5)));
        move.StartTarget();
        Socket[] silent = [.. Enumerable.Range(0, 4).Select(_ => Dial(move))];
        MoveNow(move);
        Assert.InRange(move.SourceProgress.Info().ElapsedMs, 0ul, 60_000ul);
        Array.ForEach(silent, s => s.Dispose());
    }

    [Fact]
    public void A_target_that_never_answers_is_given_up_in_time_or_when_asked()
    {
        using var move = new Move { SourceTransport = Transport(MigrationSide.Source, patience: TimeSpan.FromMilliseconds(300)) };
        using StreamListener silent = StreamListener.Bind(Move.Endpoint(move.ProxyPath));
        move.StartSource(move.ProxyPath);
        Assert.True(move.WaitForSource());
        Assert.Contains("did not finish the TLS handshake within 300 ms", move.SourceProgress.Info().Error, StringComparison.Ordinal);

        move.SourceTransport = Transport(MigrationSide.Source, patience: TimeSpan.FromHours(1));
        move.StartSource(move.ProxyPath);
        Assert.NotNull(silent.Accept(30_000));
        move.SourceStop.Ask("enough");
        Assert.True(move.WaitForSource());
        Assert.Equal(MigrationPhase.Cancelled, move.SourceProgress.Phase);
        Assert.Equal(FakeDeparture.Side, move.World.Running);
    }

    [Theory]
    [InlineData("ca-cert.pem", "missing", "ca-cert.pem cannot be read")]
    [InlineData("client-cert.pem", "missing", "client-cert.pem cannot be read")]
    [InlineData("client-key.pem", "missing", "client-key.pem cannot be read")]
    [InlineData("ca-cert.pem", "noise", "ca-cert.pem has no certificate")]
    [InlineData("client-cert.pem", "noise", "client-cert.pem has no certificate")]
    [InlineData("client-key.pem", "noise", "client-key.pem has no key")]
    [InlineData("client-key.pem", "other", "client-key.pem")]
    [InlineData("client-key.pem", "password", "client-key.pem has no key without a password")]
    public void Files_that_are_wrong_are_named(string file, string what, string why)
    {
        string path = Path.Combine(_good, file);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        File.Delete(path);
        if (what != "missing")
        {
            File.WriteAllText(path, what switch
            {
                "noise" => "-----BEGIN NONSENSE-----\nAAAA\n-----END NONSENSE-----\n",
                "other" => key.ExportPkcs8PrivateKeyPem(),
                _ => key.ExportEncryptedPkcs8PrivateKeyPem("secret", new PbeParameters(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 1000)),
            });
        }

        string message = Assert.Throws<TlsException>(() => MigrationTransport.Secure(_good, MigrationSide.Source, null)).Message;
        Assert.Contains(why, message, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _authority.Dispose();
        _other.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static Socket Dial(Move move)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 30_000 };
        socket.Connect(new UnixDomainSocketEndPoint(move.TargetPath));
        return socket;
    }

    /// <summary>The target says at most that it refuses, and closes.</summary>
    private static void AssertClosed(Socket socket)
    {
        byte[] answer = new byte[4096];
        try
        {
            while (socket.Receive(answer) > 0)
            {
                Assert.NotEqual((byte)22, answer[0]);
            }
        }
        catch (SocketException e)
        {
            Assert.Equal(SocketError.ConnectionReset, e.SocketErrorCode);
        }
    }

    private static void MoveNow(Move move)
    {
        move.StartSource();
        move.WaitForEnd();
        MigrationInfo info = move.SourceProgress.Info();
        Assert.True(info.Phase == MigrationPhase.Completed, info.Error);
        Assert.Equal(FakeArrival.Side, move.World.Running);
        move.AssertMemoryArrived();
    }

    private MigrationTransport Transport(MigrationSide side, TimeSpan? patience = null) =>
        MigrationTransport.Secure(_good, side, Name, patience);

    private MigrationTransport Source() => Transport(MigrationSide.Source);

    private Move Begin(bool compress = false, MigrationTransport? target = null, IReadOnlyList<RamPiece>? plan = null, int connections = 1)
    {
        var move = new Move
        {
            Compress = compress, Connections = connections, SourceTransport = Source(), TargetTransport = target ?? Transport(MigrationSide.Target),
        };
        if (plan is not null)
        {
            move.Departure.Dispose();
            move.Departure = new FakeDeparture(move.World, plan);
        }

        foreach (Cnvm.Hypervisor.Memory.RamRegion r in move.Departure.Memory.Regions)
        {
            new Random(1).NextBytes(move.Departure.Memory.GetSpan(r.Gpa, (int)r.Size));
        }

        return move;
    }
}
