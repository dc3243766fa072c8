using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Asks for the routes, answered by <see cref="Routes"/>.</summary>
[ProtoMessage]
public sealed partial record ListRoutesRequest;
