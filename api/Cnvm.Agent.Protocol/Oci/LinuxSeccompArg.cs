using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A condition on an argument.</summary>
[ProtoMessage]
public sealed partial record LinuxSeccompArg
{
    /// <summary>Which, 0 to 5.</summary>
    [ProtoMember(1)]
    public ulong Index { get; init; }

    /// <summary>What it is compared with, or the mask.</summary>
    [ProtoMember(2)]
    public ulong Value { get; init; }

    /// <summary>What a masked one is compared with.</summary>
    [ProtoMember(3)]
    public ulong ValueTwo { get; init; }

    /// <summary>How, such as <c>SCMP_CMP_EQ</c>.</summary>
    [ProtoMember(4)]
    public string Op { get; init; } = "";
}
