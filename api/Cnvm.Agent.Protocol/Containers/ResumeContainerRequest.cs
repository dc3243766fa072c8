using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Has a frozen container go on. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record ResumeContainerRequest
{
    /// <summary>The container.</summary>
    [ProtoMember(1)]
    public string ContainerId { get; init; } = "";
}
