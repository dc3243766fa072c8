using System.Buffers.Binary;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>
/// A target that answers as it should, most of the time, and says anything in between: floods of questions for pages, and for what is no page, orders
/// out of place, what it lacks where there is nothing, that it runs the guest, that it does not.
/// </summary>
internal sealed class HostileTarget(Move move, Random random)
{
    private const int Flood = 70_000;

    private static readonly TimeSpan Enough = TimeSpan.FromMilliseconds(700);
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    private readonly Lock _gate = new();
    private readonly List<Thread> _threads = [];
    private readonly List<RawLink> _links = [];

    // What has been heard and said; each noted before it is sent.
    private volatile bool _hasOrder;
    private volatile bool _saysItDoesNotRun;
    private volatile bool _isAsked;
    private volatile bool _isBelieved;

    /// <summary>Returns how it ended for the source.</summary>
    public MigrationPhase Run()
    {
        using StreamListener listener = StreamListener.Bind(Move.Endpoint(move.ProxyPath));
        var accepting = new Thread(() => Accept(listener)) { IsBackground = true };
        accepting.Start();
        MoveTests.Fill(move.Departure);
        move.Limits.TimeoutS = random.Next(2) == 0 ? 0UL : 3600;
        move.Limits.DowntimeMs = 10_000;
        move.StartSource(move.ProxyPath);
        if (!move.WaitForSource(Enough))
        {
            // It serves, or asks, or connects again, as long as it has to.
            move.SourceStop.End("the VMM ends");
        }

        Assert.True(move.WaitForSource(Long), $"the source hangs: {move.SourceProgress.Info()}");
        listener.GiveUp();
        Assert.True(accepting.Join(Long));
        lock (_gate)
        {
            _links.ForEach(l => l.Abort());
        }

        Assert.All(_threads, t => Assert.True(t.Join(Long), "a conversation does not end"));
        MigrationInfo end = move.SourceProgress.Info();
        bool runs = move.World.Running == FakeDeparture.Side;
        string what = $"it runs {(runs ? "" : "not ")}at the source, ordered {_hasOrder}, given back {_saysItDoesNotRun}, believed {_isBelieved}: {end}";
        Assert.True(runs == (end.Phase is MigrationPhase.Failed or MigrationPhase.Cancelled), what);
        Assert.True(runs == (end.Guest == GuestPlace.Here), what);
        Assert.True(!runs || !_hasOrder || _saysItDoesNotRun, what);
        Assert.False(runs && _isBelieved, what);
        Assert.True(end.Phase == MigrationPhase.Completed || !string.IsNullOrEmpty(end.Error), what);
        Assert.False(move.Departure.IsTracking, what);
        return end.Phase;
    }

    private void Accept(StreamListener listener)
    {
        while (listener.Accept(-1) is { } socket)
        {
            var link = new RawLink(socket) { Patience = Long };
            var mine = new Random(random.Next());
            var thread = new Thread(() =>
            {
                using (link)
                {
                    Converse(link, mine);
                }
            }) { IsBackground = true };
            lock (_gate)
            {
                _links.Add(link);
                _threads.Add(thread);
            }

            thread.Start();
        }
    }

    private void Converse(RawLink link, Random mine)
    {
        if (!link.HearMagic() || mine.Next(40) == 0)
        {
            return;
        }

        link.SayMagic();
        int calm = mine.Next(3) == 0 ? 3 : 40;
        while (link.Hear())
        {
            (FrameType type, byte[] payload) = link.Heard;
            _hasOrder |= type == FrameType.Run;
            if (type == FrameType.Bye || (mine.Next(calm) == 0 && !Disturb(link, mine)))
            {
                return;
            }

            Answer(link, mine, type, payload);
        }
    }

    /// <summary>False: the connection ends with it.</summary>
    private bool Disturb(RawLink link, Random mine)
    {
        for (int n = mine.Next(4); n > 0; n--)
        {
            (FrameType type, byte[] payload) = RawMessages.Any(mine);
            Say(link, type, payload);
        }

        return mine.Next(4) != 0;
    }

    private void Answer(RawLink link, Random mine, FrameType type, byte[] payload)
    {
        switch (type)
        {
            case FrameType.Hello:
                MigrationHello hello = StateReader.Read<MigrationHello>(payload, MigrationHello.Describe);
                if (hello.IsQuestion)
                {
                    _isAsked = true;
                    Say(link, FrameType.Answer, [(byte)mine.Next(5)]);
                    return;
                }

                ulong features = mine.Next(20) == 0 ? (ulong)mine.NextInt64() : hello.Features;
                Say(link, FrameType.Welcome, StateWriter.Write(new MigrationWelcome(MigrationWire.Version, features, "hostile"), MigrationWelcome.Describe));
                break;
            case FrameType.Offer:
                Say(link, FrameType.Accept);
                break;
            case FrameType.Join:
                Say(link, FrameType.Joined);
                break;
            case FrameType.Round:
                Say(link, FrameType.RoundDone, payload);
                break;
            case FrameType.State:
                Ask(link, mine);
                Say(link, FrameType.Ready);
                break;
            case FrameType.Run:
                Start(link, mine);
                break;
            case FrameType.Continue:
                Continue(link, mine);
                break;
            case FrameType.LastPage:
                Say(link, FrameType.Complete);
                break;
            case FrameType.Pages or FrameType.Zeros when _hasOrder:
                Ask(link, mine);
                break;
        }
    }

    private void Start(RawLink link, Random mine)
    {
        bool isFirst = !_saysItDoesNotRun && !_isAsked;
        Say(link, mine.Next(6) == 0 ? FrameType.Failed : FrameType.Running);
        if (isFirst && !_saysItDoesNotRun
            && SpinWait.SpinUntil(() => move.SourceProgress.Phase is MigrationPhase.Postcopy or MigrationPhase.Completed, Enough) && !_isAsked)
        {
            _isBelieved = true;
        }

        Ask(link, mine);
    }

    private void Continue(RawLink link, Random mine)
    {
        for (int n = mine.Next(4); n > 0; n--)
        {
            // Mostly what there is.
            ulong gpa = mine.Next(8) == 0 ? RawMessages.Address(mine) : (ulong)mine.Next(7) << 18;
            Say(link, FrameType.Missing, RawMessages.Missing(gpa, (ulong)mine.NextInt64()));
        }

        Ask(link, mine);
        Say(link, mine.Next(8) switch { 0 => FrameType.Complete, 1 => FrameType.Failed, 2 => FrameType.Running, _ => FrameType.Continued });
    }

    private void Ask(RawLink link, Random mine)
    {
        Span<byte> payload = stackalloc byte[sizeof(ulong)];
        for (int n = mine.Next(100) == 0 ? Flood : mine.Next(6); n > 0 && !link.IsGone; n--)
        {
            ulong gpa = mine.Next(200) == 0 ? RawMessages.Address(mine) : (ulong)mine.Next(0x200) << 12;
            BinaryPrimitives.WriteUInt64LittleEndian(payload, gpa);
            link.Say(FrameType.Want, payload);
        }
    }

    private void Say(RawLink link, FrameType type, ReadOnlySpan<byte> payload = default)
    {
        if (type == FrameType.Failed || (type == FrameType.Answer && payload.Length == 1 && payload[0] == (byte)HandOverDecision.Discarded))
        {
            _saysItDoesNotRun = true;
        }

        link.Say(type, payload);
    }
}
