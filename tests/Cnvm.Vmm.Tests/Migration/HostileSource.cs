using System.Buffers;
using System.Collections.Concurrent;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>
/// A source with post-copy that says anything at one moment, or behind the order to run all the while: pages twice, out of order, that are not
/// missing or no RAM, in one message with sound ones, orders out of place, on several connections, of strangers among them. Every page
/// has one content that is right, and the guest writes its own over it.
/// </summary>
internal sealed class HostileSource(Move move, Random random)
{
    private const byte Mark = 0xFF;
    private const byte Wrong = 0xEE;
    private const int LastStep = 6;
    private const int Guests = 2;

    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Answer = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200);

    private readonly HashSet<ulong> _missing = [];
    private readonly HashSet<ulong> _here = [];
    private readonly List<Thread> _guests = [];
    private readonly ConcurrentDictionary<ulong, bool> _marked = [];
    private readonly ConcurrentQueue<string> _violations = [];
    private MissingPages? _late;
    private RawLink? _link;

    // Nothing has been said before the guest ran that the target could take for the guest's.
    private bool _isExact;

    /// <summary>Pages of the guest's RAM.</summary>
    private static IEnumerable<ulong> All => Enumerable.Range(0, 512).Select(i => (ulong)i << 12).Concat(Enumerable.Range(0, 256).Select(i => 0x100_0000UL + ((ulong)i << 12)));

    /// <summary>What a page of the guest's has; some are zeros.</summary>
    private static byte Right(ulong gpa) => (byte)((gpa >> 12) * 7 % 251);

    /// <summary>Returns whether the guest ran at the target.</summary>
    public bool Run()
    {
        move.Arrival.OnRun = Live;
        move.World.Stop(FakeDeparture.Side);
        move.StartTarget();
        int disturbed = random.Next(3) == 0 ? random.Next(LastStep + 1) : LastStep + 1;
        _isExact = disturbed > LastStep;
        bool isSound = HandOver(disturbed);
        if (!isSound)
        {
            Assert.True(disturbed <= LastStep, $"undisturbed, it is refused: {move.TargetProgress.Info()}");
            _link!.Dispose();
            AwaitEndOfFailure();
            return false;
        }

        if (_late is not null)
        {
            for (int n = random.Next(30); n > 0 && !IsOver; n--)
            {
                Disturb();
            }

            AssertRight();
            Rescue();
        }
        else
        {
            _link!.Say(FrameType.Bye);
        }

        _link!.Dispose();
        move.WaitForEnd();
        _guests.ForEach(g => Assert.True(g.Join(Long), "a guest's thread waits for a page"));
        Assert.True(
            move.TargetProgress.Phase == MigrationPhase.Completed && move.World.Running == FakeArrival.Side,
            $"the guest runs at the {move.World.Running}, disturbed at {disturbed}: {move.TargetProgress.Info()}");
        AssertRight();
        return true;
    }

    private bool IsOver => move.TargetProgress.Phase == MigrationPhase.Completed;

    /// <summary>Up to the guest's start at the target; false if the target has refused, or does not get any further.</summary>
    private bool HandOver(int disturbed)
    {
        _link = RawLink.To(move.TargetPath);
        _link.Patience = disturbed <= LastStep ? Short : Long;
        for (int step = 0; step <= LastStep; step++)
        {
            if (step == disturbed)
            {
                for (int n = random.Next(1, 4); n > 0; n--)
                {
                    (FrameType type, byte[] payload) = RawMessages.Any(random);
                    _link.Say(type, payload);
                }

                if (step < LastStep && random.Next(2) == 0)
                {
                    continue;
                }
            }

            if (!Step(step))
            {
                return false;
            }
        }

        return true;
    }

    private bool Step(int step)
    {
        switch (step)
        {
            case 0:
                _link!.Say(FrameType.Hello, Hello(isQuestion: false, Move.Session));
                return _link.HearMagic() && _link.HearUntil(FrameType.Welcome);
            case 1:
                _link!.Say(FrameType.Offer, StateWriter.Write(move.Departure.Offer, MigrationOffer.Describe));
                return _link.HearUntil(FrameType.Accept);
            case 2:
                SayFirstPages();
                return true;
            case 3:
                _link!.Say(FrameType.Round, RawSource.Number(1));
                return _link.HearUntil(FrameType.RoundDone);
            case 4:
                SayMissing();
                return true;
            case 5:
                _link!.Say(FrameType.State, new byte[200]);
                return _link.HearUntil(FrameType.Ready);
            default:
                _link!.Say(FrameType.Run, [1]);
                return _link.HearUntil(FrameType.Running);
        }
    }

    /// <summary>What stays is right, what goes missing again has come as it was before, or not at all.</summary>
    private void SayFirstPages()
    {
        int share = random.Next(1, 10);
        foreach (ulong gpa in All)
        {
            (random.Next(10) < share ? _missing : _here).Add(gpa);
        }

        foreach (ulong[] gpas in _here.Concat(_missing.Where(_ => random.Next(3) == 0)).Chunk(64))
        {
            _link!.Say(FrameType.Pages, RawMessages.Pages(gpas, gpa => _here.Contains(gpa) ? Right(gpa) : Wrong));
        }
    }

    private void SayMissing()
    {
        foreach (ulong gpa in _missing)
        {
            // One page each, or one word for all of its neighbours.
            _link!.Say(FrameType.Missing, RawMessages.Missing(gpa, 1));
        }
    }

    /// <summary>The guest: reads and writes its memory from the start on.</summary>
    private void Live()
    {
        _late = move.Arrival.Missing;
        for (int i = 0; i < Guests; i++)
        {
            int seed = random.Next();
            var thread = new Thread(() => Live(new Random(seed))) { Name = "guest", IsBackground = true };
            _guests.Add(thread);
            thread.Start();
        }
    }

    private void Live(Random mine)
    {
        try
        {
            ulong[] all = [.. All];
            for (int i = 0; i < 100; i++)
            {
                ulong gpa = all[mine.Next(all.Length)];
                Span<byte> page = move.Arrival.Memory.GetSpan(gpa, MigrationWire.PageBytes);
                int at = mine.Next(page.Length);

                // Once: the other one writes the same pages.
                byte seen = page[at];
                if (seen != Mark && seen != Right(gpa))
                {
                    _violations.Enqueue($"the guest sees {seen:x} at 0x{gpa:x}, not {Right(gpa):x}");
                }

                if (mine.Next(2) == 0)
                {
                    _marked[gpa] = true;
                    page.Fill(Mark);
                }
            }
        }
        catch (IOException)
        {
            // The test has given its memory up.
            return;
        }
    }

    private void Disturb()
    {
        if (_link!.IsGone && !Reconnect())
        {
            return;
        }

        ulong[] missing = [.. _missing];
        ulong[] gone = [.. All.Except(_missing)];
        random.Shuffle(missing);
        random.Shuffle(gone);
        switch (random.Next(14))
        {
            case 0 or 1 or 2:
                Send(missing.AsSpan(0, random.Next(missing.Length + 1)));
                break;
            case 3 when gone.Length > 0:
                _link.Say(FrameType.Pages, RawMessages.Pages(gone[..1], _ => Wrong));
                break;
            case 4 when gone.Length > 0 && missing.Length > 0:
                // Sound at the beginning, and behind it what is not missing.
                _link.Say(FrameType.Pages, RawMessages.Pages([missing[0], gone[0]], gpa => gpa == gone[0] ? Wrong : Right(gpa)));
                _missing.Remove(missing[0]);
                break;
            case 5 when missing.Length > 0:
                _link.Say(FrameType.Pages, RawMessages.Pages([missing[0], missing[0]], Right));
                _missing.Remove(missing[0]);
                break;
            case 6:
                _link.Say(FrameType.Pages, RawMessages.Pages([RawMessages.Address(random) | 0x20_0000], _ => Wrong));
                break;
            case 7 when gone.Length > 0:
                _link.Say(FrameType.Zeros, RawSource.Zeros(gone[0], (ulong)random.Next(4)));
                break;
            case 8 when _missing.Count > 0:
                _link.Say(FrameType.LastPage);
                break;
            case 9:
                Knock();
                break;
            case 10:
                _link.Dispose();
                _ = Reconnect();
                break;
            case 11:
                // The old one is still there.
                RawLink old = _link;
                _ = Reconnect();
                old.Dispose();
                break;
            case 12:
                // After Bye nobody has to answer.
                (FrameType type, byte[] payload) = RawMessages.Any(random);
                if (type is not (FrameType.Pages or FrameType.Zeros or FrameType.Bye))
                {
                    _link.Say(type, payload);
                }

                break;
            default:
                _link.Say(FrameType.Zeros, RawSource.Zeros(RawMessages.Address(random) | 0x20_0000, ulong.MaxValue >> random.Next(64)));
                break;
        }
    }

    private void Send(ReadOnlySpan<ulong> gpas)
    {
        foreach (ulong[] part in gpas.ToArray().Chunk(random.Next(1, 100)))
        {
            ulong[] data = [.. part.Where(gpa => Right(gpa) != 0)];
            if (data.Length > 0)
            {
                _link!.Say(FrameType.Pages, RawMessages.Pages(data, Right));
            }

            foreach (ulong zero in part.Except(data))
            {
                _link!.Say(FrameType.Zeros, RawSource.Zeros(zero, 1));
            }

            _missing.ExceptWith(part);
        }
    }

    /// <summary>A stranger, or somebody who knows the session and says nothing that makes sense; the guest's connection is none of theirs.</summary>
    private void Knock()
    {
        using RawLink stranger = RawLink.To(move.TargetPath);
        stranger.Patience = Long;
        byte[] other = new byte[MigrationWire.SessionBytes];
        switch (random.Next(6))
        {
            case 0:
                stranger.Say(FrameType.Continue, other);
                Assert.True(stranger.HearMagic() && stranger.HearUntil(FrameType.Failed), "a stranger's Continue is not refused");
                break;
            case 1:
                stranger.Say(FrameType.Continue, Move.Session.AsSpan(0, random.Next(16)));
                Assert.True(stranger.HearMagic() && stranger.HearUntil(FrameType.Failed), "half a session is not refused");
                break;
            case 2:
                stranger.Say(FrameType.Join, Move.Session);
                Assert.False(stranger.HearMagic() && stranger.HearUntil(FrameType.Joined), "a further connection is let in");
                break;
            case 3:
                stranger.Say(FrameType.Hello, Hello(isQuestion: true, Move.Session));
                Assert.True(stranger.HearMagic() && stranger.HearUntil(FrameType.Answer), "a question is not answered");
                Assert.Contains(stranger.Heard.Payload[0], new byte[] { 1, 3 });
                break;
            case 4:
                stranger.Say(FrameType.Hello, Hello(isQuestion: false, other));
                Assert.True(stranger.HearMagic() && stranger.HearUntil(FrameType.Failed), "another guest is let in");
                break;
            default:
                (FrameType type, byte[] payload) = RawMessages.Any(random);
                if (type != FrameType.Continue)
                {
                    stranger.Say(type, payload);
                }

                break;
        }
    }

    /// <summary>As a source does whose connection is lost; false if the target lacks nothing.</summary>
    private bool Reconnect()
    {
        for (int attempt = 1; ; attempt++)
        {
            if (IsOver)
            {
                // Somebody has said all the last words, and nobody answers any more.
                return false;
            }

            RawLink link = RawLink.To(move.TargetPath);
            link.Patience = Answer;
            link.Say(FrameType.Continue, Move.Session);
            var named = new HashSet<ulong>();
            bool isAnswered = link.HearMagic();
            while (isAnswered && link.Hear())
            {
                switch (link.Heard.Type)
                {
                    case FrameType.Missing:
                        MissingFrame.Read(new Frame(FrameType.Missing, 0, new ReadOnlySequence<byte>(link.Heard.Payload)), move.Departure.Memory, gpa => named.Add(gpa));
                        continue;
                    case FrameType.Continued or FrameType.Complete:
                        _link!.Dispose();
                        _link = link;
                        _missing.Clear();
                        _missing.UnionWith(named);
                        return link.Heard.Type == FrameType.Continued;
                }
            }

            // It was just getting all of it.
            link.Dispose();
            Assert.True(attempt < 20, $"the source is not let in again, last with {link.Heard.Type}: {move.TargetProgress.Info()}");
            Thread.Sleep(attempt);
        }
    }

    /// <summary>Whatever has been said, a source that keeps to the protocol brings the guest home.</summary>
    private void Rescue()
    {
        _link!.Dispose();
        if (!Reconnect())
        {
            return;
        }

        ulong[] rest = [.. _missing];
        random.Shuffle(rest);
        Send(rest);
        _link!.Say(FrameType.LastPage);
        _link.Patience = Long;
        Assert.True(_link.HearUntil(FrameType.Complete), $"it is never complete: {move.TargetProgress.Info()}");
        _link.Say(FrameType.Bye);
    }

    /// <summary>What is there is the source's, or what the guest has written.</summary>
    private void AssertRight()
    {
        if (!_isExact)
        {
            return;
        }

        foreach (ulong gpa in All.Where(gpa => !(_late?.Contains(gpa) ?? false)))
        {
            byte[] page = move.Arrival.Memory.GetSpan(gpa, MigrationWire.PageBytes).ToArray();
            byte right = Right(gpa);
            bool isMarked = _marked.ContainsKey(gpa);
            Assert.True(page.All(b => b == right || (isMarked && b == Mark)), $"0x{gpa:x} has {page[0]:x}, not {right:x}");
        }

        Assert.Empty(_violations);
    }

    private void AwaitEndOfFailure()
    {
        Assert.True(
            SpinWait.SpinUntil(() => move.HasTargetStopped, Long),
            $"the target waits for somebody who is gone: {move.TargetProgress.Info()}");
        if (move.TargetProgress.Phase == MigrationPhase.PostcopyLost)
        {
            // The order was understood, and the guest lives. What of its memory comes now is as good as what came before.
            Rescue();
            _link!.Dispose();
        }

        if (move.TargetProgress.Phase == MigrationPhase.Connecting)
        {
            Assert.True(move.Target.TryCancel("nothing came"));
        }

        move.WaitForEnd();
        _guests.ForEach(g => Assert.True(g.Join(Long), "a guest's thread waits for a page"));
        Assert.Equal(move.World.Running == FakeArrival.Side, move.TargetProgress.Phase == MigrationPhase.Completed);
        Assert.Equal(move.World.Running == "", move.Arrival.IsDiscarded);
    }

    private static byte[] Hello(bool isQuestion, byte[] session) => StateWriter.Write(
        new MigrationHello
        {
            Lowest = MigrationWire.Version,
            Highest = MigrationWire.Version,
            Features = MigrationWire.FeaturePostcopy,
            Session = session,
            IsQuestion = isQuestion,
            Producer = "hostile",
        },
        MigrationHello.Describe);
}
