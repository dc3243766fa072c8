using System.Buffers;
using System.Buffers.Binary;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Migration;
using Xunit.Abstractions;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>
/// What a target reads is cut off, bent and forged, often with valid checksums, with post-copy and without.
/// </summary>
public sealed class StreamFuzzTests(ITestOutputHelper output)
{
    private const int Seeds = 200;
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_target_refuses_what_is_no_guest_and_runs_only_what_is_whole(bool isLate)
    {
        Skip.If(isLate && Userfaultfd.WhyNot() is not null, Userfaultfd.WhyNot());
        byte[] good = isLate ? RecordLate() : Record();
        int refused = 0;
        int cases = FuzzSeeds.Run(isLate ? Seeds / 3 : Seeds, seed => refused += Feed(Bend(good, new Random(seed)), !isLate) ? 0 : 1);
        output.WriteLine($"{cases} streams, {refused} refused");
        Assert.InRange(refused, cases / 3, cases);
        Assert.True(Feed(good, !isLate), "the undisturbed stream is refused");
    }

    /// <summary>A header may promise much: memory is taken for what comes.</summary>
    [Fact]
    public void Promises_take_no_memory()
    {
        byte[] good = Record();
        List<byte[]> messages = Split(good);
        byte[] promise = new byte[MigrationWire.HeaderBytes];
        BinaryPrimitives.WriteUInt16LittleEndian(promise, (ushort)FrameType.Offer);
        BinaryPrimitives.WriteInt32LittleEndian(promise.AsSpan(4), StateFormat.MaxBytes);
        long before = GC.GetTotalAllocatedBytes(precise: true);
        Assert.False(Feed([.. messages[0], .. messages[1], .. promise, .. new byte[100]]));
        Assert.InRange(GC.GetTotalAllocatedBytes(precise: true) - before, 0, 32 << 20);
    }

    /// <summary>What a source sends when nothing happens to it.</summary>
    private static byte[] Record()
    {
        using var move = new Move { DeltaCacheBytes = 1 << 20 };
        using var between = new Disturber(move.ProxyPath, move.TargetPath);
        MoveTests.Fill(move.Departure);
        move.Limits.DowntimeMs = 10_000;
        var disk = new FakeDisk("_disk0", 256 << 10);
        new Random(2).NextBytes(disk.Contents.AsSpan(64 << 10, 64 << 10));
        move.BringDisks(disk);
        move.Departure.OnCollect = n =>
        {
            move.Departure.Write(0x2000, (byte)n);
            disk.Write(150_000, [(byte)n]);
        };
        move.StartTarget();
        move.StartSource(move.ProxyPath);
        move.WaitForEnd();
        Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
        Assert.Contains(FrameType.Deltas, between.FromSource);
        return between.Recorded.ToArray();
    }

    /// <summary>The same with post-copy, and nothing that the target would have to ask for.</summary>
    private static byte[] RecordLate()
    {
        using var move = new Move { Postcopy = (int)PostcopyUse.AfterTimeout };
        using var between = new Disturber(move.ProxyPath, move.TargetPath);
        MoveTests.Fill(move.Departure);
        move.Limits.TimeoutS = 0;
        move.StartTarget();
        move.StartSource(move.ProxyPath);
        move.WaitForEnd();
        Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
        Assert.Contains(FrameType.LastPage, between.FromSource);
        return between.Recorded.ToArray();
    }

    /// <summary>Sends it all to a fresh target; whether a guest runs there afterwards.</summary>
    private static bool Feed(byte[] stream, bool hasDisks = true)
    {
        using var move = new Move();
        move.BringDisks();
        move.World.Stop(FakeDeparture.Side);
        move.StartTarget();
        using (SocketStream socket = SocketStream.Connect(Move.Endpoint(move.TargetPath), 10_000, static () => false))
        {
            var reader = new Thread(() => Drain(socket));
            reader.Start();
            try
            {
                socket.Write(stream);
            }
            catch (LinuxException)
            {
                // It has heard enough.
                Assert.NotEmpty(stream);
            }

            socket.CloseWriting();
            Assert.True(reader.Join(TimeSpan.FromSeconds(60)), $"the target keeps the connection: {move.TargetProgress.Info()}");
        }

        Assert.True(SpinWait.SpinUntil(() => move.HasTargetStopped, Long), $"it goes on with nobody: {move.TargetProgress.Info()}");
        if (move.TargetProgress.Phase == MigrationPhase.Connecting)
        {
            Assert.True(move.Target.TryCancel("nothing came"));
        }

        if (move.TargetProgress.Phase == MigrationPhase.PostcopyLost)
        {
            // The guest runs, and what has not come would go on coming.
            bool isRescued = TryRescue(move);
            if (!isRescued)
            {
                move.Target.Abandon();
            }

            move.WaitForEnd();
            Assert.Equal(isRescued ? MigrationPhase.Completed : MigrationPhase.PostcopyLost, move.TargetProgress.Phase);
            return false;
        }

        move.WaitForEnd();
        bool runs = move.World.Running == FakeArrival.Side;
        Assert.Equal(runs, move.TargetProgress.Phase == MigrationPhase.Completed);
        Assert.Equal(!runs, move.Arrival.IsDiscarded);
        Assert.Equal(runs && hasDisks, Directory.GetFileSystemEntries(move.DiskFolder).Length > 0);
        return runs;
    }

