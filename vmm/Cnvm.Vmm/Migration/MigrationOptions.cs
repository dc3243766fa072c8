namespace Cnvm.Vmm.Migration;

/// <summary>What a source does when a migration takes too long, and how patient both sides are.</summary>
internal sealed record MigrationOptions
{
    /// <summary>Program and version, for people at the other side.</summary>
    public required string Producer { get; init; }

    /// <summary>Past the time: false ends the migration, true stops the guest and finishes it.</summary>
    public bool FinishAfterTimeout { get; init; }

    /// <summary>Hold a guest back that writes faster than the connection carries.</summary>
    public bool AutoConverge { get; init; }

    /// <summary>Use LZ4 where both sides have it.</summary>
    public bool Compress { get; init; }

    /// <summary>Longest silence of the peer.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Longest time for a source to say who it is.</summary>
    public TimeSpan GreetingPatience { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a source asks after a lost connection, and a target answers.</summary>
    public TimeSpan AskingTime { get; init; } = TimeSpan.FromSeconds(60);
}
