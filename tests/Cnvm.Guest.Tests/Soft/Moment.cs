using Cnvm.Vmm.Migration;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>A moment of a migration: this message has been sent and has not come.</summary>
/// <param name="FromSource">Who says it.</param>
/// <param name="Message">The first of its kind.</param>
/// <param name="After">Not before the other side's message of this kind has come; null: from the beginning.</param>
internal sealed record Moment(bool FromSource, FrameType Message, FrameType? After = null)
{
    public static Moment Source(FrameType message, FrameType? after = null) => new(true, message, after);

    public static Moment Target(FrameType message, FrameType? after = null) => new(false, message, after);

    public override string ToString() => (FromSource ? "source's " : "target's ") + Message + (After is { } after ? $" after {after}" : "");
}
