using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>Hands an event to containerd (api/services/ttrpc/events/v1).</summary>
[ProtoMessage]
internal sealed partial record ForwardRequest
{
    [ProtoMember(1)] public EventEnvelope? Envelope { get; init; }
}
