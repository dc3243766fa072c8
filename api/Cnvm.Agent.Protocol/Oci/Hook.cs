using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A program to run at an event.</summary>
[ProtoMessage]
public sealed partial record Hook
{
    /// <summary>The program, absolute.</summary>
    [ProtoMember(1)]
    public string Path { get; init; } = "";

    /// <summary>Its arguments with its name before them.</summary>
    [ProtoMember(2)]
    public IReadOnlyList<string> Args { get; init; } = [];

    /// <summary>Its environment.</summary>
    [ProtoMember(3)]
    public IReadOnlyList<string> Env { get; init; } = [];

    /// <summary>Seconds that it may take; 0 for any time.</summary>
    [ProtoMember(4)]
    public long Timeout { get; init; }
}
