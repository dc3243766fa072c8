using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Something that is mounted in a container.</summary>
[ProtoMessage]
public sealed partial record Mount
{
    /// <summary>Where, absolute in the container.</summary>
    [ProtoMember(1)]
    public string Destination { get; init; } = "";

    /// <summary>What.</summary>
    [ProtoMember(2)]
    public string Source { get; init; } = "";

    /// <summary>The file system as mount(2) knows it, or <c>bind</c>.</summary>
    [ProtoMember(3)]
    public string Type { get; init; } = "";

    /// <summary>Mount options.</summary>
    [ProtoMember(4)]
    public IReadOnlyList<string> Options { get; init; } = [];
}
