namespace Cnvm.Vmm.Migration;

/// <summary>A connection whose first message has come, and has not been answered yet.</summary>
internal sealed record HeardLink(MigrationLink Link, FrameReader Reader, FrameWriter Writer)
{
    /// <summary>What a source has said of itself; null where somebody has said something else.</summary>
    public MigrationHello? Hello { get; init; }
}