    /// <summary>A source that knows the session brings what is missing; false if the session was another one.</summary>
    private static bool TryRescue(Move move)
    {
        using RawLink link = RawLink.To(move.TargetPath);
        link.Patience = Long;
        link.Say(FrameType.Continue, Move.Session);
        List<ulong> missing = [];
        if (!link.HearMagic() || !link.HearUntil(FrameType.Continued, Take))
        {
            Assert.Equal(FrameType.Failed, link.Heard.Type);
            return false;
        }

        foreach (ulong[] gpas in missing.Chunk(64))
        {
            link.Say(FrameType.Pages, RawMessages.Pages(gpas, static _ => 1));
        }

        link.Say(FrameType.LastPage);
        Assert.True(link.HearUntil(FrameType.Complete), $"it is never complete: {move.TargetProgress.Info()}");
        link.Say(FrameType.Bye);
        return true;

        void Take(FrameType type, byte[] payload) =>
            MissingFrame.Read(new Frame(type, 0, new ReadOnlySequence<byte>(payload)), move.Departure.Memory, missing.Add);
    }

    private static void Drain(SocketStream socket)
    {
        byte[] answer = new byte[4096];
        try
        {
            while (socket.Read(answer) > 0)
            {
                Assert.NotEmpty(answer);
            }
        }
        catch (IOException)
        {
            // Reset: as good an end as any.
            return;
        }
    }

    private static byte[] Bend(byte[] good, Random random)
    {
        List<byte[]> messages = Split(good);
        for (int n = random.Next(1, 4); n > 0; n--)
        {
            int at = random.Next(1, messages.Count);
            byte[] message = messages[at];
            switch (message.Length < MigrationWire.HeaderBytes ? 1 : random.Next(9))
            {
                case 0:
                    message[random.Next(message.Length)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    messages.RemoveAt(at);
                    break;
                case 2:
                    messages.Insert(random.Next(1, messages.Count + 1), [.. message]);
                    break;
                case 3:
                    messages.RemoveRange(at, messages.Count - at);
                    break;
                case 4:
                    messages[at] = message[..random.Next(message.Length)];
                    break;
                case 5:
                    BinaryPrimitives.WriteUInt16LittleEndian(message, (ushort)random.Next(40));
                    break;
                case 6:
                    // A number at a place where numbers are.
                    BinaryPrimitives.WriteUInt64LittleEndian(
                        message.AsSpan(Math.Min(message.Length - 8, MigrationWire.HeaderBytes + random.Next(40))), Number(random));
                    break;
                case 7:
                    BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(2), (ushort)random.Next(4));
                    break;
                default:
                    messages[at] = [.. message, .. new byte[random.Next(100)]];
                    break;
            }

            if (messages.Count < 2)
            {
                break;
            }
        }

        if (random.Next(4) != 0)
        {
            Forge(messages);
        }

        return [.. messages.SelectMany(m => m)];
    }

    private static ulong Number(Random random) => random.Next(6) switch
    {
        0 => 0,
        1 => ulong.MaxValue,
        2 => ulong.MaxValue - 4095,
        3 => 0x20_0000,
        4 => 1UL << random.Next(64),
        _ => (ulong)random.NextInt64(),
    };

    /// <summary>Lengths, numbers and checksums as a hostile source would make them.</summary>
    private static void Forge(List<byte[]> messages)
    {
        for (int i = 1; i < messages.Count; i++)
        {
            byte[] message = messages[i];
            if (message.Length >= MigrationWire.HeaderBytes)
            {
                BinaryPrimitives.WriteInt32LittleEndian(message.AsSpan(4), message.Length - MigrationWire.HeaderBytes);
                BinaryPrimitives.WriteInt32LittleEndian(message.AsSpan(8), i - 1);
                uint crc = Crc32C.Append(Crc32C.Append(Crc32C.Start, message.AsSpan(0, 12)), message.AsSpan(MigrationWire.HeaderBytes));
                BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(12), Crc32C.Finish(crc));
            }
        }
    }

    /// <summary>The magic and the messages.</summary>
    private static List<byte[]> Split(byte[] stream)
    {
        List<byte[]> messages = [stream[..8]];
        for (int at = 8; at < stream.Length;)
        {
            int length = MigrationWire.HeaderBytes + BinaryPrimitives.ReadInt32LittleEndian(stream.AsSpan(at + 4));
            messages.Add(stream[at..(at + length)]);
            at += length;
        }

        return messages;
    }
}
