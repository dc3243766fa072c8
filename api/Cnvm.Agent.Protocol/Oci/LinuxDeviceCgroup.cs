using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A rule about devices.</summary>
[ProtoMessage]
public sealed partial record LinuxDeviceCgroup
{
    /// <summary>Whether they may be used.</summary>
    [ProtoMember(1)]
    public bool Allow { get; init; }

    /// <summary><c>a</c> for all, <c>c</c> or <c>b</c>.</summary>
    [ProtoMember(2)]
    public string Type { get; init; } = "";

    /// <summary>The major number; -1 for all, which is what a configuration without it means.</summary>
    [ProtoMember(3)]
    public long Major { get; init; }

    /// <summary>The minor number; -1 for all, which is what a configuration without it means.</summary>
    [ProtoMember(4)]
    public long Minor { get; init; }

    /// <summary>Of <c>r</c>, <c>w</c> and <c>m</c> (mknod).</summary>
    [ProtoMember(5)]
    public string Access { get; init; } = "";
}
