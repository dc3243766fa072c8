using System.Buffers.Binary;
using System.Text;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Who is refused at the target's port, or at the source, and by what limit.</summary>
public sealed class RefusalTests
{
    /// <summary>Whoever is first decides: a cancellation that is taken is carried out, and behind the order to run none is taken.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_cancellation_is_taken_up_to_the_order_to_run_and_not_behind_it(bool isInTime)
    {
        using var move = new Move();
        MoveTests.Fill(move.Departure);
        bool? isTaken = null;
        void Cancel() => isTaken = move.Source!.TryCancel("it was cancelled");
        if (isInTime)
        {
            move.Arrival.OnRestore = Cancel;
        }
        else
        {
            move.Arrival.OnRun = Cancel;
        }

        move.Run();
        Assert.True(isTaken == isInTime && move.SourceStop.IsAsked == isInTime && move.Source!.IsOrdered != isInTime, $"taken: {isTaken}");
        Assert.Equal(isInTime ? MigrationPhase.Cancelled : MigrationPhase.Completed, move.SourceProgress.Phase);
        Assert.Equal(isInTime ? FakeDeparture.Side : FakeArrival.Side, move.World.Running);
        Assert.Equal(isInTime ? "it was cancelled" : null, move.SourceProgress.Info().Error);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(2, 9)]
    public void A_source_of_other_versions_is_refused_by_name_and_the_next_one_comes_through(int lowest, int highest)
    {
        using var move = new Move();
        MoveTests.Fill(move.Departure);
        move.StartTarget();
        using (RawLink link = RawLink.To(move.TargetPath))
        {
            var hello = new MigrationHello
            {
                Lowest = (ushort)lowest, Highest = (ushort)highest, Features = 0, Session = Move.Session, IsQuestion = false, Producer = "another cnvm",
            };
            link.Say(FrameType.Hello, StateWriter.Write(hello, MigrationHello.Describe));
            Assert.True(link.HearMagic() && link.HearUntil(FrameType.Failed));
            Assert.Equal(
                $"it speaks versions {lowest} to {highest} of the protocol, this cnvm {MigrationWire.Version}", Encoding.UTF8.GetString(link.Heard.Payload));
        }

        move.StartSource();
        move.WaitForEnd();
        Assert.Equal((MigrationPhase.Completed, FakeArrival.Side), (move.SourceProgress.Phase, move.World.Running));
    }

    /// <summary>Sixteen strangers at once may say who they are: a message that is larger than that takes no memory, and nobody waits for it.</summary>
    [Theory]
    [InlineData((int)FrameType.Offer, 1 << 20)]
    [InlineData((int)FrameType.State, 64 << 20)]
    [InlineData((int)FrameType.Hello, (16 << 10) + 1)]
    public void Nobody_begins_with_what_is_long(int type, int bytes)
    {
        using var move = new Move { Patience = TimeSpan.FromSeconds(100) };
        move.StartTarget();
        using SocketStream stranger = SocketStream.Connect(Move.Endpoint(move.TargetPath), 10_000, static () => false);
        byte[] start = new byte[MigrationWire.Magic.Length + MigrationWire.HeaderBytes];
        MigrationWire.Magic.CopyTo(start);
        BinaryPrimitives.WriteUInt16LittleEndian(start.AsSpan(MigrationWire.Magic.Length), (ushort)type);
        BinaryPrimitives.WriteInt32LittleEndian(start.AsSpan(MigrationWire.Magic.Length + 4), bytes);
        long started = Environment.TickCount64;
        stranger.Write(start);
        Assert.Equal(0, stranger.Read(new byte[100]));
        Assert.InRange(Environment.TickCount64 - started, 0, 50_000);
        Assert.True(move.Target.TryCancel("enough"));
        move.WaitForEnd();
    }

    /// <summary>The guest runs here, and its source's last word comes byte by byte.</summary>
    [Fact]
    public void A_source_that_never_comes_to_an_end_keeps_the_target_for_a_moment_only()
    {
        using var move = new Move { Patience = TimeSpan.FromSeconds(1) };
        move.World.Stop(FakeDeparture.Side);
        move.StartTarget();
        using var source = new RawSource(move);
        source.Greet(0);
        source.Offer(move.Departure.Offer);
        Assert.Equal(FrameType.Accept, source.Read().Type);
        source.Writer.Write(FrameType.Zeros, RawSource.Zeros(0, 512));
        source.Writer.Write(FrameType.Zeros, RawSource.Zeros(0x100_0000, 256));
        source.Writer.Write(FrameType.Round, RawSource.Number(1));
        Assert.Equal(FrameType.RoundDone, source.Read().Type);
        source.Writer.Write(FrameType.State, new byte[100]);
        Assert.Equal(FrameType.Ready, source.Read().Type);
        source.Writer.Write(FrameType.Run, [1]);
        Assert.Equal(FrameType.Running, source.Read().Type);
        byte[] farewell = new byte[MigrationWire.HeaderBytes + MigrationWire.FirstBytes];
        BinaryPrimitives.WriteUInt16LittleEndian(farewell, (ushort)FrameType.Cancel);
        BinaryPrimitives.WriteInt32LittleEndian(farewell.AsSpan(4), MigrationWire.FirstBytes);
        int sent = 0;
        Exception? end = Record.Exception(() =>
        {
            for (; sent < 400; sent++)
            {
                source.Send(farewell.AsSpan(sent, 1));
                Thread.Sleep(50);
            }
        });
        Assert.IsAssignableFrom<IOException>(end);
        Assert.InRange(sent, 2, 200);
        move.WaitForEnd();
        Assert.Equal((MigrationPhase.Completed, FakeArrival.Side), (move.TargetProgress.Phase, move.World.Running));
    }
}
