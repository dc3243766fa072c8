namespace Cnvm.Vmm.Requests;

/// <summary>What becomes of a migration that takes too long.</summary>
public enum TimeoutStrategy
{
    /// <summary>It fails and the guest goes on at the source.</summary>
    Cancel,

    /// <summary>It is finished with whatever downtime that takes.</summary>
    Ignore,
}
