namespace Cnvm.GuestAgent.Stage;

/// <summary>The five sets of capabilities(7); bit n is capability n.</summary>
internal sealed record CapabilitySets(ulong Bounding, ulong Effective, ulong Inheritable, ulong Permitted, ulong Ambient);
