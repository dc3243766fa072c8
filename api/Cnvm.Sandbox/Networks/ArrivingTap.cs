namespace Cnvm.Sandbox.Networks;

/// <summary>A TAP interface in the configuration of a guest that comes from another host.</summary>
/// <param name="Name">Its name, which it has here, too.</param>
/// <param name="Mtu">Bytes of the guest's largest packets; 0: not said.</param>
/// <param name="Mac">The guest's hardware address; empty: not said.</param>
internal sealed record ArrivingTap(string Name, uint Mtu, string Mac);
