using Cnvm.Linux;

namespace Cnvm.Sandbox.Networks;

/// <summary>An interface of a network namespace, and the guest's that stands for it.</summary>
/// <param name="Link">The namespace's.</param>
/// <param name="Tap">Name of the VMM's TAP interface, which is in the namespace as well.</param>
/// <param name="Addresses">Those that the guest's is given.</param>
internal sealed record PodInterface(NetworkLink Link, string Tap, IReadOnlyList<NetworkAddress> Addresses)
{
    // What the VMM takes; others are between host and agent only.
    private const uint LeastDeviceMtu = 1280;

    /// <summary>Hardware address of the guest's: the namespace's interface's, unless the guest was saved with another one.</summary>
    public string Mac { get; init; } = Link.HardwareAddress;

    /// <summary>Place on the guest's bus of one that was added while the guest ran; empty otherwise.</summary>
    public string DevicePath { get; init; } = "";

    /// <summary>For the device; null if it takes no such number.</summary>
    public uint? DeviceMtu => Link.Mtu >= LeastDeviceMtu ? Link.Mtu : null;
}
