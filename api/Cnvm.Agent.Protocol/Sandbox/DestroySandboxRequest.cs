using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Ends the sandbox. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record DestroySandboxRequest;
