using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Thaws a container.</summary>
[ProtoMessage]
internal sealed partial record ResumeRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";
}
