using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>An event, and where it belongs.</summary>
[ProtoMessage]
internal sealed partial record EventEnvelope
{
    [ProtoMember(1)] public ProtoTimestamp? Timestamp { get; init; }

    [ProtoMember(2)] public string Namespace { get; init; } = "";

    [ProtoMember(3)] public string Topic { get; init; } = "";

    [ProtoMember(4)] public ProtoAny? Event { get; init; }
}
