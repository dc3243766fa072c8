using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A container's root folder.</summary>
[ProtoMessage]
public sealed partial record Root
{
    /// <summary>The folder.</summary>
    [ProtoMember(1)]
    public string Path { get; init; } = "";

    /// <summary>Whether it cannot be written.</summary>
    [ProtoMember(2)]
    public bool Readonly { get; init; }
}
