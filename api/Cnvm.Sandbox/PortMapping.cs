namespace Cnvm.Sandbox;

/// <summary>A port of the host that is one of the guest's.</summary>
/// <param name="Host">From 1 to 65535.</param>
/// <param name="Guest">From 1 to 65535.</param>
/// <param name="Udp">For UDP; otherwise for TCP.</param>
public sealed record PortMapping(int Host, int Guest, bool Udp = false);
