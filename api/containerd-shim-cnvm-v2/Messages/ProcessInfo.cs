using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>One process of a container.</summary>
[ProtoMessage]
internal sealed partial record ProcessInfo
{
    [ProtoMember(1)] public uint Pid { get; init; }

    [ProtoMember(2)] public ProtoAny? Info { get; init; }
}
