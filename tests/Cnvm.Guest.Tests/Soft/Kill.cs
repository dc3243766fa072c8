using Cnvm.Vmm.Migration;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>One side of a migration is killed at a moment.</summary>
/// <param name="Phase">As the table of results names it.</param>
/// <param name="At">The message that is held when it happens.</param>
/// <param name="KillsSource">Which side.</param>
/// <param name="Then">What must become of the guest.</param>
internal sealed record Kill(string Phase, Moment At, bool KillsSource, Survivor Then)
{
    /// <summary>The held message still comes; otherwise it is lost with who sent it.</summary>
    public bool Delivers { get; init; }

    /// <summary>The guest goes on at the target before its memory is there.</summary>
    public bool Postcopy { get; init; }

    /// <summary>The connection is lost here before, and another one is made.</summary>
    public Moment? Cut { get; init; }

    /// <summary>At the moment the network fails, and stays so.</summary>
    public bool Isolates { get; init; }

    /// <summary>Part of the short form.</summary>
    public bool IsTelling { get; init; }

    /// <summary>Both sides at every phase.</summary>
    public static IReadOnlyList<Kill> All { get; } =
    [
        .. Both("connecting", Moment.Source(FrameType.Hello), Survivor.TargetWaitsForSource, Survivor.SourceGoesOn),
        .. Both("contract, offered", Moment.Source(FrameType.Offer), Survivor.TargetIsEmpty, Survivor.SourceGoesOn),
        .. Both("contract, accepted", Moment.Target(FrameType.Accept), Survivor.TargetIsEmpty, Survivor.SourceGoesOn),
        .. Both("disks", Moment.Source(FrameType.DiskData), Survivor.TargetIsEmpty, Survivor.SourceGoesOn),
        .. Both("memory", Moment.Source(FrameType.Pages), Survivor.TargetIsEmpty, Survivor.SourceGoesOn),
        .. Both("end of a round", Moment.Target(FrameType.RoundDone), Survivor.TargetIsEmpty, Survivor.SourceGoesOn),
        .. Both("stopped", Moment.Source(FrameType.State), Survivor.TargetIsEmpty, Survivor.SourceGoesOn, isTelling: true),
        .. Both("ready", Moment.Target(FrameType.Ready), Survivor.TargetIsEmpty, Survivor.SourceGoesOn),
        new("order sent", Moment.Source(FrameType.Run), true, Survivor.TargetIsEmpty),
        new("order sent", Moment.Source(FrameType.Run), true, Survivor.TargetGoesOn) { Delivers = true, IsTelling = true },
        new("order sent", Moment.Source(FrameType.Run), false, Survivor.SourceAsks),
        new("order carried out", Moment.Target(FrameType.Running), true, Survivor.TargetGoesOn),
        new("order carried out", Moment.Target(FrameType.Running), false, Survivor.SourceAsks),
        new("order carried out", Moment.Target(FrameType.Running), false, Survivor.SourceHasEnded) { Delivers = true },
        .. Both("acknowledged", Moment.Source(FrameType.Bye), Survivor.TargetGoesOn, Survivor.SourceHasEnded),
        new("order lost, asking", Moment.Target(FrameType.Answer), true, Survivor.TargetIsEmpty) { Cut = Moment.Source(FrameType.Run) },
        new("order lost, asking", Moment.Target(FrameType.Answer), false, Survivor.SourceAsks) { Cut = Moment.Source(FrameType.Run) },
        new("order lost, asking", Moment.Target(FrameType.Answer), false, Survivor.SourceGoesOn) { Cut = Moment.Source(FrameType.Run), Delivers = true },
        new("acknowledgement lost, asking", Moment.Target(FrameType.Answer), true, Survivor.TargetGoesOn) { Cut = Moment.Target(FrameType.Running) },
        new("acknowledgement lost, asking", Moment.Target(FrameType.Answer), false, Survivor.SourceAsks) { Cut = Moment.Target(FrameType.Running) },

        .. Late("stopped", Moment.Source(FrameType.State), Survivor.TargetIsEmpty, Survivor.SourceGoesOn),
        .. Late("ready", Moment.Target(FrameType.Ready), Survivor.TargetIsEmpty, Survivor.SourceGoesOn),
        new("order sent", Moment.Source(FrameType.Run), true, Survivor.TargetIsEmpty) { Postcopy = true },
        new("order sent", Moment.Source(FrameType.Run), true, Survivor.TargetWaitsForPages) { Postcopy = true, Delivers = true },
        new("order sent", Moment.Source(FrameType.Run), false, Survivor.SourceAsks) { Postcopy = true },
        new("order carried out", Moment.Target(FrameType.Running), true, Survivor.TargetWaitsForPages) { Postcopy = true },
        new("order carried out", Moment.Target(FrameType.Running), false, Survivor.SourceAsks) { Postcopy = true, IsTelling = true },
        new("order carried out", Moment.Target(FrameType.Running), false, Survivor.SourceKeeps) { Postcopy = true, Delivers = true },
        .. Late("pages missing", Moment.Source(FrameType.Pages, FrameType.Running), Survivor.TargetWaitsForPages, Survivor.SourceKeeps, isTelling: true),
        .. Late("pages missing, connection lost", Moment.Source(FrameType.Pages, FrameType.Running), Survivor.TargetWaitsForPages, Survivor.SourceKeeps)
            .Select(k => k with { Isolates = true }),
        .. Late("connecting again", Moment.Source(FrameType.Continue), Survivor.TargetWaitsForPages, Survivor.SourceKeeps)
            .Select(k => k with { Cut = Moment.Source(FrameType.Pages, FrameType.Running) }),
        .. Late("connected again", Moment.Target(FrameType.Continued), Survivor.TargetWaitsForPages, Survivor.SourceKeeps)
            .Select(k => k with { Cut = Moment.Source(FrameType.Pages, FrameType.Running) }),
        .. Late("last page sent", Moment.Source(FrameType.LastPage), Survivor.TargetGoesOn, Survivor.SourceKeeps),
        .. Late("complete", Moment.Target(FrameType.Complete), Survivor.TargetGoesOn, Survivor.SourceKeeps),
        new("complete", Moment.Target(FrameType.Complete), false, Survivor.SourceHasEnded) { Postcopy = true, Delivers = true },
    ];

    public override string ToString() =>
        $"{(Postcopy ? "post-copy, " : "")}{Phase}, {(KillsSource ? "source" : "target")} killed{(Delivers ? ", its message comes" : "")}";

    private static IEnumerable<Kill> Both(string phase, Moment at, Survivor ofSource, Survivor ofTarget, bool isTelling = false) =>
        [new(phase, at, true, ofSource) { IsTelling = isTelling }, new(phase, at, false, ofTarget) { IsTelling = isTelling }];

    private static IEnumerable<Kill> Late(string phase, Moment at, Survivor ofSource, Survivor ofTarget, bool isTelling = false) =>
        Both(phase, at, ofSource, ofTarget, isTelling).Select(k => k with { Postcopy = true });
}
