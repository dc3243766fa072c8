namespace Cnvm.Hypervisor;

/// <summary>How often a vCPU left the guest, by kind. Written by its thread only; readers see recent values.</summary>
public sealed class VcpuExitCounters
{
    public ulong PortIn;
    public ulong PortOut;
    public ulong MmioRead;
    public ulong MmioWrite;
    public ulong EndOfInterrupt;
    public ulong Interrupted;
    public ulong Other;
}
