namespace Cnvm.Vmm.Migration;

/// <summary>A further connection of the migration under way, which has said so and has not been answered yet.</summary>
internal sealed record JoinedLink(MigrationLink Link, FrameReader Reader, FrameWriter Writer);
