using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A source with several connections, strangers among them; perhaps it says something on one of them that does not belong there.</summary>
internal sealed class HostileJoins(Move move, Random random)
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);
    private readonly List<RawLink> _links = [];
    private readonly List<RawLink> _strangers = [];

    /// <summary>Returns whether the guest ran at the target; it does if nothing was disturbed.</summary>
    public bool Run()
    {
        move.World.Stop(FakeDeparture.Side);
        move.StartTarget();
        bool isDisturbed = random.Next(2) == 0;
        int connections = random.Next(2, 5);
        bool runs = Begin(connections) && Join(connections) && Send(isDisturbed ? random.Next(connections) : -1) && HandOver();
        _links.ForEach(l => l.Dispose());
        _strangers.ForEach(l => l.Dispose());
        move.WaitForEnd();
        string what = $"disturbed {isDisturbed}: {move.TargetProgress.Info()}";
        Assert.True(runs || isDisturbed, what);
        Assert.True(move.TargetProgress.Phase == (runs ? MigrationPhase.Completed : MigrationPhase.Failed), what);
        Assert.True(move.World.Running == (runs ? FakeArrival.Side : ""), what);
        Assert.True(move.Arrival.IsDiscarded != runs, what);
        if (runs && !isDisturbed)
        {
            move.AssertMemoryArrived();
        }

        return runs;
    }

    private bool Begin(int connections)
    {
        RawLink first = Connect(_links);
        first.Say(FrameType.Hello, Hello(isQuestion: false));
        if (!first.HearMagic() || !first.HearUntil(FrameType.Welcome))
        {
            return false;
        }

        first.Say(FrameType.Offer, StateWriter.Write(move.Departure.Offer with { Connections = (ulong)connections }, MigrationOffer.Describe));
        return first.HearUntil(FrameType.Accept);
    }

    /// <summary>Who does not belong there changes nothing for those who do.</summary>
    private bool Join(int connections)
    {
        while (_links.Count < connections)
        {
            if (random.Next(3) == 0)
            {
                Knock();
                continue;
            }

            RawLink link = Connect(_links);
            link.Say(FrameType.Join, Move.Session);
            if (!link.HearMagic() || !link.HearUntil(FrameType.Joined))
            {
                return false;
            }
        }

        return true;
    }

    private void Knock()
    {
        RawLink stranger = Connect(_strangers);
        byte[] session = Move.Session;
        switch (random.Next(6))
        {
            case 0:
                session[random.Next(session.Length)] ^= (byte)(1 << random.Next(8));
                stranger.Say(FrameType.Join, session);
                stranger.Say(FrameType.Pages, RawSource.Page(0x2000, 0xEE));
                break;
            case 1:
                stranger.Say(FrameType.Join, session.AsSpan(0, random.Next(session.Length)));
                break;
            case 2:
                stranger.Say(FrameType.Hello, Hello(isQuestion: random.Next(2) == 0));
                break;
            case 3:
                stranger.Say(FrameType.Continue, session);
                break;
            case 4:
                (FrameType type, byte[] payload) = RawMessages.Any(random);
                stranger.Say(type == FrameType.Join ? FrameType.Pages : type, payload);
                break;
        }

        if (random.Next(2) == 0)
        {
            stranger.Dispose();
        }
    }

    /// <summary>Two rounds; the pages go through any of the connections.</summary>
    /// <param name="disturbed">The connection on which something else is said; -1: none.</param>
    private bool Send(int disturbed)
    {
        for (uint round = 1; round <= 2; round++)
        {
            for (ulong page = 0; page < 768; page += 32)
            {
                ulong gpa = page < 512 ? page << 12 : 0x100_0000 + ((page - 512) << 12);
                ulong[] gpas = [.. Enumerable.Range(0, 32).Select(i => gpa + ((ulong)i << 12))];
                _links[random.Next(_links.Count)].Say(FrameType.Pages, RawMessages.Pages(gpas, a => move.Departure.Memory.GetSpan(a, 1)[0]));
            }

            int[] order = [.. Enumerable.Range(0, _links.Count)];
            random.Shuffle(order);
            foreach (int i in order)
            {
                if (i == disturbed && random.Next(2) == 0)
                {
                    (FrameType type, byte[] payload) = RawMessages.Any(random);
                    _links[i].Say(type, payload);
                    if (random.Next(3) == 0)
                    {
                        _links[i].Dispose();
                    }
                }

                _links[i].Say(FrameType.Round, RawSource.Number(round));
            }

            if (!_links[0].HearUntil(FrameType.RoundDone))
            {
                return false;
            }
        }

        return true;
    }

    private bool HandOver()
    {
        _links[0].Say(FrameType.State, [.. new byte[sizeof(ulong)], .. move.Departure.State]);
        if (!_links[0].HearUntil(FrameType.Ready))
        {
            return false;
        }

        _links[0].Say(FrameType.Run, [1]);
        bool runs = _links[0].HearUntil(FrameType.Running);
        _links[0].Say(FrameType.Bye);
        return runs;
    }

    private RawLink Connect(List<RawLink> into)
    {
        RawLink link = RawLink.To(move.TargetPath);
        link.Patience = Long;
        into.Add(link);
        return link;
    }

    private static byte[] Hello(bool isQuestion) => StateWriter.Write(
        new MigrationHello
        {
            Lowest = MigrationWire.Version,
            Highest = MigrationWire.Version,
            Features = MigrationWire.FeatureConnections,
            Session = Move.Session,
            IsQuestion = isQuestion,
            Producer = "hostile",
        },
        MigrationHello.Describe);
}
