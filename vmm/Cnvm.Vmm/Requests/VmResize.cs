namespace Cnvm.Vmm.Requests;

/// <summary>The body of <c>vm.resize</c>; what is null stays as it is. Sizes are in bytes.</summary>
public sealed record VmResize(uint? DesiredVcpus = null, ulong? DesiredRam = null, ulong? DesiredBalloon = null);
