namespace Cnvm.Vmm.Requests;

/// <summary>What becomes of a migration that takes too long.</summary>
public enum TimeoutStrategy
{
    /// <summary>It fails and the guest goes on at the source.</summary>
    Cancel,

    /// <summary>It is finished with whatever downtime that takes.</summary>
    Ignore,

    /// <summary>The guest goes on at the destination at once, and the rest of its memory follows as it touches it. cnvm's own.</summary>
    Postcopy,
}
