using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A size in characters.</summary>
[ProtoMessage]
public sealed partial record Box
{
    /// <summary>Lines.</summary>
    [ProtoMember(1)]
    public uint Height { get; init; }

    /// <summary>Characters a line.</summary>
    [ProtoMember(2)]
    public uint Width { get; init; }
}
