namespace Cnvm.Vmm.Migration;

/// <summary>Whether a guest may go on at the target before all of its memory is there.</summary>
internal enum PostcopyUse
{
    /// <summary>It may not.</summary>
    Never,

    /// <summary>When it has taken too long otherwise.</summary>
    AfterTimeout,

    /// <summary>After one round.</summary>
    AfterFirstRound,
}
