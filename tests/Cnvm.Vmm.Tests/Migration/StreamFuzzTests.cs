using System.Buffers.Binary;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>
/// What a target reads is cut off, bent and forged, often with valid checksums. CNVM_FUZZ_SECONDS runs longer; a failure names its seed.
/// </summary>
public sealed class StreamFuzzTests
{
    private const int Seeds = 200;

    [Fact]
    public void A_target_refuses_what_is_no_guest_and_runs_only_what_is_whole()
    {
        byte[] good = Record();
        int seconds = int.TryParse(Environment.GetEnvironmentVariable("CNVM_FUZZ_SECONDS"), out int s) ? s : 0;
        long deadline = Environment.TickCount64 + (seconds * 1000L);
        int refused = 0;
        for (int seed = 1; seed <= Seeds || Environment.TickCount64 < deadline; seed++)
        {
            try
            {
                refused += Feed(Bend(good, new Random(seed))) ? 0 : 1;
            }
            catch (Exception e)
            {
                throw new Xunit.Sdk.XunitException($"seed {seed}: {e}");
            }
        }

        Assert.InRange(refused, Seeds / 2, int.MaxValue);
        Assert.True(Feed(good), "the undisturbed stream is refused");
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
        using var move = new Move();
        using var between = new Disturber(move.ProxyPath, move.TargetPath);
        MoveTests.Fill(move.Departure);
        move.Limits.DowntimeMs = 10_000;
        move.Departure.OnCollect = n => move.Departure.Write(0x2000, (byte)n);
        move.StartTarget();
        move.StartSource(move.ProxyPath);
        move.WaitForEnd();
        Assert.Equal(MigrationPhase.Completed, move.SourceProgress.Phase);
        return between.Recorded.ToArray();
    }

    /// <summary>Sends it all to a fresh target; whether a guest runs there afterwards.</summary>
    private static bool Feed(byte[] stream)
    {
        using var move = new Move();
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

        if (move.TargetProgress.Phase == MigrationPhase.Connecting)
        {
            Assert.True(move.Target.TryCancel("nothing came"));
        }

        move.WaitForEnd();
        bool runs = move.World.Running == FakeArrival.Side;
        Assert.Equal(runs, move.TargetProgress.Phase == MigrationPhase.Completed);
        Assert.Equal(!runs, move.Arrival.IsDiscarded);
        return runs;
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
                    BinaryPrimitives.WriteUInt16LittleEndian(message, (ushort)random.Next(20));
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
