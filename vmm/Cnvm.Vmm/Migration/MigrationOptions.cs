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

    /// <summary>Whether the guest may go on at the target before all of its memory is there.</summary>
    public PostcopyUse Postcopy { get; init; }

    /// <summary>End once the target has said whether it can take the guest.</summary>
    public bool OnlyChecks { get; init; }

    /// <summary>Connections that pages go through, 1 to 128.</summary>
    public int Connections { get; init; } = 1;

    /// <summary>Most bytes kept of what has been sent, so that of pages that are sent again only what has changed goes; 0 for none.</summary>
    public ulong DeltaCacheBytes { get; init; }

    /// <summary>Use LZ4 where both sides have it.</summary>
    public bool Compress { get; init; }

    /// <summary>Longest silence of the peer.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Longest time for a source to say who it is.</summary>
    public TimeSpan GreetingPatience { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a source asks after a lost connection, and a target answers.</summary>
    public TimeSpan AskingTime { get; init; } = TimeSpan.FromSeconds(60);
}
