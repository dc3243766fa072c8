namespace Cnvm.Devices.Platform;

/// <summary>State of the CPU hot-plug registers.</summary>
public sealed record CpuHotplugState
{
    /// <summary><see cref="CpuHotplugFlags"/> of every vCPU that there can be, by index.</summary>
    public required byte[] Vcpus { get; init; }

    /// <summary>Index of the selected vCPU.</summary>
    public required uint Selected { get; init; }

    /// <summary>Whether the machine has this vCPU, given up by the guest or not.</summary>
    public bool Has(int vcpu) => ((CpuHotplugFlags)Vcpus[vcpu] & (CpuHotplugFlags.Present | CpuHotplugFlags.Ejected)) != 0;
}
