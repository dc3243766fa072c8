using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Asks for figures of the guest and the agent, answered by <see cref="Metrics"/>.</summary>
[ProtoMessage]
public sealed partial record GetMetricsRequest;
