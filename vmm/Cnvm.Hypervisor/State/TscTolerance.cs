namespace Cnvm.Hypervisor.State;

/// <summary>How far the TSC that a guest was given may run from a host's before it has to be scaled.</summary>
public static class TscTolerance
{
    // What KVM itself tolerates.
    private const uint PartsPerMillion = 250;

    /// <summary>Whether the difference counts as none; frequencies in kHz.</summary>
    public static bool Covers(uint guestKhz, uint hostKhz)
    {
        ulong difference = guestKhz > hostKhz ? guestKhz - hostKhz : hostKhz - guestKhz;
        return difference * 1_000_000 <= (ulong)hostKhz * PartsPerMillion;
    }
}
