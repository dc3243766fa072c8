namespace Cnvm.Devices.Bus;

/// <summary>
/// How a device answered an access. The bus chooses the value that the guest reads for everything but <see cref="Ok"/> and
/// rate-limits the log; a device never throws for what a guest does.
/// </summary>
public enum IoResult
{
    Ok,

    /// <summary>Nothing is at this offset.</summary>
    InvalidRegister,

    /// <summary>The register is not accessed in this width.</summary>
    InvalidSize,

    /// <summary>The access crosses or splits a register.</summary>
    Unaligned,

    /// <summary>The device is there but does not answer now.</summary>
    NoResponse,
}
