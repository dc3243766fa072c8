using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Asks for the interfaces, answered by <see cref="Interfaces"/>.</summary>
[ProtoMessage]
public sealed partial record ListInterfacesRequest;
