using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A module of the guest's kernel.</summary>
[ProtoMessage]
public sealed partial record KernelModule
{
    /// <summary>Its name.</summary>
    [ProtoMember(1)]
    public string Name { get; init; } = "";

    /// <summary>Its parameters, each <c>key=value</c>.</summary>
    [ProtoMember(2)]
    public IReadOnlyList<string> Parameters { get; init; } = [];
}
