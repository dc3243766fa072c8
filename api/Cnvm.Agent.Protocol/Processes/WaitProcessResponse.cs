using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>The end of a process.</summary>
[ProtoMessage]
public sealed partial record WaitProcessResponse
{
    /// <summary>Exit code, or 128 and the signal that ended it.</summary>
    [ProtoMember(1)]
    public int Status { get; init; }
}
