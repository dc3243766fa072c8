using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Answer to Stats.</summary>
[ProtoMessage]
internal sealed partial record StatsResponse
{
    [ProtoMember(1)] public ProtoAny? Stats { get; init; }
}
