using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A device node.</summary>
[ProtoMessage]
public sealed partial record LinuxDevice
{
    /// <summary>Where in the container.</summary>
    [ProtoMember(1)]
    public string Path { get; init; } = "";

    /// <summary><c>c</c>, <c>b</c>, <c>u</c> or <c>p</c>.</summary>
    [ProtoMember(2)]
    public string Type { get; init; } = "";

    /// <summary>Its major number.</summary>
    [ProtoMember(3)]
    public long Major { get; init; }

    /// <summary>Its minor number.</summary>
    [ProtoMember(4)]
    public long Minor { get; init; }

    /// <summary>Its mode without type.</summary>
    [ProtoMember(5)]
    public uint FileMode { get; init; }

    /// <summary>Its owner.</summary>
    [ProtoMember(6)]
    public uint Uid { get; init; }

    /// <summary>Its group.</summary>
    [ProtoMember(7)]
    public uint Gid { get; init; }
}
