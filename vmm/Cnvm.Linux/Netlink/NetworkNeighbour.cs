using System.Net;

namespace Cnvm.Linux;

/// <summary>An entry of the table of neighbours.</summary>
/// <param name="Link">The interface's number.</param>
/// <param name="Address">The neighbour's.</param>
/// <param name="HardwareAddress">With colons; empty if it is not known.</param>
/// <param name="State">NUD_ bits.</param>
/// <param name="Flags">NTF_ bits.</param>
public sealed record NetworkNeighbour(int Link, IPAddress Address, string HardwareAddress, ushort State, byte Flags)
{
    private const ushort Permanent = 0x80;

    /// <summary>Somebody has set it, for good.</summary>
    public bool IsPermanent => (State & Permanent) != 0;
}
