namespace Cnvm.Guest.Tests.Soft;

/// <summary>What becomes of a guest when one side of its migration is killed.</summary>
internal enum Survivor
{
    /// <summary>The guest goes on at the source, which says why.</summary>
    SourceGoesOn,

    /// <summary>It may run at the target, as far as the source can know: it is paused, and a person lets it go on.</summary>
    SourceAsks,

    /// <summary>It ran at the target and is gone with it. The source keeps what was missing there, says so, and never lets it go on.</summary>
    SourceKeeps,

    /// <summary>It ran at the target with all its memory, and is gone with it; the source had ended.</summary>
    SourceHasEnded,

    /// <summary>It is gone with the source: the target has nothing, and says why.</summary>
    TargetIsEmpty,

    /// <summary>Nobody had come yet, and the target waits on.</summary>
    TargetWaitsForSource,

    /// <summary>The guest goes on at the target.</summary>
    TargetGoesOn,

    /// <summary>The guest ran at the target, and half of its memory is gone with the source: it waits for that until the VMM is ended, which says so.</summary>
    TargetWaitsForPages,
}
