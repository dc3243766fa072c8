using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Answer to Pids.</summary>
[ProtoMessage]
internal sealed partial record PidsResponse
{
    [ProtoMember(1)] public IReadOnlyList<ProcessInfo> Processes { get; init; } = [];
}
