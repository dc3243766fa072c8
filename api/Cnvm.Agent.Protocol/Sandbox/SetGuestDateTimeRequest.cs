using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Sets the guest's clock. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record SetGuestDateTimeRequest
{
    /// <summary>Seconds since 1970-01-01 UTC.</summary>
    [ProtoMember(1)]
    public long Sec { get; init; }

    /// <summary>Microseconds after those.</summary>
    [ProtoMember(2)]
    public long Usec { get; init; }
}
