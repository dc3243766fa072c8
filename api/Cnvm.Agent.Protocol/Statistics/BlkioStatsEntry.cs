using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A figure of a disk.</summary>
[ProtoMessage]
public sealed partial record BlkioStatsEntry
{
    /// <summary>The device's major number.</summary>
    [ProtoMember(1)]
    public ulong Major { get; init; }

    /// <summary>The device's minor number.</summary>
    [ProtoMember(2)]
    public ulong Minor { get; init; }

    /// <summary>The operation: <c>Read</c>, <c>Write</c> and so on.</summary>
    [ProtoMember(3)]
    public string Op { get; init; } = "";

    /// <summary>The figure.</summary>
    [ProtoMember(4)]
    public ulong Value { get; init; }
}
