using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>How a process ended.</summary>
[ProtoMessage]
internal sealed partial record WaitResponse
{
    [ProtoMember(1)] public uint ExitStatus { get; init; }

    [ProtoMember(2)] public ProtoTimestamp? ExitedAt { get; init; }
}
