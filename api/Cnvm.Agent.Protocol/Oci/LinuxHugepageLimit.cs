using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A limit of huge pages.</summary>
[ProtoMessage]
public sealed partial record LinuxHugepageLimit
{
    /// <summary>Their size, such as <c>2MB</c>.</summary>
    [ProtoMember(1)]
    public string Pagesize { get; init; } = "";

    /// <summary>Bytes.</summary>
    [ProtoMember(2)]
    public ulong Limit { get; init; }
}
